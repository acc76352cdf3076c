/* retry, hold, release, bounce, delete: see caller.h.  What an operator is told is done is durable. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/log.h"
#include "queue/age.h"
#include "queue/caller.h"

#define UNTIL_MOST 100000000 /* seconds from now */

/* What a verb does to one message; false: it is in no state for that.  CAN alone is asked for a count (dry-run). */
struct act {
	const char *name, *done, *would;
	bool (*can)(const struct caller *c, const struct message *m);
	bool (*run)(struct caller *c, struct message *m);
	const char *not_now;
};

static bool can_retry(const struct caller *c, const struct message *m)
{
	(void)c;
	return !m->work && !(m->flags & MESSAGE_HELD) && (m->heap_at || m->flags & MESSAGE_PAUSED);
}

static bool can_release(const struct caller *c, const struct message *m)
{
	(void)c;
	return m->work ? m->work->state.held : m->flags & MESSAGE_HELD;
}

/* A hold stays as it is, so that holding "all" for an hour lets nothing go that is held for good; unless it is meant. */
static bool can_hold(const struct caller *c, const struct message *m)
{
	return selection_names_held(&c->sel) || !(m->work ? m->work->state.held : m->flags & MESSAGE_HELD);
}

static bool can_always(const struct caller *c, const struct message *m)
{
	(void)c;
	return m != NULL;
}

static bool retry(struct caller *c, struct message *m)
{
	index_wait(&c->q->index, m, 0);
	return true;
}

/* Where no STATE can be written W is as it was. */
static bool end_hold(struct caller *c, struct work *w)
{
	struct note_state before = w->state;
	w->state.held = false;
	w->state.hold_reason = slice_make("", 0); /* somebody looked at it: see backscatter() */
	if (!hold_write(c->q, w)) {
		w->state = before;
		return false;
	}
	LOG(EV_queue_released, w->job.id, F_SLICE("reason", before.hold_reason));
	age_released(c->q, w);
	return true;
}

/* One that was held while it was being delivered, and still is, goes on waiting when that has ended. */
static bool release(struct caller *c, struct message *m)
{
	struct err e;
	if (m->work)
		return end_hold(c, m->work);
	struct work *w = work_load(c->q, m, false, &e);
	bool ok = w && end_hold(c, w);
	if (ok) {
		m->flags &= (unsigned char)~MESSAGE_HELD;
		index_wait(&c->q->index, m, (uint32_t)queue_now_sec());
	}
	if (w)
		work_free(c->q, w);
	return ok;
}

/* The reason is kept with the work, which may outlive the command.  Where no STATE can be written W is as it was. */
static bool set_hold(struct caller *c, struct work *w)
{
	struct note_state before = w->state;
	char *because = w->because;
	struct slice reason = c->because.n ? c->because : slice_str("held by the operator");
	char *kept = malloc(reason.n + 1);
	if (!kept)
		return false;
	memcpy(kept, reason.p, reason.n);
	kept[reason.n] = 0;
	w->because = kept;
	w->state.held = true;
	w->state.hold_reason = slice_make(kept, reason.n);
	w->state.hold_owner = w->job.env.user;
	w->state.hold_until_sec = c->until_sec;
	w->state.hold_then = c->then;
	if (!hold_write(c->q, w)) {
		w->state = before;
		w->because = because;
		free(kept);
		return false;
	}
	free(because);
	LOG(EV_queue_held, w->job.id, F_SLICE("reason", reason), F_SLICE("owner", w->state.hold_owner));
	return true;
}

/* A message that is being delivered is held when what is under way has ended. */
static bool hold(struct caller *c, struct message *m)
{
	struct err e;
	if (m->work) {
		if (!set_hold(c, m->work))
			return false;
		m->work->cancelled = true;
		return true;
	}
	struct work *w = work_load(c->q, m, false, &e);
	bool ok = w && set_hold(c, w);
	if (ok) {
		m->flags = (unsigned char)((m->flags & ~MESSAGE_PAUSED) | MESSAGE_HELD);
		index_stop_waiting(&c->q->index, m);
		if (c->until_sec)
			index_wait(&c->q->index, m, (uint32_t)c->until_sec);
	}
	if (w)
		work_free(c->q, w);
	return ok;
}

static bool delete(struct caller *c, struct message *m)
{
	char id[ID_LEN + 1] = {0};
	memcpy(id, m->id, ID_LEN);
	struct work *w = m->work;
	if (w)
		w->gone = *m;
	if (!queue_finish(c->q, m, false))
		return false;
	LOG(EV_queue_deleted, id);
	if (w) { /* what is under way ends, and nothing comes of it */
		w->m = &w->gone;
		w->cancelled = w->deleted = true;
	}
	return true;
}

static bool bounce(struct caller *c, struct message *m)
{
	struct err e;
	struct work *w = m->work ? m->work : work_load(c->q, m, true, &e);
	if (!w)
		return false;
	if (!hold_give_up(c->q, w, c->because.n ? c->because : slice_str("the postmaster has given up on this message")))
		return false;
	LOG(EV_queue_given_up, w->job.id, F_SLICE("reason", c->because));
	return true;
}

