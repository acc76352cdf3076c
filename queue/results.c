/* What the agents say of a delivery: see dispatch.h.  They are believed as far as their answers keep their grammar; of whom they say nothing the outcome is unknown, and
 * he is tried again with .doubt. */
#include <stdlib.h>

#include "lib/log.h"
#include "queue/dispatch.h"
#include "queue/report.h"

/* Its RESULT, with what the sender asked to be told, so that a crash before the report keeps it. */
static void put_done(struct buf *b, const struct work *w, const struct work_rcpt *r)
{
	struct note_done d = {.number = r->number, .kind = report_owed(w, r)};
	if (d.kind) {
		memcpy(d.enhanced, r->enhanced, sizeof d.enhanced);
		d.host = slice_str(r->host);
		d.text = slice_str(r->text);
	}
	note_done_put(b, &d);
}

#define DONE_OCTETS (DELIVERY_RECIPIENTS_MAX * (2 * DELIVERY_TEXT_MAX + 64))

void results_keep(struct queue *q, struct work *w)
{
	struct buf done = BUF_INIT(DONE_OCTETS);
	size_t n = 0;
	for (uint32_t i = 0; i < w->rcpts; i++) {
		if (w->rcpt[i].state == RCPT_DONE) {
			put_done(&done, w, &w->rcpt[i]);
			n++;
		}
		if (n < DELIVERY_RECIPIENTS_MAX && (!n || i + 1 < w->rcpts))
			continue;
		if (done.n && !done.overflow)
			(void)!queue_note(q, w->m, RECORD_RESULT, buf_slice(&done), false);
		buf_reset(&done);
		n = 0;
	}
	buf_free(&done);
}

void results_end(struct queue *q, struct unit *u, const char *unknown)
{
	struct work *w = u->w;
	struct buf done = BUF_INIT(DONE_OCTETS);
	for (size_t i = 0; i < u->n; i++) {
		struct work_rcpt *r = &w->rcpt[u->rcpt[i]];
		if (r->state == RCPT_SENT) {
			r->doubt = true;
			rcpt_text(r, RCPT_UNKNOWN, "4.3.0", unknown);
		}
		if (r->state == RCPT_DONE) {
			put_done(&done, w, r);
			w->done_here++;
			q->counts.delivered++;
			LOG(EV_queue_delivered, w->job.id, F_SLICE("rcpt", work_address(w, r)), F_STR("text", r->text ? r->text : ""));
		}
	}
	free(u);
	w->sent--;
	dispatch_next(q, w);
	/* The last result goes into the record that ends the attempt; so does what there is no memory for, and until then it is in doubt. */
	if (done.n && !done.overflow && !(w->listed && w->cursor >= w->rcpts && !w->sent))
		(void)!queue_note(q, w->m, RECORD_RESULT, buf_slice(&done), false);
	buf_free(&done);
}

enum delivery_mark results_take(struct unit *u, struct slice rest)
{
	struct delivery_result res;
	enum delivery_mark mark;
	while ((mark = mark_decode(&rest)) == MARK_NONE && result_decode(&res, &rest) == 0) {
		struct work_rcpt *r = work_find(u->w, res.number);
		bool ours = false;
		for (size_t i = 0; r && i < u->n; i++)
			ours |= &u->w->rcpt[u->rcpt[i]] == r;
		if (!ours || r->state != RCPT_SENT)
			continue;
		/* Between hosts doubt stays until the message is through: a copy that is refused now says nothing of the one before. */
		r->doubt = res.relay == RELAY_DOUBT || (r->doubt && u->channel->agent == AGENT_QMQP);
		rcpt_result(r, res.status == DELIVERY_DONE ? RCPT_DONE : res.status == DELIVERY_FAILED ? RCPT_FAILED : RCPT_DEFERRED,
			res.enhanced, res.host, res.text);
		r->remote = u->channel->agent != AGENT_LOCAL;
		r->relay = res.relay;
	}
	return mark;
}

static bool no_answer(const struct work_rcpt *r)
{
	return r->state == RCPT_DEFERRED && (strcmp(r->enhanced, "4.4.1") == 0 || strcmp(r->enhanced, "4.4.3") == 0);
}

/* Whether the destination was reached: 4.4.1 (no host answers) or 4.4.3 (no name server does) for all says that it was not; nothing but deferrals and the mark, that it was too much. */
enum reached results_reached(const struct unit *u, enum delivery_mark mark, const char **why)
{
	bool any = false, called = true, taken = false;
	for (size_t i = 0; i < u->n; i++) {
		const struct work_rcpt *r = &u->w->rcpt[u->rcpt[i]];
		if (r->state == RCPT_SENT)
			continue;
		any = true;
		taken |= r->state != RCPT_DEFERRED;
		called &= no_answer(r);
		*why = r->text;
	}
	if (any && !taken && mark == MARK_BUSY)
		return REACHED_BUSY;
	return !any ? REACHED_UNKNOWN : called ? REACHED_NOT : REACHED_YES;
}

bool results_all_in(const struct unit *u)
{
	for (size_t i = 0; i < u->n; i++)
		if (u->w->rcpt[u->rcpt[i]].state == RCPT_SENT)
			return false;
	return true;
}
