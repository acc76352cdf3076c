/* Calls in the event loop: see call.h.  Runs in postern-queue. */
#include "queue/call.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

void call_begin(struct queue *q, struct call_list *list, struct call *c, int fd, void (*ready)(struct watch *))
{
	struct err e;
	c->q = q;
	c->watch = (struct watch){ready, c, fd};
	c->next = list->first;
	c->prev = &list->first;
	if (c->next)
		c->next->prev = &c->next;
	list->first = c;
	if (loop_add(&q->loop, &c->watch, &e) < 0)
		c->deadline = 0; /* ends at the next look at the deadlines, as unknown */
}

void call_end(struct call *c)
{
	loop_remove(&c->q->loop, &c->watch);
	close_fd(&c->watch.fd);
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	free(c);
}

/* Not ask_read(): while the program stops, answers that are under way still count. */
int call_read(struct call *c, char *space, size_t size, size_t *n)
{
	ssize_t got = recv(c->watch.fd, space, size, MSG_DONTWAIT | MSG_TRUNC);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return E_TIMEOUT;
	*n = got > 0 ? (size_t)got : 0;
	return got > 0 && (size_t)got <= size ? 0 : E_EOF;
}

/* Few calls hang, so the walk is short enough once a second. */
void call_overdue(struct call_list *list, void (*end)(struct call *c))
{
	int64_t now = clock_msec();
	for (struct call *c = list->first, *next; c; c = next) {
		next = c->next;
		if (c->deadline < now)
			end(c);
	}
}
