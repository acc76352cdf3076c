/* The beginning of an attempt: see queue.h; its end is in ending.c. */
#include <errno.h>

#include "lib/log.h"
#include "queue/pause.h"
#include "queue/priority.h"

#define LOADS_A_ROUND 32
#define UNREADABLE_SEC 3600

void attempt_start(struct queue *q, struct work *w)
{
	/* An attempt before a crash may have got through to any of them. */
	for (uint32_t i = 0; i < w->rcpts && w->m->flags & MESSAGE_DOUBT; i++)
		w->rcpt[i].doubt |= w->rcpt[i].state == RCPT_OPEN;
	w->m->work = w;
	w->m->flags &= (unsigned char)~MESSAGE_PAUSED;
	w->state.paused = 0;
	if (!w->counted)
		priority_begin(q, w);
	if (w->m->attempts < UINT16_MAX)
		w->m->attempts++;
	q->works++;
	dispatch_next(q, w);
}

/* Nothing is wrong with the message: there are too few descriptors or too little memory just now. */
static bool will_pass(const struct err *e)
{
	return e->code == E_SYS && (e->sys == EMFILE || e->sys == ENFILE || e->sys == ENOMEM);
}

static bool remembered(const struct queue *q, const struct message *m)
{
	for (unsigned i = 0; i < q->unreadables; i++)
		if (memcmp(q->unreadable[i], m->id, ID_LEN) == 0)
			return true;
	return false;
}

static void remember(struct queue *q, const struct message *m)
{
	if (!remembered(q, m) && q->unreadables < UNREADABLE_MOST)
		memcpy(q->unreadable[q->unreadables++], m->id, ID_LEN);
}

void attempt_not_seen(struct queue *q, const struct message *m, const struct err *e)
{
	char id[ID_LEN + 1] = {0};
	memcpy(id, m->id, ID_LEN);
	if (m->flags & MESSAGE_UNPLACED || will_pass(e) || remembered(q, m) || q->unreadables == UNREADABLE_MOST)
		return;
	LOG(EV_queue_unreadable, id, F_ERR(e));
	remember(q, m);
}

void attempt_unreadable(struct queue *q, struct message *m, const struct err *e)
{
	char id[ID_LEN + 1] = {0};
	memcpy(id, m->id, ID_LEN);
	if (m->flags & MESSAGE_UNPLACED) { /* the disk does not take its last STATE: see queue_alarm */
		index_wait(&q->index, m, (uint32_t)(queue_now_sec() + SOON_SEC));
		return;
	}
	if (will_pass(e)) {
		LOG(EV_fault, id, F_ERR(e));
		index_wait(&q->index, m, (uint32_t)(queue_now_sec() + SOON_SEC));
		return;
	}
	LOG(EV_queue_unreadable, id, F_ERR(e));
	remember(q, m);
	index_wait(&q->index, m, (uint32_t)(queue_now_sec() + UNREADABLE_SEC));
}

static void start_due(struct queue *q, struct message *m)
{
	struct err e;
	index_stop_waiting(&q->index, m);
	m->flags &= (unsigned char)~MESSAGE_UNROUTED;
	if (m->flags & MESSAGE_HELD) {
		hold_due(q, m);
		return;
	}
	struct work *w = work_load(q, m, true, &e);
	if (!w) {
		attempt_unreadable(q, m, &e);
		return;
	}
	w->in_hand = true;
	q->hands++;
	q->hand_octets += w->job.head.octets + w->job.body.octets;
	attempt_start(q, w);
}

bool attempt_may_load(const struct queue *q)
{
	return q->works < WORKS_MOST / 4 * 3 && (q->works == 0 || q->hand_octets < q->set.memory / 4 * 3);
}

/* New messages and those whose time has come take turns. */
void attempt_due(struct queue *q)
{
	uint32_t now = (uint32_t)queue_now_sec();
	if (pause_all()) {
		pause_fresh(q);
		return;
	}
	for (int i = 0; i < LOADS_A_ROUND && q->works < WORKS_MOST; i++) {
		struct message *m = index_first(&q->index);
		struct work *w = work_lists_pop(&q->fresh);
		bool due = m && m->next_sec <= now && attempt_may_load(q);
		if (w)
			attempt_start(q, w);
		if (due)
			start_due(q, m);
		if (!w && !due)
			return;
	}
}
