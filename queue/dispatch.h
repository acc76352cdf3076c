/* Routing and delivering: what the modules behind dispatch() (queue.h) share.
 *
 *	routing.c     recipients to postern-route, windows of a message's recipients
 *	units.c       routed recipients into units, which wait in their channels (channel.h)
 *	order.c       a unit as its agent reads it
 *	delivering.c  units to the agents, by conversations
 *	results.c     what the agents answered
 *	dispatch.c    one round of all that; the channels' limits */
#ifndef POSTERN_QUEUE_DISPATCH_H
#define POSTERN_QUEUE_DISPATCH_H
#include "queue/queue.h"

/* Ask for the next recipients as far as there is room. */
void routing_go_on(struct queue *q);
void routing_overdue(void);
/* The recipients of W's window that were routed and are not in a unit yet go into units. */
void units_make(struct queue *q, struct work *w);
/* The delivery of U, by the grammar of postern-delivery(5), behind what is in B; .overflow: no memory, or longer than a datagram may be. */
void order_put(struct buf *b, const struct unit *u);
/* Take over the results in ANSWER, for recipients of U that are under way; all behind the first that breaks the grammar is passed over.  The mark behind them, or
 * MARK_NONE. */
enum delivery_mark results_take(struct unit *u, struct slice answer);
/* Each recipient of U has a result. */
bool results_all_in(const struct unit *u);
/* How near U came to its destination, by its results and the mark.  *WHY: the text of the last result, which it borrows; as it was without one. */
enum reached results_reached(const struct unit *u, enum delivery_mark mark, const char **why);
/* The delivery is over: who has no result gets UNKNOWN as his text, who is done is noted.  Frees U; its work goes on. */
void results_end(struct queue *q, struct unit *u, const char *unknown);
/* The end of W's attempt cannot be written: RESULTs say at least who of it is done. */
void results_keep(struct queue *q, struct work *w);
/* Send what may go out by C. */
void delivering_go_on(struct queue *q, struct channel *c);
void delivering_overdue(void);
/* What waits for its turn on a side that is paused (pause.h) waits for its end instead; a message that has nothing else under way ends. */
void delivering_paused(struct queue *q);
#endif
