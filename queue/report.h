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
	size_t count;         /* recipients it tells of */
	struct slice lost;    /* an address: it would be a report on a double bounce, and there is none */
	const char *why_not;  /* the sender may not be who sent it, and is not told */
};
/* What the sender of W asked to be told of R, which is done, and has not been told yet: NOTE_DELIVERED, NOTE_RELAYED, NOTE_EXPANDED; or 0. */
enum note_kind report_owed(const struct work *w, const struct work_rcpt *r);
/* The report on the attempt at W that ends now: what failed, what is delayed for long (not FINISHED), the successes that were asked for.  1: it
 * has its place in the index, and W is marked where it tells of the delay; 0: nobody is to be told; E_SYS: it cannot be made (logged), so nothing of it may count
 * as told.  In all cases B is then given to report_added() or report_undo(), and to report_free(); it borrows from W. */
MUST_CHECK int report_make(struct report *b, struct queue *q, struct work *w, bool finished);
/* There is a message to be sent. */
bool report_sends(const struct report *b);
/* R borrows B. */
void report_record(struct store_record *r, const struct report *b);
/* It was added to the store, not yet committed: it is logged and counted, and has its time.  Or it was not: its place is given back. */
void report_added(struct queue *q, const struct work *w, const struct report *b);
void report_undo(struct queue *q, const struct report *b);
void report_free(struct report *b);
#endif
