/* The beginning and the end of an attempt: see queue.h.
 *
 * The end is one group in the log: FINISH or STATE, and with it the bounce for those that failed now.  Neither counts without the other. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/log.h"
#include "queue/bounce.h"
#include "queue/queue.h"
#include "queue/schedule.h"

#define SOON_SEC 2         /* after an unknown outcome */
#define SOON_ATTEMPTS 10   /* so often; then the curve */
#define LOADS_A_ROUND 32
#define UNREADABLE_SEC 3600
#define BOUNCE_MOST ((size_t)4 << 20)

void attempt_start(struct queue *q, struct work *w)
{
	/* An attempt before a crash may have got through to any of them. */
	for (uint32_t i = 0; i < w->rcpts && w->m->flags & MESSAGE_DOUBT; i++)
		w->rcpt[i].doubt |= w->rcpt[i].state == RCPT_OPEN;
	w->m->work = w;
	if (w->m->attempts < UINT16_MAX)
		w->m->attempts++;
	q->works++;
	dispatch_next(q, w);
}

/* A message that cannot be read stays, says so, and is looked at again: the disk may answer better, and an operator is called. */
static void unreadable(struct queue *q, struct message *m, const struct err *e)
{
	char id[ID_LEN + 1] = {0};
	memcpy(id, m->id, ID_LEN);
	LOG(EV_queue_unreadable, id, F_ERR(e));
	index_wait(&q->index, m, (uint32_t)(queue_now_sec() + UNREADABLE_SEC));
}

static void start_due(struct queue *q, struct message *m)
{
	struct err e;
	index_stop_waiting(&q->index, m);
	if (m->flags & MESSAGE_HELD) {
		hold_due(q, m);
		return;
	}
	struct work *w = work_load(q, m, true, &e);
	if (!w) {
		unreadable(q, m, &e);
		return;
	}
	w->in_hand = true;
	q->hands++;
	q->hand_octets += w->job.head_octets + w->job.body_octets;
	attempt_start(q, w);
}

/* New messages and those whose time has come take turns. */
void attempt_due(struct queue *q)
{
	uint32_t now = (uint32_t)queue_now_sec();
	for (int i = 0; i < LOADS_A_ROUND && q->works < WORKS_MOST; i++) {
		struct message *m = index_first(&q->index);
		struct work *w = work_pop(&q->fresh);
		bool due = m && m->next_sec <= now && (q->works == 0 || q->hand_octets < q->set.memory);
		if (w)
			attempt_start(q, w);
		if (due)
			start_due(q, m);
		if (!w && !due)
			return;
	}
}

static bool wants(const struct recipient *r, char letter)
{
	return letter == 'F' ? !r->notify[0] || strchr(r->notify, 'F') : strchr(r->notify, letter) != NULL;
}

/* Too old: what is deferred has failed. */
static void give_up_old(struct queue *q, struct work *w, int64_t now)
{
	char text[DELIVERY_TEXT_MAX + 1];
	if (!schedule_over(w->job.env.wall_usec / 1000000, now, q->set.lifetime_sec))
		return;
	for (uint32_t i = 0; i < w->rcpts; i++) {
		struct work_rcpt *r = &w->rcpt[i];
		if (r->state != RCPT_DEFERRED && r->state != RCPT_UNKNOWN)
			continue;
		snprintf(text, sizeof text, "tried for %lld hours, without success; the last reason was: %.300s",
			(long long)(q->set.lifetime_sec / 3600), r->text ? r->text : "unknown");
		char *host = r->host;
		r->host = NULL;
		rcpt_result(r, RCPT_FAILED, "5.4.7", slice_str(host), slice_str(text));
		free(host);
	}
}

struct ending {
	uint32_t failed, deferred, unknown, open;
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
		n.remote |= r->state == RCPT_DEFERRED && r->remote;
	}
	return n;
}

static int64_t next_time(const struct work *w, const struct ending *n, int64_t now)
{
	if (n->open && !n->deferred && !n->unknown)
		return now;
	if (n->unknown && w->m->attempts <= SOON_ATTEMPTS)
		return now + SOON_SEC;
	uint32_t mix = (uint32_t)(id_wall_usec(slice_make(w->job.id, ID_LEN)) >> 7) * 2654435761u + w->m->attempts * 40503u;
	return schedule_next(w->job.env.wall_usec / 1000000, now, n->remote, mix);
}

