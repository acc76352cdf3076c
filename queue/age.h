/* Who is bounced for age: what an attempt past control/queuelifetime did not bring through, but not within a sixteenth of that after deliveries began or went on: a start, the
 * end of a pause (pause.h), the message's own release from a hold.  So what aged while nothing could be tried has two attempts at least, and a destination that is closed
 * just then has some hours.
 *
 * A message lives longer by its releases once: the release whose sixteenth ends past its lifetime is the last that counts.  Of a release nothing is on disk, for a start
 * gives every message as much again. */
#ifndef POSTERN_QUEUE_AGE_H
#define POSTERN_QUEUE_AGE_H
#include "queue/queue.h"

/* At the end of an attempt: what of W is deferred, or in doubt, has failed where it is too old; not what waits for a pause, or was held meanwhile. */
void age_give_up(const struct queue *q, struct work *w, int64_t now_sec);
/* Until when W is tried at least, as its sender is told of a delay; the end of a pause that goes on is not known, so a sixteenth from now. */
int64_t age_until_sec(const struct queue *q, const struct work *w);
/* W is no longer held. */
void age_released(const struct queue *q, const struct work *w);
#endif
