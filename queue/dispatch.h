/* Routing and delivering: what the modules behind dispatch() (queue.h) share.
 *
 *	routing.c     recipients to postern-route, windows of a message's recipients
 *	units.c       routed recipients into units, which wait in their channels (channel.h)
 *	delivering.c  units to the agents, their results
 *	dispatch.c    one round of all that; the channels' limits */
#ifndef POSTERN_QUEUE_DISPATCH_H
#define POSTERN_QUEUE_DISPATCH_H
#include "queue/queue.h"

/* Ask for the next recipients as far as there is room. */
void routing_go_on(struct queue *q);
void routing_overdue(void);
/* The recipients of W's window that were routed and are not in a unit yet go into units. */
void units_make(struct queue *q, struct work *w);
/* Send what may go out by C. */
void delivering_go_on(struct queue *q, struct channel *c);
void delivering_overdue(void);
#endif
