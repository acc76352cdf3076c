/* Held messages: see queue.h.  A hold has a reason, an owner, a deadline and what happens then; all of it stands in the envelope or the last STATE. */
#include <stdlib.h>

#include "lib/log.h"
#include "queue/age.h"
#include "queue/queue.h"

#define HOLD_GIVEN_UP 1 /* as deadline: bounce it, with .hold_reason as what the sender is told */

bool hold_write(struct queue *q, struct work *w)
{
	struct buf b = BUF_INIT(STORE_NOTE_MAX);
	w->state.paused = 0;
	bool written = work_state(&b, w, queue_now_sec(), false) == 0 && queue_note(q, w->m, RECORD_STATE, buf_slice(&b), false);
	buf_free(&b);
	return written;
}

static void begin(struct queue *q, struct work *w)
{
	w->m->flags &= (unsigned char)~MESSAGE_HELD;
	w->state.held = false;
	attempt_start(q, w);
}

void hold_fail_open(struct work *w)
{
	for (uint32_t i = 0; i < w->rcpts; i++)
		if (work_is_open(&w->rcpt[i]))
			rcpt_text(&w->rcpt[i], RCPT_FAILED, "5.7.1", w->because ? w->because : "given up");
}

void hold_as_given_up(struct note_state *s, const struct work *w)
{
	s->held = true;
	s->hold_reason = slice_upto(slice_str(w->because ? w->because : "given up"), HOLD_REASON_MAX);
	s->hold_until_sec = HOLD_GIVEN_UP;
	s->hold_then = 'b';
}

void hold_keep_given_up(struct work *w)
{
	hold_as_given_up(&w->state, w);
}

/* What is under way may take hours. */
static bool note_given_up(struct queue *q, struct work *w)
{
	struct note_state before = w->state;
	hold_keep_given_up(w);
	bool written = hold_write(q, w);
	if (!written)
		w->state = before;
	return written;
}

bool hold_give_up(struct queue *q, struct work *w, struct slice reason)
{
	char *because = malloc(reason.n + 1), *before = w->because;
	if (because) {
		memcpy(because, reason.p, reason.n);
		because[reason.n] = 0;
	}
	w->because = because;
	if (w->m->work && !note_given_up(q, w)) {
		w->because = before;
		free(because);
		return false;
	}
	free(before);
	/* Somebody decided that the sender is told: see backscatter(). */
	w->state.held = false;
	w->state.hold_reason = slice_make("", 0);
	w->bounce_then = true;
	w->cancelled = true;
	if (!w->m->work) {
		index_stop_waiting(&q->index, w->m);
		begin(q, w);
	}
	return true;
}

void hold_due(struct queue *q, struct message *m)
{
	struct err e;
	struct work *w = work_load(q, m, true, &e);
	if (!w) {
		attempt_unreadable(q, m, &e);
		return;
	}
	char then = w->state.hold_then ? w->state.hold_then : 'r';
	LOG(EV_queue_hold_over, w->job.id, F_SLICE("then", slice_make(&then, 1)));
	if (then == 'd') {
		work_free(q, w);
		if (!queue_finish(q, m, true))
			index_wait(&q->index, m, (uint32_t)(queue_now_sec() + SOON_SEC));
	} else if (then == 'b') {
		bool given_up = w->state.hold_until_sec == HOLD_GIVEN_UP;
		/* Nothing is under way, so it is begun. */
		(void)!hold_give_up(q, w, given_up ? w->state.hold_reason : slice_str("the message was held and nobody released it in time"));
	} else {
		age_released(q, w);
		begin(q, w);
	}
}
