/* Trying again what waits for the directory alone: see comeback.h.  There is no list of such messages: the flag in the index is found by walking over it in slices,
 * and a lap that finds none ends it. */
#include "queue/comeback.h"

#include "lib/log.h"
#include "queue/pause.h"

#define SLICE 16384
#define TICK_MSEC 1000
#define SILENT_TICKS 10

/* Moments and pauses are spread; nothing hangs on their being hard to guess. */
static uint32_t draw(uint32_t below)
{
	static uint32_t x;
	x = x ? x : (uint32_t)clock_wall_usec() | 1;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x % below;
}

void comeback_alive(struct queue *q)
{
	struct comeback *c = &q->comeback;
	if (c->any && !c->rate && c->next_msec > c->looked_msec + COMEBACK_PROBE_MSEC)
		c->next_msec = c->looked_msec + COMEBACK_PROBE_MSEC;
}

void comeback_waits(struct queue *q)
{
	struct comeback *c = &q->comeback;
	c->again = true;
	if (c->any)
		return;
	c->any = true;
	c->lap = false;
	c->rate = c->left = c->out = c->routed = c->stuck = c->silent = 0;
	c->probe_msec = COMEBACK_PROBE_MSEC;
	c->looked_msec = clock_msec();
	c->next_msec = clock_msec() + c->probe_msec / 2 + draw((uint32_t)c->probe_msec);
}

void comeback_answered(struct queue *q, bool routed)
{
	struct comeback *c = &q->comeback;
	*(routed ? &c->routed : &c->stuck) += 1;
	c->out -= c->out > 0;
	if (routed && !c->rate && c->any)
		c->next_msec = clock_msec();
}

/* How many may go now, by what became of those before.  The count of those without an answer may be too high, as of what was deleted meanwhile: silence ends it. */
static unsigned allowance(struct comeback *c)
{
	unsigned answers = c->routed + c->stuck, before = c->rate;
	if (c->out && !answers && c->silent++ < SILENT_TICKS)
		return 0;
	if (!answers)
		c->out = 0;
	if (c->stuck > c->routed) {
		c->rate = 0;
		c->probe_msec = c->probe_msec * 2 < COMEBACK_PROBE_MOST_MSEC ? c->probe_msec * 2 : COMEBACK_PROBE_MOST_MSEC;
	} else if (c->routed)
		c->rate = !c->rate ? 2 : c->rate * 2 < COMEBACK_MOST ? c->rate * 2 : COMEBACK_MOST;
	if (c->rate && !before)
		LOG(EV_queue_comeback, NULL);
	c->routed = c->stuck = c->silent = 0;
	unsigned room = c->out < COMEBACK_OUT ? COMEBACK_OUT - c->out : 0, n = c->rate ? c->rate : 1;
	return n < room ? n : room;
}

static void let_go(struct queue *q, struct message *m)
{
	uint32_t at = (uint32_t)queue_now_sec() + (q->comeback.rate ? draw(COMEBACK_SPREAD_SEC) : 0);
	m->flags &= (unsigned char)~MESSAGE_UNROUTED;
	if (at < m->next_sec)
		index_wait(&q->index, m, at);
	q->comeback.out++;
}

static bool waits_so(const struct message *m)
{
	return m && m->flags & MESSAGE_UNROUTED && !(m->flags & MESSAGE_HELD) && m->heap_at && !m->work;
}

/* Goes on where it stopped. */
static void walk(struct queue *q)
{
	struct comeback *c = &q->comeback;
	for (unsigned i = 0; i < SLICE && c->left; i++) {
		if (c->cursor >= q->index.used) {
			c->cursor = 0;
			if (c->lap && !c->again) { /* none in a whole lap */
				c->any = false;
				return;
			}
			c->lap = true;
			c->again = false;
		}
		struct message *m = index_nth(&q->index, c->cursor++);
		if (!waits_so(m))
			continue;
		c->lap = false;
		c->left--;
		let_go(q, m);
	}
}

void comeback_tend(struct queue *q)
{
	struct comeback *c = &q->comeback;
	if (!c->any || q->stopping || pause_all() || clock_msec() < c->next_msec)
		return;
	c->looked_msec = clock_msec();
	if (!c->left)
		c->left = allowance(c);
	walk(q);
	if (!c->any)
		return;
	int64_t pause = c->rate ? TICK_MSEC : c->probe_msec / 2 + draw((uint32_t)c->probe_msec);
	c->next_msec = c->left && attempt_may_load(q) ? clock_msec() : clock_msec() + pause;
}

int64_t comeback_next(const struct queue *q)
{
	return q->comeback.any && !pause_all() ? q->comeback.next_msec : 0;
}
