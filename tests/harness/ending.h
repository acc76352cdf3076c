/* How the cases of tests/unit/queue/ending*.c begin and end, and what they look for: a message in a queue that says everything in a log of its own. */
#ifndef POSTERN_TESTS_HARNESS_ENDING_H
#define POSTERN_TESTS_HARNESS_ENDING_H
#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/harness/no_memory.h"

#define TO(...) (const char *const[]){__VA_ARGS__, NULL}

struct opening {
	const char *const (*settings)[2]; /* as in harness_open() */
	enum no_memory place;             /* where there is no memory, from before the message on */
	unsigned stall_from;              /* as in struct shared */
	const char *const *to;            /* of message 1, up to a NULL: TO(…); NULL: no message */
	const char *sender, *notify;      /* NULL: sender@here.test, who asks for nothing */
};
/* TEXT becomes the answer: a 250, with the id from octet 9 on. */
void begin(struct harness *h, char text[ANSWER_MAX + 1], const struct opening *o);
/* The queue runs, and is stopped in order. */
void finish(struct harness *h);

/* Lines of the log with both A and B. */
unsigned lines_with(const char *a, const char *b);
bool listed(struct harness *h, const char *with); /* in the queue's list */

bool is_waiting(struct harness *h); /* a message is; its recipients have rows of their own */
bool stalls(struct harness *h);     /* the agent has it */
bool two_tries(struct harness *h);  /* three times there was no memory */
bool reported(struct harness *h);

/* By the operator, so that nothing waits for the curve: all that waits, until one of it does so again. */
void try_again(struct harness *h);
#endif
