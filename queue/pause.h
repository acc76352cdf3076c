/* Deliveries that the postmaster has paused: control/holdlocal (Maildirs and LMTP, the side of the mailboxes) and control/holdremote (SMTP and QMQP, the side of other
 * hosts).  Nothing is begun on a paused side; what is under way ends.
 *
 * While both are paused no attempt begins and route is not asked: mail waits in the index as due.  While one is, mail goes as far as route's answer; a recipient of the
 * paused side is deferred without a time.  A message whose recipients all wait so is parked: MESSAGE_PAUSED, not in the heap, in .next_sec the sides that it waits for, the
 * same in its STATE.  One that waits for something else too has the flag and its time by the curve.  None of that counts as an attempt unless an agent had the message, and
 * nobody is bounced for it (age.h).
 *
 * As with what waits for the directory (comeback.h) there is no list: the flag in the index is found by walking over it.  The end of a pause needs no probing, so the
 * walk is one, and what was parked waits in the heap by its age, as after a start: WORKS_MOST and queuememory bound how much of it goes at once. */
#ifndef POSTERN_QUEUE_PAUSE_H
#define POSTERN_QUEUE_PAUSE_H
#include "queue/queue.h"

enum pause_side {
	PAUSE_LOCAL = 1,
	PAUSE_REMOTE = 2,
	PAUSE_ALL = 3, /* also: of a recipient whose side is not known */
};

/* Take over the settings, at a start and after a reload: what waits for its turn on a side paused now gives its place back, what waited for one that is no longer is due. */
void pause_take(struct queue *q);
/* The sides that are paused, and whether all are. */
unsigned pause_now(void);
bool pause_all(void);
/* Of AGENT; 0 where it is none. */
unsigned pause_side(enum agent agent);
/* How long ago a pause of some side ended, or the queue was started. */
int64_t pause_over_msec(void);
/* Words for the postmaster; SIDES is not 0. */
const char *pause_text(unsigned sides);
/* R waits for SIDE, in this attempt. */
void pause_rcpt(struct work_rcpt *r, unsigned side);
/* What waits for SIDES waits on. */
bool pause_keeps(unsigned sides);
/* M would be tried now, if not all were paused. */
bool pause_delays(const struct message *m);
/* All are paused: what is in hand for its first attempt is read back after the pause.  What an operator has given up or held has nothing to wait for. */
void pause_fresh(struct queue *q);
/* When M came, in seconds, by its id; never later than now. */
uint32_t pause_birth(const struct message *m);
#endif
