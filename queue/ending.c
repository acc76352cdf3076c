/* The end of an attempt: see queue.h.
 *
 * It is one group in the log: FINISH or STATE, and with it the bounce for those that failed now.  Neither counts without the other.  Where the group cannot be made or
 * added, the work is kept, which is all that knows how the attempt went, and ended again later. */
#include <stdlib.h>

#include "lib/log.h"
#include "queue/age.h"
#include "queue/comeback.h"
#include "queue/dispatch.h"
#include "queue/pause.h"
#include "queue/report.h"
#include "queue/schedule.h"
#include "skim/feed.h"

#define SOON_ATTEMPTS 10   /* after an unknown outcome soon, so often; then the curve */
#define AGAIN_MSEC 1000    /* until the end of an attempt is tried again, doubled each time … */
#define AGAIN_MOST_MSEC 60000 /* … up to this */

struct ending {
	uint32_t failed, deferred, unknown, open;
	uint32_t unrouted; /* of those deferred or unknown */
	uint32_t paused;   /* of those deferred, by a pause of .sides */
	unsigned sides;
	bool remote;
};

static struct ending count_up(const struct work *w)
{
	struct ending n = {0};
	for (uint32_t i = 0; i < w->rcpts; i++) {
		const struct work_rcpt *r = &w->rcpt[i];
		n.failed += r->state == RCPT_FAILED;
		n.unknown += r->state == RCPT_UNKNOWN;
		n.deferred += r->state == RCPT_DEFERRED;
		n.open += r->state < RCPT_DONE;
		n.unrouted += (r->state == RCPT_DEFERRED || r->state == RCPT_UNKNOWN) && r->unrouted;
		n.remote |= r->state == RCPT_DEFERRED && r->remote && !r->paused;
		n.paused += r->state == RCPT_DEFERRED && r->paused;
		n.sides |= r->state == RCPT_DEFERRED ? r->paused : 0;
	}
	return n;
}

static int64_t next_time(const struct work *w, const struct ending *n, int64_t now)
{
	if (n->open && !n->deferred && !n->unknown)
		return now;
	if ((n->unknown || !n->deferred) && w->m->attempts <= SOON_ATTEMPTS) /* or only the report is missing */
		return now + SOON_SEC;
	uint32_t mix = (uint32_t)(id_wall_usec(slice_make(w->job.id, ID_LEN)) >> 7) * 2654435761u + w->m->attempts * 40503u;
	return schedule_next(w->job.env.wall_usec / 1000000, now, n->remote, mix);
}

/* Addresses that do not exist (RFC 3463 X.1.X) in what a user sent. */
static void tell_skim(const struct work *w)
{
	long count = 0;
	for (uint32_t i = 0; i < w->rcpts; i++)
		count += w->rcpt[i].state == RCPT_FAILED && strncmp(w->rcpt[i].enhanced, "5.1.", 4) == 0;
	if (count && w->job.env.class == CLASS_SUBMISSION && w->job.env.user.n)
		feed_send(program_port(PORT_SKIM), &(struct feed){.kind = FEED_BOUNCED, .user = w->job.env.user, .count = count});
}

static void log_ending(const struct work *w, int64_t next)
{
	tell_skim(w);
	for (uint32_t i = 0; i < w->rcpts; i++) {
		const struct work_rcpt *r = &w->rcpt[i];
		if (r->state == RCPT_FAILED)
			LOG(EV_queue_failed, w->job.id, F_SLICE("rcpt", work_address(w, r)), F_STR("status", r->enhanced), F_STR("text", r->text ? r->text : ""));
		else if (r->state == RCPT_DEFERRED || r->state == RCPT_UNKNOWN)
			LOG(EV_queue_deferred, w->job.id, F_SLICE("rcpt", work_address(w, r)), F_STR("status", r->enhanced),
				F_STR("text", r->text ? r->text : ""), F_NUM("next", next));
	}
}

/* The record that ends it, and the report where there is one to send.  False: neither was added, and W is all that knows how the attempt went. */
static bool add_ending(struct queue *q, struct work *w, bool finished, int64_t next, struct report *report, bool told)
{
	struct buf state = BUF_INIT(STORE_NOTE_MAX);
	struct store_record group[2] = {{.kind = finished ? RECORD_FINISH : RECORD_STATE, .id = w->job.id}};
	bool sends = report_sends(report), added = finished || work_state(&state, w, next, told) == 0;
	if (!finished) {
		group[0].piece[0] = (struct store_piece){.p = state.p, .n = state.n};
		group[0].pieces = 1;
	}
	if (sends)
		report_record(&group[1], report);
	added = added && queue_add(q, w->m, group, sends ? 2 : 1, false);
	buf_free(&state);
	if (added)
		report_added(q, w, report);
	return added;
}

static bool end_finished(struct queue *q, struct work *w, struct report *report)
{
	struct message *m = w->m;
	if (!add_ending(q, w, true, 0, report, true))
		return false;
	log_ending(w, 0);
	LOG(EV_queue_done, w->job.id, F_NUM("attempts", m->attempts), F_NUM("msec", (clock_wall_usec() - w->job.env.wall_usec) / 1000));
	m->work = NULL;
	queue_forget(q, m);
	return true;
}