static void log_ending(const struct work *w, int64_t next)
{
	for (uint32_t i = 0; i < w->rcpts; i++) {
		const struct work_rcpt *r = &w->rcpt[i];
		if (r->state == RCPT_FAILED)
			LOG(EV_queue_failed, w->job.id, F_SLICE("rcpt", work_address(w, r)), F_STR("status", r->enhanced), F_STR("text", r->text ? r->text : ""));
		else if (r->state == RCPT_DEFERRED || r->state == RCPT_UNKNOWN)
			LOG(EV_queue_deferred, w->job.id, F_SLICE("rcpt", work_address(w, r)), F_STR("status", r->enhanced),
				F_STR("text", r->text ? r->text : ""), F_NUM("next", next));
	}
}

/* Recipients to be reported, in a fresh array. */
static struct bounce_rcpt *reported(const struct work *w, size_t *count)
{
	struct bounce_rcpt *list = calloc(w->rcpts, sizeof *list);
	*count = 0;
	for (uint32_t i = 0; list && i < w->rcpts; i++) {
		const struct work_rcpt *r = &w->rcpt[i];
		const struct recipient *given = &w->job.env.rcpt[r->origin];
		bool delivered = r->state == RCPT_DONE;
		if (!(delivered && wants(given, 'S')) && !(r->state == RCPT_FAILED && wants(given, 'F')))
			continue;
		list[(*count)++] = (struct bounce_rcpt){
			.address = work_address(w, r), .original = given->address, .orcpt = given->orcpt, .delivered = delivered, .enhanced = r->enhanced,
			.host = slice_str(r->host), .text = slice_str(r->text)};
	}
	return list;
}

/* The bounce as a record of its own. */
struct report {
	char id[ID_LEN + 1];
	unsigned char prologue[PROLOGUE];
	struct buf head, body;
	bool last;
};

static bool report_octets(struct report *b, const struct envelope *env)
{
	struct buf envelope = BUF_INIT(ENVELOPE_MAX);
	envelope_encode(&envelope, env);
	buf_add_slice(&envelope, buf_slice(&b->head));
	bool ok = !envelope.overflow && !b->head.overflow && !b->body.overflow;
	buf_free(&b->head);
	b->head = envelope;
	prologue_put(b->prologue, &(struct prologue){.body_octets = b->body.n, .head_octets = (uint32_t)envelope.n, .rcpts = 1});
	return ok;
}

/* Make the report on W's recipients LIST; false when nobody is to be told. */
static bool make_report(struct queue *q, struct report *b, const struct work *w, const struct bounce_rcpt *list, size_t count)
{
	const struct envelope *env = &w->job.env;
	struct slice to = env->sender.n ? env->sender : slice_str(q->set.double_to);
	if (!count)
		return false;
	if (w->m->flags & MESSAGE_LAST_BOUNCE) {
		LOG(EV_queue_bounce_lost, w->job.id, F_SLICE("rcpt", list[0].address));
		return false;
	}
	*b = (struct report){.head = BUF_INIT(HEADER_MAX), .body = BUF_INIT(BOUNCE_MOST), .last = env->sender.n == 0};
	id_make(b->id);
	bounce_make(&b->head, &b->body, &(struct bounce){
		.id = b->id, .me = q->set.me, .from = q->set.bounce_from, .to = to, .wall_usec = clock_wall_usec(), .env = env, .header = w->job.header,
		.body_fd = w->job.body_fd, .body_octets = w->job.body_fd >= 0 ? w->job.body_octets : 0, .rcpt = list, .rcpts = count,
		.most = q->set.bounce_octets, .to_postmaster = b->last});
	struct recipient rcpt = {.address = to};
	struct envelope own = {
		.id = slice_make(b->id, ID_LEN), .class = CLASS_BOUNCE, .wall_usec = clock_wall_usec(), .sender = slice_make("", 0),
		.eightbit = true, .smtputf8 = env->smtputf8, .rcpt = &rcpt, .rcpts = 1};
	bool ok = report_octets(b, &own);
	struct message *m = ok ? index_add(&q->index, b->id) : NULL;
	if (m) {
		m->flags = (unsigned char)(MESSAGE_PENDING | (b->last ? MESSAGE_LAST_BOUNCE : 0));
		m->open = 1;
		LOG(EV_queue_bounced, w->job.id, F_STR("bounce", b->id), F_SLICE("to", to), F_NUM("rcpts", count));
		q->counts.bounced++;
		return true;
	}
	LOG(EV_fault, w->job.id, F_STR("error", "the bounce could not be made"));
	return false;
}

