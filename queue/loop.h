/* The event loop: descriptors with a function each (epoll). */
#ifndef POSTERN_QUEUE_LOOP_H
#define POSTERN_QUEUE_LOOP_H
#include <stdint.h>

#include "lib/err.h"

struct watch {
	void (*ready)(struct watch *watch);
	void *ctx;
	int fd;
};
struct loop {
	int epoll_fd;
};
MUST_CHECK int loop_open(struct loop *l, struct err *e);
/* Call W->ready when W->fd can be read (or has ended); W stays where it is until loop_remove(). */
MUST_CHECK int loop_add(struct loop *l, struct watch *w, struct err *e);
/* The same for writing instead of reading. */
MUST_CHECK int loop_want_write(struct loop *l, struct watch *w, bool write, struct err *e);
/* Not called any more, not even for what this round found. */
void loop_remove(struct loop *l, struct watch *w);
/* Wait at most MSEC (-1: for ever) and serve what is ready.  A signal ends the wait. */
void loop_round(struct loop *l, int msec);
#endif
