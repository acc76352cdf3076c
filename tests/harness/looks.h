/* What a queue under test knows of its mail, and waiting until it does. */
#ifndef POSTERN_TESTS_HARNESS_LOOKS_H
#define POSTERN_TESTS_HARNESS_LOOKS_H
#include "lib/slice.h"
#include "tests/harness/harness.h"

/* A command of the queue (queue_command.h) with up to two arguments, or NULL. */
int command(struct harness *h, char *out, size_t size, const char *verb, const char *arg, const char *arg2);
int command_of(struct harness *h, char *out, size_t size, const struct slice *args, size_t count);
/* The answer to the last command; the looks below leave theirs here. */
extern char rows[1 << 20];
/* The number behind the first "KEY=" in rows, or -1. */
long long number_of(const char *key);
/* How many messages are listed in TEXT. */
int found(const char *text);
/* The number KEY in the queue's status; -1 also where that has problems. */
long long status_of(struct harness *h, const char *key);

/* True as soon as YES is, false where it is not within ten seconds. */
bool until(bool (*yes)(struct harness *h), struct harness *h);
bool empty(struct harness *h);           /* nothing is in the queue */
bool idle(struct harness *h);            /* nothing is being delivered */
bool all_gone(struct harness *h);        /* no message is counted, whatever problem there is */
bool has_reason(struct harness *h);      /* somebody waits, and why is said */
bool attempt_over(struct harness *h);    /* one attempt was made, and the message waits */
bool is_held(struct harness *h);         /* one message is */

bool first_delivered(struct harness *h); /* somebody has message 1 */
/* ADDRESS was among the last that something was delivered to; sender@here.test was, who gets only reports. */
bool saw(struct harness *h, const char *address);
bool sender_told(struct harness *h);
#endif
