/* Which recipients of an attempt are reported to whom, and the report as a message of its own.  RFC 3461, RFC 3464; bounce.h makes its octets. */
#ifndef POSTERN_QUEUE_REPORT_H
#define POSTERN_QUEUE_REPORT_H
#include "queue/queue.h"
#include "queue/selection.h"

struct report {
	char id[ID_LEN + 1];
	unsigned char prologue[PROLOGUE];
	struct buf head, body;
	bool last; /* a double bounce */
};
/* The report on the attempt at W that ends now: what failed, what is delayed for long (not FINISHED), the successes that were asked for.  False: nobody is
 * to be told, or it cannot be made (logged).  It has its place in the index then, and W is marked where it told of the delay. */
bool report_make(struct report *b, struct queue *q, struct work *w, bool finished);
/* R borrows B. */
void report_record(struct store_record *r, const struct report *b);
void report_free(struct report *b);
#endif
