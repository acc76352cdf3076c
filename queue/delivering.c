/* Deliveries to the agents and their results: see dispatch.h.  The agents are believed as far as their answers keep their grammar; a broken or missing one is an
 * unknown outcome, tried again with .doubt. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/log.h"
#include "queue/call.h"
#include "queue/dispatch.h"
#include "queue/verp.h"

#define PAUSE_MSEC 20

static struct call_list deliveries;

static void unit_decided(struct queue *q, struct work *w, struct unit *u, const char *unknown)
{
	struct buf done = BUF_INIT(DELIVERY_RECIPIENTS_MAX * 16);
	for (size_t i = 0; i < u->n; i++) {
		struct work_rcpt *r = &w->rcpt[u->rcpt[i]];
		if (r->state == RCPT_SENT) {
			r->doubt = true;
			rcpt_text(r, RCPT_UNKNOWN, "4.3.0", unknown);
		}
		if (r->state == RCPT_DONE) {
			note_result_put(&done, r->number);
			w->done_here++;
			q->counts.delivered++;
			LOG(EV_queue_delivered, w->job.id, F_SLICE("rcpt", work_address(w, r)), F_STR("text", r->text ? r->text : ""));
		}
	}
	free(u);
	w->sent--;
	dispatch_next(q, w);
	/* The last result goes into the record that ends the attempt. */
	if (done.n && !(w->listed && w->cursor >= w->rcpts && !w->sent))
		queue_note(q, w->m, RECORD_RESULT, buf_slice(&done), false);
	buf_free(&done);
}

static void take_results(struct work *w, struct unit *u, struct slice rest)
{
	struct delivery_result res;
	bool remote = u->channel->agent != AGENT_LOCAL;
	while (result_decode(&res, &rest) == 0) {
		struct work_rcpt *r = work_find(w, res.number);
		bool ours = false;
		for (size_t i = 0; r && i < u->n; i++)
			ours |= &w->rcpt[u->rcpt[i]] == r;
		if (!ours || r->state != RCPT_SENT)
			continue;
		r->doubt = false;
		rcpt_result(r, res.status == DELIVERY_DONE ? RCPT_DONE : res.status == DELIVERY_FAILED ? RCPT_FAILED : RCPT_DEFERRED,
			res.enhanced, res.host, res.text);
		r->remote = remote;
	}
}

/* Whether the destination was reached: 4.4.1 for all says that it was not. */
static int reached(const struct work *w, const struct unit *u, const char **why)
{
	int found = -1;
	for (size_t i = 0; i < u->n; i++) {
		const struct work_rcpt *r = &w->rcpt[u->rcpt[i]];
		if (r->state == RCPT_SENT)
			continue;
		if (r->state != RCPT_DEFERRED || strcmp(r->enhanced, "4.4.1") != 0)
			return 1;
		*why = r->text;
		found = 0;
	}
	return found;
}

static void delivery_ended(struct call *c, const char *why)
{
	struct queue *q = c->q;
	struct work *w = c->w;
	struct unit *u = c->unit;
	const char *reason = NULL;
	call_end(c);
	channel_ended(u->channel, u->to, reached(w, u, &reason), reason);
	unit_decided(q, w, u, why);
}

static void delivery_ready(struct watch *watch)
{
	static char space[QUESTION_MAX];
	struct call *c = watch->ctx;
	size_t n;
	int rc = call_read(c, space, sizeof space, &n);
	if (rc == E_TIMEOUT)
		return;
	if (rc == 0)
		take_results(c->w, c->unit, slice_make(space, n));
	delivery_ended(c, rc == 0 ? "the agent's answer left this recipient out" : "the agent ended without an answer");
}