/* When there is to be another attempt at W.  0: all of it waits for the end of a pause. */
static int64_t wait_for(struct work *w, const struct ending *n, int64_t now)
{
	struct message *m = w->m;
	bool wholly = n->paused && n->paused == m->open;
	w->state.paused = !w->state.held && pause_keeps(n->sides) ? (unsigned char)n->sides : 0;
	if (wholly && !w->handed && m->attempts)
		m->attempts--;
	if (n->paused && !w->state.paused) /* it ended meanwhile */
		return pause_birth(m);
	return wholly ? 0 : next_time(w, n, now);
}

static bool end_waiting(struct queue *q, struct work *w, const struct ending *n, int64_t now, struct report *report, bool told)
{
	struct message *m = w->m;
	const unsigned short attempts = m->attempts;
	m->open = n->deferred + n->unknown + n->open;
	int64_t next = wait_for(w, n, now);
	w->state.unrouted = m->open && n->unrouted == m->open && !w->state.held && m->attempts < COMEBACK_ATTEMPTS;
	if (!add_ending(q, w, false, next, report, told)) {
		m->attempts = attempts;
		return false;
	}
	q->counts.deferred += n->deferred + n->unknown - n->paused;
	m->next_sec = next ? (uint32_t)next : w->state.paused;
	m->flags = (unsigned char)((m->flags & ~(MESSAGE_DOUBT | MESSAGE_HELD | MESSAGE_UNROUTED | MESSAGE_PAUSED)) | (w->state.held ? MESSAGE_HELD : 0) |
		(w->state.unrouted ? MESSAGE_UNROUTED : 0) | (w->state.paused ? MESSAGE_PAUSED : 0));
	m->work = NULL;
	if (w->state.held)
		next = w->state.hold_until_sec > now || !w->state.hold_until_sec ? w->state.hold_until_sec : now + SOON_SEC;
	if (next)
		index_wait(&q->index, m, (uint32_t)next);
	if (w->state.unrouted)
		comeback_waits(q);
	log_ending(w, next);
	return true;
}

/* Those who failed are as before the attempt: nobody could be told of them, and they must not be forgotten.  What was given up is not delivered after all. */
static void take_back_failures(struct work *w)
{
	if (w->bounce_then)
		hold_keep_given_up(w);
	for (uint32_t i = 0; i < w->rcpts; i++)
		if (w->rcpt[i].state == RCPT_FAILED)
			w->rcpt[i].state = RCPT_UNKNOWN;
}

/* False: W is to be ended again later. */
static bool end_decided(struct queue *q, struct work *w)
{
	int64_t now = queue_now_sec();
	const bool told = w->state.told;
	struct report report;
	if (w->bounce_then)
		hold_fail_open(w);
	age_give_up(q, w, now);
	struct ending n = count_up(w);
	int rc = report_make(&report, q, w, !n.deferred && !n.unknown && !n.open);
	if (rc < 0) {
		take_back_failures(w);
		n = count_up(w);
	}
	bool waits = n.deferred || n.unknown || n.open || rc < 0;
	bool ended = waits ? end_waiting(q, w, &n, now, &report, rc >= 0) : end_finished(q, w, &report);
	if (!ended) {
		report_undo(q, &report);
		w->state.told = told;
	}
	report_free(&report);
	return ended;
}

static bool end_one(struct queue *q, struct work *w)
{
	if (!w->deleted && !end_decided(q, w)) {
		if (!w->again) /* so that a crash meanwhile leaves no doubt of them */
			results_keep(q, w);
		w->again = true;
		work_push(&q->again, w);
		return false;
	}
	q->works--;
	work_free(q, w);
	return true;
}

static void again_in(struct queue *q, int64_t msec)
{
	q->again_msec = msec < AGAIN_MOST_MSEC ? msec : AGAIN_MOST_MSEC;
	q->again_at = clock_msec() + q->again_msec;
}

/* Each once, until one still cannot be: memory, or the disk, is not back. */
static void end_again(struct queue *q)
{
	struct work *w, *last = NULL;
	for (w = q->again.first; w; w = w->next)
		last = w;
	for (bool ended = true; last && ended && (w = work_pop(&q->again)); last = w == last ? NULL : last)
		if (!(ended = end_one(q, w)))
			again_in(q, q->again_msec * 2);
}

void attempt_end_all(struct queue *q)
{
	struct work *w;
	if (q->again.first && clock_msec() >= q->again_at)
		end_again(q);
	while ((w = work_pop(&q->ended)))
		if (!end_one(q, w) && q->again.first == w)
			again_in(q, AGAIN_MSEC);
}

/* The program ends: whatever was not answered is in doubt, whatever was not begun is as it was. */
void attempt_stop_all(struct queue *q)
{
	for (uint32_t i = 0; i < q->index.used; i++) {
		struct message *m = index_nth(&q->index, i);
		if (!m || !m->work || !m->attempts)
			continue;
		struct buf b = BUF_INIT(STORE_NOTE_MAX);
		if (work_state(&b, m->work, queue_now_sec(), false) < 0 || !queue_note(q, m, RECORD_STATE, buf_slice(&b), true))
			m->flags |= MESSAGE_DOUBT; /* so the log is not said to be clean */
		buf_free(&b);
	}
}
