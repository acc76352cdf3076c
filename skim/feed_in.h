/* The receiving side of feed.h in postern-skim. */
#ifndef POSTERN_SKIM_FEED_IN_H
#define POSTERN_SKIM_FEED_IN_H
#include "skim/commands.h"

/* Judge what waits on SOCK, at most so much that mail does not wait for it; CHANGED is told of each user that was judged. */
void feed_take(struct engine *g, int sock, commands_changed *changed, void *arg);
/* One datagram, at NOW.  0 or E_PEER. */
MUST_CHECK int feed_judge(struct decision *d, struct engine *g, struct slice text, int64_t now, struct err *e);
#endif