/* With the sender that goes out in SENDER. */
static void describe(struct delivery *d, struct buf *sender, const struct work *w, const struct unit *u)
{
	verp_expand(sender, w->job.env.sender, work_address(w, &w->rcpt[u->rcpt[0]]));
	*d = (struct delivery){
		.sender = buf_slice(sender), .attempt = w->m->attempts,
		.size_octets = (long long)(w->job.header.n + w->job.body_octets)};
	memcpy(d->id, w->job.id, sizeof d->id);
	for (size_t i = 0; i < u->n; i++) {
		const struct work_rcpt *r = &w->rcpt[u->rcpt[i]];
		struct slice rest = slice_make(r->target, r->target_octets);
		if (target_decode(&d->rcpt[d->count].target, &rest) < 0)
			continue;
		d->rcpt[d->count].number = r->number;
		d->rcpt[d->count].original = w->job.env.rcpt[r->origin].address;
		d->doubt |= r->doubt;
		d->count++;
	}
}

/* 0, E_TIMEOUT: the socket is full, or another failure. */
static int send_unit(struct queue *q, struct unit *u)
{
	static struct delivery d;
	char space[ADDRESS_MAX + 1];
	struct buf sender = {space, 0, sizeof space, sizeof space, false};
	struct work *w = u->w;
	struct err e;
	struct buf b = BUF_INIT(QUESTION_MAX);
	const int fds[2] = {w->job.head_fd, w->job.body_fd};
	struct call *c = calloc(1, sizeof *c);
	int fd = -1, rc = E_SYS;
	describe(&d, &sender, w, u);
	delivery_encode(&b, &d);
	if (c && !b.overflow)
		rc = ask_send(&fd, u->channel->port, buf_slice(&b), fds, 2, deadline_in(0), &e);
	buf_free(&b);
	if (rc < 0) {
		free(c);
		return rc;
	}
	for (size_t i = 0; i < u->n; i++)
		w->rcpt[u->rcpt[i]].state = RCPT_SENT;
	c->w = w;
	c->unit = u;
	c->deadline = deadline_in(u->channel->msec);
	w->sent++;
	call_begin(q, &deliveries, c, fd, delivery_ready);
	return 0;
}

/* WHY: a text for its recipients; NULL: they are as they were. */
static void drop_unit(struct queue *q, struct unit *u, enum rcpt_state state, const char *enhanced, const char *why)
{
	struct work *w = u->w;
	for (size_t i = 0; i < u->n; i++) {
		struct work_rcpt *r = &w->rcpt[u->rcpt[i]];
		r->remote = u->channel->agent != AGENT_LOCAL;
		if (why)
			rcpt_text(r, state, enhanced, why);
		else
			r->state = RCPT_OPEN;
	}
	free(u);
	dispatch_next(q, w);
}

/* What waits for a destination that could not be reached just now. */
static void defer_unit(struct queue *q, struct unit *u)
{
	char text[DELIVERY_TEXT_MAX + 1];
	snprintf(text, sizeof text, "not tried: an attempt shortly before failed: %.300s", u->to->why ? u->to->why : "unknown");
	drop_unit(q, u, RCPT_DEFERRED, "4.4.1", text);
}

/* The unit whose turn it is.  False: the socket is full. */
static bool send_next(struct queue *q, struct channel *c, struct destination *d)
{
	struct unit *u = d->first;
	bool cancelled = u->w->cancelled || q->stopping, closed = channel_closed(d);
	int rc = cancelled || closed ? E_EOF : send_unit(q, u);
	if (rc == E_TIMEOUT) {
		c->pause_until = clock_msec() + PAUSE_MSEC;
		return false;
	}
	channel_take(c, rc == 0);
	u->w->units--;
	if (cancelled)
		drop_unit(q, u, RCPT_OPEN, "", NULL);
	else if (closed)
		defer_unit(q, u);
	else if (rc < 0)
		drop_unit(q, u, RCPT_UNKNOWN, "4.3.0", "the agent could not be reached");
	else
		dispatch_next(q, u->w);
	return true;
}

void delivering_go_on(struct queue *q, struct channel *c)
{
	struct destination *d;
	channel_tend(c);
	if (c->pause_until && clock_msec() < c->pause_until)
		return;
	c->pause_until = 0;
	while (c->in_flight < c->limit && (d = channel_turn(c)))
		if (!send_next(q, c, d))
			return;
}

static void too_late(struct call *c)
{
	delivery_ended(c, "the agent did not answer in time");
}

void delivering_overdue(void)
{
	call_overdue(&deliveries, too_late);
}