static const struct act acts[] = {
	{"retry", "tried now", "be tried now", can_retry, retry, "it is held or being delivered right now"},
	{"hold", "held", "be held", can_hold, hold, "it could not be read, or that not be stored"},
	{"release", "released", "be released", can_release, release, "it is not held, or that could not be stored"},
	{"bounce", "bounced", "be bounced", can_always, bounce, "it could not be read, or that not be stored"},
	{"delete", "deleted", "be deleted", can_always, delete, "that could not be stored"},
};

static void result(struct caller *c)
{
	struct buf b = BUF_INIT(1000);
	char text[200];
	unsigned failed = c->unknown + (c->sel.ids.p ? c->matched - c->done : 0);
	attempt_end_all(c->q); /* what was bounced and had nothing under way */
	bool stored = queue_commit(c->q); /* what an operator is told is done survives a crash */
	for (const struct work *w = c->q->again.first; w; w = w->next)
		stored &= !w->bounce_then;
	pair(&b, "kind", slice_str("result"));
	pair_number(&b, "matched", c->matched);
	pair_number(&b, "done", c->done);
	pair_number(&b, "passed", c->passed);
	pair_number(&b, "unknown", c->unknown);
	bool ok = caller_row(c, &b);
	buf_free(&b);
	if (!ok)
		return;
	if (failed)
		snprintf(text, sizeof text, "%u of these: %s", failed, c->unknown ? "there is no such message in the queue" : c->act->not_now);
	else
		snprintf(text, sizeof text, "%u message%s %s %s%s", c->done, c->done == 1 ? "" : "s", c->dry_run ? "would" : c->done == 1 ? "is" : "are",
			c->dry_run ? c->act->would : c->act->done, stored ? "" : ", but this is not on disk yet and would not survive a crash");
	caller_end(c, failed || !stored ? 1 : 0, text);
}

/* Results of a slice go with the ordinary commits of the loop. */
static void act_more(struct caller *c)
{
	struct message *m;
	struct work *w = NULL;
	bool own = false, end;
	while ((m = walk_next(c, false, &w, &own, &end))) {
		if (w && own)
			work_free(c->q, w);
		w = NULL;
		if (!c->act->can(c, m))
			c->passed++;
		else
			c->done += c->dry_run || c->act->run(c, m);
		if (clock_msec() >= c->slice_end)
			break;
	}
	if (!m && end)
		result(c);
	else
		walk_progress(c);
}

static int take_until(struct caller *c, struct slice value, struct err *e)
{
	int64_t sec;
	if (selection_span(&sec, value) < 0 || sec < 1 || sec > UNTIL_MOST)
		return err_set(e, E_SYNTAX, "until is a span of time from now as 30m, 4h or 2d");
	c->until_sec = queue_now_sec() + sec;
	return 1;
}

static int take_then(struct caller *c, struct slice value, struct err *e)
{
	static const char *const names[] = {"release", "bounce", "delete"};
	for (int i = 0; i < 3; i++)
		if (slice_eq_str(value, names[i])) {
			c->then = names[i][0];
			return 1;
		}
	return err_set(e, E_SYNTAX, "then is release, bounce or delete");
}

static int take_setting(struct caller *c, struct slice arg, struct err *e)
{
	struct slice value = arg, key;
	bool holds = slice_eq_str(c->cmd.arg[0], "hold"), bounces = slice_eq_str(c->cmd.arg[0], "bounce");
	if (slice_eq_str(arg, "dry-run")) {
		c->dry_run = true;
		return 1;
	}
	slice_cut(&key, &value, '=');
	if ((holds || bounces) && slice_eq_str(key, "because")) {
		c->because = value;
		return value.n && value.n <= HOLD_REASON_MAX && slice_printable(value) ? 1
			: err_set(e, E_SYNTAX, "because is a text of at most %d printable ASCII characters", HOLD_REASON_MAX);
	}
	if (holds && slice_eq_str(key, "until"))
		return take_until(c, value, e);
	if (holds && slice_eq_str(key, "then"))
		return take_then(c, value, e);
	return 0;
}

void verb_act(struct caller *c)
{
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
		if (slice_eq_str(c->cmd.arg[0], acts[i].name))
			c->act = &acts[i];
	if (!walk_arguments(c, take_setting))
		return;
	const char *wrong = !selection_given(&c->sel) ? "which messages?  Give ids, conditions, or all"
		: c->sel.all && (c->sel.count || c->sel.ids.p) ? "give all, or ids, or conditions, not both" : c->then && !c->until_sec ? "then= needs until=" : NULL;
	if (wrong) {
		caller_end(c, 100, wrong);
		return;
	}
	if (c->act->run == retry && !c->dry_run)
		dispatch_open(c->q);
	walk_begin(c);
	caller_later(c, act_more);
}
