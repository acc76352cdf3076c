/* Deadlines of the door's clients: a binary heap, so that a clock tick costs nothing while nothing is due and a client that leaves
 * early is taken out at once.  Part of postern-door. */
#include <stdlib.h>

#include "smtpd-outside/door.h"

static void put(struct door *d, unsigned at, struct client *c)
{
	d->heap[at] = c;
	c->heap_at = at;
}

static void up(struct door *d, unsigned at, struct client *c)
{
	for (; at > 1 && d->heap[at / 2]->deadline > c->deadline; at /= 2)
		put(d, at, d->heap[at / 2]);
	put(d, at, c);
}

static void down(struct door *d, unsigned at, struct client *c)
{
	for (unsigned child; (child = at * 2) <= d->heap_count; at = child) {
		if (child < d->heap_count && d->heap[child + 1]->deadline < d->heap[child]->deadline)
			child++;
		if (d->heap[child]->deadline >= c->deadline)
			break;
		put(d, at, d->heap[child]);
	}
	put(d, at, c);
}

static int grow(struct door *d)
{
	unsigned room = d->heap_room ? d->heap_room * 2 : 256;
	struct client **heap = reallocarray(d->heap, room, sizeof *heap);
	if (!heap)
		return E_SYS;
	d->heap = heap;
	d->heap_room = room;
	return 0;
}

int door_timer_set(struct door *d, struct client *c, int64_t deadline)
{
	door_timer_clear(d, c);
	if (d->heap_count + 1 >= d->heap_room && grow(d) < 0)
		return E_SYS;
	c->deadline = deadline;
	up(d, ++d->heap_count, c);
	return 0;
}

void door_timer_clear(struct door *d, struct client *c)
{
	unsigned at = c->heap_at;
	if (!at)
		return;
	struct client *moved = d->heap[d->heap_count--];
	c->heap_at = 0;
	if (moved == c)
		return;
	if (at > 1 && d->heap[at / 2]->deadline > moved->deadline)
		up(d, at, moved);
	else
		down(d, at, moved);
}

struct client *door_timer_due(struct door *d)
{
	if (d->heap_count == 0 || d->heap[1]->deadline > d->now)
		return NULL;
	struct client *c = d->heap[1];
	door_timer_clear(d, c);
	return c;
}

int64_t door_timer_next(const struct door *d)
{
	return d->heap_count ? d->heap[1]->deadline : DEADLINE_NEVER;
}