/* Successes alone are told to a sender that asked, never to the postmaster. */
static size_t leave_out_successes(const struct work *w, struct bounce_rcpt *list, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++)
		if (w->job.env.sender.n || !list[i].delivered)
			list[kept++] = list[i];
	return kept;
}

static void commit_ending(struct queue *q, struct work *w, bool finished, int64_t next)
{
	struct err e;
	struct report b;
	size_t count;
	struct buf state = BUF_INIT(BOUNCE_MOST * 16);
	struct bounce_rcpt *list = reported(w, &count);
	bool report = list && make_report(q, &b, w, list, leave_out_successes(w, list, count));
	struct store_record group[2] = {{.kind = finished ? RECORD_FINISH : RECORD_STATE, .id = w->job.id, .target = w->m->at.seq}};
	if (!finished) {
		work_state(&state, w, next);
		group[0].piece[0] = (struct store_piece){.p = state.p, .n = state.n};
		group[0].pieces = 1;
	}
	if (report)
		group[1] = (struct store_record){
			.kind = RECORD_MESSAGE, .flags = b.last ? RECORD_LAST_BOUNCE : 0, .id = b.id, .pieces = 3,
			.piece = {{.p = b.prologue, .n = PROLOGUE}, {.p = b.head.p, .n = b.head.n}, {.p = b.body.p, .n = b.body.n}}};
	if (store_add(q->store, group, report ? 2 : 1, false, &e) < 0)
		LOG(EV_fault, w->job.id, F_ERR(&e));
	queue_added(q, false);
	buf_free(&state);
	free(list);
	if (report) {
		buf_free(&b.head);
		buf_free(&b.body);
	}
}

static void end_finished(struct queue *q, struct work *w)
{
	struct message *m = w->m;
	LOG(EV_queue_done, w->job.id, F_NUM("attempts", m->attempts), F_NUM("msec", (clock_wall_usec() - w->job.env.wall_usec) / 1000));
	commit_ending(q, w, true, 0);
	m->work = NULL;
	queue_forget(q, m);
}

static void end_waiting(struct queue *q, struct work *w, const struct ending *n, int64_t now)
{
	struct message *m = w->m;
	int64_t next = next_time(w, n, now);
	m->open = n->deferred + n->unknown + n->open;
	q->counts.deferred += n->deferred + n->unknown;
	m->flags &= (unsigned char)~MESSAGE_DOUBT;
	m->flags = (unsigned char)((m->flags & ~MESSAGE_HELD) | (w->state.held ? MESSAGE_HELD : 0));
	m->next_sec = (uint32_t)next;
	commit_ending(q, w, false, next);
	m->work = NULL;
	if (w->state.held)
		next = w->state.hold_until_sec;
	if (next)
		index_wait(&q->index, m, (uint32_t)next);
	log_ending(w, next);
}

static void end_one(struct queue *q, struct work *w)
{
	int64_t now = queue_now_sec();
	if (w->bounce_then)
		hold_fail_open(w);
	give_up_old(q, w, now);
	struct ending n = count_up(w);
	if (w->delete_then) {
		struct message *m = w->m;
		m->work = NULL;
		queue_finish(q, m, true);
	} else if (n.deferred || n.unknown || n.open) {
		end_waiting(q, w, &n, now);
	} else {
		log_ending(w, 0);
		end_finished(q, w);
	}
	q->works--;
	work_free(q, w);
}

void attempt_end_all(struct queue *q)
{
	struct work *w;
	while ((w = work_pop(&q->ended)))
		end_one(q, w);
}

/* The program ends: whatever was not answered is in doubt, whatever was not begun is as it was. */
void attempt_stop_all(struct queue *q)
{
	for (uint32_t i = 0; i < q->index.used; i++) {
		struct message *m = index_nth(&q->index, i);
		if (!m || !m->work || !m->attempts)
			continue;
		struct buf b = BUF_INIT(BOUNCE_MOST * 16);
		work_state(&b, m->work, queue_now_sec());
		queue_note(q, m, RECORD_STATE, buf_slice(&b), true);
		buf_free(&b);
	}
}
