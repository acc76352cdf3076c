/* What waits for the directory alone.  Mail whose way could not be found out, as the directory (or route) gave no answer, waits by the curve like all other; but when
 * answers come again it need not wait for hours.
 *
 * While such mail is there, one message of it is tried after COMEBACK_PROBE_MSEC, then after twice as long, up to COMEBACK_PROBE_MOST_MSEC (half as much more or less);
 * and after the first of these when the directory has answered for other mail.  Once the answer is there the others follow: twice as many each time that those before were answered, at
 * most COMEBACK_MOST a second and COMEBACK_OUT that have no answer yet, each at a moment of its own within COMEBACK_SPREAD_SEC.  Where most answers fail again it goes
 * back to one.
 *
 * The directory's trouble may be with one entry alone; so a message that was tried COMEBACK_ATTEMPTS times is none of these any more. */
#ifndef POSTERN_QUEUE_COMEBACK_H
#define POSTERN_QUEUE_COMEBACK_H
#include "queue/queue.h"

#define COMEBACK_PROBE_MSEC 10000
#define COMEBACK_PROBE_MOST_MSEC 120000
#define COMEBACK_ATTEMPTS 100
#define COMEBACK_MOST 256
#define COMEBACK_OUT 512
#define COMEBACK_SPREAD_SEC 3

/* The directory has answered for some recipient. */
void comeback_alive(struct queue *q);
/* A message waits, with MESSAGE_UNROUTED. */
void comeback_waits(struct queue *q);
/* The first answer in an attempt at a message that had waited so: ROUTED or not. */
void comeback_answered(struct queue *q, bool routed);
/* Lets messages go when it is time; looks at a few thousand entries of the index at most. */
void comeback_tend(struct queue *q);
/* When it wants to be called, on clock_msec(); 0: nothing waits so. */
int64_t comeback_next(const struct queue *q);
#endif
