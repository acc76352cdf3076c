/* Deliveries that the postmaster has paused: see pause.h. */
#include "queue/pause.h"

#include "lib/log.h"
#include "queue/dispatch.h"
#include "queue/priority.h"

static unsigned paused;
static int64_t free_since_msec; /* deliveries: since the start, or the end of the last pause */

unsigned pause_now(void)
{
	return paused;
}

bool pause_all(void)
{
	return paused == PAUSE_ALL;
}

unsigned pause_side(enum agent agent)
{
	return agent == AGENT_NONE ? 0 : agent == AGENT_LOCAL || agent == AGENT_LMTP ? PAUSE_LOCAL : PAUSE_REMOTE;
}

int64_t pause_over_msec(void)
{
	return clock_msec() - free_since_msec;
}

const char *pause_text(unsigned sides)
{
	return sides == PAUSE_LOCAL ? "deliveries to mailboxes are paused (control/holdlocal)" : sides == PAUSE_REMOTE ?
		"deliveries to other hosts are paused (control/holdremote)" : "all deliveries are paused (control/holdlocal, control/holdremote)";
}

void pause_rcpt(struct work_rcpt *r, unsigned side)
{
	rcpt_text(r, RCPT_DEFERRED, "4.3.2", pause_text(side));
	r->paused = (unsigned char)side;
}

bool pause_keeps(unsigned sides)
{
	return sides && (sides & paused) == sides;
}

bool pause_delays(const struct message *m)
{
	return pause_all() && !m->work && !(m->flags & MESSAGE_HELD) && m->heap_at && m->next_sec <= queue_now_sec();
}

uint32_t pause_birth(const struct message *m)
{
	int64_t now = queue_now_sec(), birth = id_wall_usec(slice_make(m->id, ID_LEN)) / 1000000;
	return (uint32_t)(birth > 0 && birth < now ? birth : now);
}

void pause_fresh(struct queue *q)
{
	struct work *w;
	while ((w = work_lists_pop(&q->fresh))) {
		if (w->cancelled) {
			attempt_start(q, w);
			continue;
		}
		index_wait(&q->index, w->m, pause_birth(w->m));
		w->m->work = NULL;
		work_free(q, w);
	}
}

static void let_go(struct queue *q)
{
	for (uint32_t i = 0; i < q->index.used; i++) {
		struct message *m = index_nth(&q->index, i);
		if (!m || !(m->flags & MESSAGE_PAUSED) || m->flags & MESSAGE_HELD || m->work || (!m->heap_at && pause_keeps(m->next_sec)))
			continue;
		m->flags &= (unsigned char)~MESSAGE_PAUSED;
		index_wait(&q->index, m, pause_birth(m));
	}
}

void pause_take(struct queue *q)
{
	const struct control *c = program_control();
	unsigned before = paused;
	paused = (control_number(c, C_holdlocal) ? PAUSE_LOCAL : 0) | (control_number(c, C_holdremote) ? PAUSE_REMOTE : 0);
	if (!free_since_msec || before & ~paused)
		free_since_msec = clock_msec();
	if (paused == before)
		return;
	if (paused)
		LOG(EV_queue_paused, NULL, F_STR("text", pause_text(paused)));
	else
		LOG(EV_queue_resumed, NULL);
	if (paused & ~before)
		delivering_paused(q);
	if (before & ~paused)
		let_go(q);
}
