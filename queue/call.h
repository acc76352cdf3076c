/* Questions and deliveries that wait for their answers, each on a socket of its own. */
#ifndef POSTERN_QUEUE_CALL_H
#define POSTERN_QUEUE_CALL_H
#include "queue/queue.h"

struct call {
	struct watch watch;
	struct queue *q;
	struct work *w;
	uint32_t rcpt;      /* a question */
	/* A conversation with an agent: */
	struct channel *channel;
	struct destination *to;
	struct unit *unit;  /* being delivered; NULL: ready for more */
	bool answered;      /* by the far side */
	unsigned messages;  /* since its turn began */
	int64_t began, turn_began;
	struct call *next_ready;
	int64_t deadline;
	struct call *next, **prev;
};
/* Newest first, so in the order of their deadlines. */
struct call_list {
	struct call *first;
};
/* C (allocated, filled) waits for FD: READY is called with its watch. */
void call_begin(struct queue *q, struct call_list *list, struct call *c, int fd, void (*ready)(struct watch *));
/* No longer; closes the descriptor and frees C. */
void call_end(struct call *c);
/* What came.  0; E_TIMEOUT: nothing yet; E_EOF: the end, or too much. */
MUST_CHECK int call_read(struct call *c, char *space, size_t size, size_t *n);
/* END each call of LIST whose deadline has passed. */
void call_overdue(struct call_list *list, void (*end)(struct call *c));
#endif
