/* The event loop: see loop.h.  A watch that is removed while its round is served must not be called: its place in the round is cleared. */
#include "queue/loop.h"

#include <sys/epoll.h>

#define EVENTS 128

static struct epoll_event round_events[EVENTS];
static int round_count;

int loop_open(struct loop *l, struct err *e)
{
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return l->epoll_fd < 0 ? err_sys(e, "epoll") : 0;
}

int loop_add(struct loop *l, struct watch *w, struct err *e)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = w};
	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, w->fd, &ev) < 0 ? err_sys(e, "epoll") : 0;
}

int loop_want_write(struct loop *l, struct watch *w, bool write, struct err *e)
{
	struct epoll_event ev = {.events = write ? EPOLLOUT : EPOLLIN, .data.ptr = w};
	return epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) < 0 ? err_sys(e, "epoll") : 0;
}

void loop_remove(struct loop *l, struct watch *w)
{
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	for (int i = 0; i < round_count; i++)
		if (round_events[i].data.ptr == w)
			round_events[i].data.ptr = NULL;
}

void loop_round(struct loop *l, int msec)
{
	int n = epoll_wait(l->epoll_fd, round_events, EVENTS, msec);
	round_count = n > 0 ? n : 0;
	for (int i = 0; i < round_count; i++) {
		struct watch *w = round_events[i].data.ptr;
		if (w)
			w->ready(w);
	}
	round_count = 0;
}
