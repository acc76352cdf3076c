/* What the parent and its sessions know together: one shared anonymous mapping with a slot for each session.  A session writes into its
 * slot how many octets of mail it holds unanswered; the parent empties the slot of a child that is gone, so that a killed
 * session gives its octets back.  The sum is taken over the slots, so there is no total that could drift. */
#ifndef POSTERN_SMTPD_SLOTS_H
#define POSTERN_SMTPD_SLOTS_H
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"

#define SLOTS_MAX 20000 /* sessions, as many as concurrencyincoming may allow */

struct slots_shared {
	_Atomic unsigned used;           /* slots from here on were never taken */
	_Atomic int64_t octets[SLOTS_MAX]; /* written by the session, emptied by the parent */
};
struct slots_own { /* the parent's, out of the sessions' reach: no child has a copy */
	unsigned used, live;
	pid_t pid[SLOTS_MAX]; /* 0: free */
};
struct slots {
	struct slots_shared *shared;
	struct slots_own *own;
};

/* Fill S, which is all zero, with new mappings.  0 or E_SYS. */
MUST_CHECK int slots_make(struct slots *s, struct err *e);
/* The parent: a free slot's number, or -1.  It is taken by slots_set(). */
int slots_free(const struct slots *s);
void slots_set(struct slots *s, int number, pid_t pid);
/* The parent: PID is gone.  Returns the octets that it had counted, -1 where PID has no slot. */
int64_t slots_gone(struct slots *s, pid_t pid);
/* The session: it holds OCTETS now.  False when all together would hold more than MOST; its slot then stays as it was. */
bool slots_hold(struct slots_shared *s, int number, int64_t octets, int64_t most);
#endif
