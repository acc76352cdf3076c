/* Conversations with the agents: which delivery goes out by which, and when: see dispatch.h.  An agent holds a socket of its own for each; what it answers is taken by
 * results.c, and one that breaks off leaves outcomes unknown. */
#include <stdio.h>
#include <stdlib.h>

#include "queue/call.h"
#include "queue/dispatch.h"
#include "queue/pause.h"

#define PAUSE_MSEC 20
#define LOOK_MSEC 100
/* A conversation goes on out of turn for so long while other destinations wait. */
#define TURN_MESSAGES 10
#define TURN_MSEC 2000

static struct call_list deliveries;

/* Conversations that are ready for more. */
static void ready_add(struct call *c)
{
	c->unit = NULL;
	c->w = NULL;
	c->deadline = deadline_in(READY_MSEC);
	c->next_ready = c->to->ready;
	c->to->ready = c;
	c->channel->ready++;
}

static void ready_remove(struct call *c)
{
	struct call **at = &c->to->ready;
	while (*at != c)
		at = &(*at)->next_ready;
	*at = c->next_ready;
	c->channel->ready--;
}

/* The one that has waited longest gives its worker to another destination. */
static void ready_drop(struct channel *channel)
{
	struct call *oldest = NULL;
	for (struct call *c = deliveries.first; c; c = c->next)
		if (c->channel == channel && !c->unit && (!oldest || c->deadline < oldest->deadline))
			oldest = c;
	if (oldest) {
		ready_remove(oldest);
		call_end(oldest);
	}
}

static void under_way(struct call *c, struct unit *u)
{
	struct work *w = u->w;
	for (size_t i = 0; i < u->n; i++)
		w->rcpt[u->rcpt[i]].state = RCPT_SENT;
	c->w = w;
	c->unit = u;
	c->began = clock_msec();
	c->deadline = deadline_in(u->channel->msec);
	c->messages++;
	w->handed = true;
	w->sent++;
}

/* The next delivery of a conversation, which is no longer ready, or else over.  False: it is over, and nothing was sent. */
static bool send_on(struct call *c, struct unit *u)
{
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct err e;
	struct job *job = &u->w->job;
	order_put(&b, u);
	bool sent = !b.overflow && content_send(c->watch.fd, buf_slice(&b), &job->head, &job->body, -1, deadline_in(0), &e) == 0;
	buf_free(&b);
	if (sent) {
		c->answered = true;
		under_way(c, u);
	} else {
		call_end(c);
	}
	return sent;
}

static void delivery_ready(struct watch *watch);

/* A new conversation.  0, E_TIMEOUT: the socket is full, or another failure. */
static int send_first(struct queue *q, struct unit *u)
{
	struct err e;
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct job *job = &u->w->job;
	struct call *c = calloc(1, sizeof *c);
	int mine = -1, theirs = -1, rc = E_SYS;
	order_put(&b, u);
	if (c && !b.overflow && answer_pair(&mine, &theirs, &e) == 0)
		rc = content_send(u->channel->port, buf_slice(&b), &job->head, &job->body, theirs, deadline_in(0), &e);
	buf_free(&b);
	close_fd(&theirs);
	if (rc < 0) {
		close_fd(&mine);
		free(c);
		return rc;
	}
	c->channel = u->channel;
	c->to = u->to;
	c->turn_began = clock_msec();
	under_way(c, u);
	call_begin(q, &deliveries, c, mine, delivery_ready);
	return 0;
}

/* By a conversation that is ready where there is one. */
static int send_unit(struct queue *q, struct unit *u)
{
	struct channel *channel = u->channel;
	while (u->to->ready) {
		struct call *c = u->to->ready;
		ready_remove(c);
		c->messages = 0;
		c->turn_began = clock_msec();
		if (send_on(c, u))
			return 0;
	}
	if (channel->ready && channel->busy[0] + channel->busy[1] + channel->ready >= channel->limit)
		ready_drop(channel);
	return send_first(q, u);
}

/* The agent has done one: the next, out of turn while that is fair, or a while of waiting. */
static void go_on(struct queue *q, struct call *c)
{
	struct channel *channel = c->channel;
	struct destination *d = c->to;
	struct unit *u = d->first;
	bool fair = !channel_others_wait(channel, d) || (c->messages < TURN_MESSAGES && clock_msec() - c->turn_began < TURN_MSEC);
	if (q->stopping) {
		call_end(c);
	} else if (!fair || !channel_may_go_on(channel, d) || u->w->cancelled) {
		ready_add(c);
	} else if (send_on(c, u)) {
		channel_take(channel, d, true);
		u->w->units--;
		dispatch_next(q, u->w);
	}
}

static void pause_unit(struct queue *q, struct unit *u)
{
	struct work *w = u->w;
	for (size_t i = 0; i < u->n; i++)
		pause_rcpt(&w->rcpt[u->rcpt[i]], pause_side(u->channel->agent));
	free(u);
	dispatch_next(q, w);
}

void delivering_paused(struct queue *q)
{
	for (struct channel *c = q->channel; c < q->channel + CHANNELS; c++)
		for (size_t i = 0; i < DESTINATION_BUCKETS && pause_now() & pause_side(c->agent); i++)
			for (struct destination *d = c->bucket[i]; d; d = d->next)
				while (d->first) {
					struct unit *u = channel_take(c, d, false);
					u->w->units--;
					pause_unit(q, u);
				}
}

/* The far side has enough of this host for now while others of its deliveries go on: this one waits for its turn again, with nothing lost. */
static void put_back(struct call *c)
{
	struct unit *u = c->unit;
	struct work *w = c->w;
	for (size_t i = 0; i < u->n; i++)
		w->rcpt[u->rcpt[i]].state = RCPT_READY;
	w->sent--;
	channel_ended(u->channel, u, REACHED_BUSY, NULL);
	if (pause_now() & pause_side(u->channel->agent)) {
		pause_unit(c->q, u);
		return;
	}
	w->units++;
	channel_add(u->channel, u->to, u);
}

/* WHY: what is said of recipients without a result. */
static void delivery_ended(struct call *c, enum delivery_mark mark, const char *why)
{
	struct queue *q = c->q;
	struct unit *u = c->unit;
	const char *reason = NULL;
	enum reached how = results_reached(u, mark, &reason);
	if (how == REACHED_BUSY && results_all_in(u) && (u->to->in_flight > 1 || u->to->ready)) {
		put_back(c);
	} else {
		channel_ended(u->channel, u, how, reason);
		results_end(q, u, why);
	}
	if (mark == MARK_READY)
		go_on(q, c);
	else
		call_end(c);
}

static void delivery_ready(struct watch *watch)
{
	static char space[QUESTION_MAX];
	struct call *c = watch->ctx;
	enum delivery_mark mark = MARK_NONE;
	size_t n;
	int rc = call_read(c, space, sizeof space, &n);
	struct slice text = slice_make(space, n);
	if (rc == E_TIMEOUT)
		return;
	if (!c->unit) { /* it left */
		ready_remove(c);
		call_end(c);
		return;
	}
	if (rc == 0 && mark_decode(&text) == MARK_CONNECTED) {
		c->answered = true;
		channel_answered(c->channel, c->unit);
		return;
	}
	if (rc == 0)
		mark = results_take(c->unit, text);
	delivery_ended(c, mark, rc == 0 ? "the agent's answer left this recipient out" : "the agent ended without an answer");
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
	channel_take(c, d, rc == 0);
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

/* Places are wanted: those that a far side keeps without a word are none. */
static void find_unanswered(struct channel *channel)
{
	int64_t now = clock_msec();
	bool wanted = channel->unanswered < channel->unanswered_most && channel->busy[0] + channel->busy[1] >= channel->limit - channel->limit / 4
		&& (channel->turns[0].first || channel->turns[1].first);
	if (!wanted) {
		channel->look_at = 0;
		return;
	}
	if (now < channel->look_at)
		return;
	for (struct call *c = deliveries.first; c; c = c->next)
		if (c->channel == channel && c->unit && !c->answered && now - c->began >= UNANSWERED_MSEC)
			channel_unanswered(channel, c->unit);
	channel->look_at = now + LOOK_MSEC;
}

void delivering_go_on(struct queue *q, struct channel *c)
{
	struct destination *d;
	channel_tend(c);
	find_unanswered(c);
	if (c->pause_until && clock_msec() < c->pause_until)
		return;
	c->pause_until = 0;
	while ((d = channel_turn(c)))
		if (!send_next(q, c, d))
			return;
}

static void too_late(struct call *c)
{
	if (!c->unit) {
		ready_remove(c);
		call_end(c);
	} else {
		delivery_ended(c, MARK_NONE, "the agent did not answer in time");
	}
}

void delivering_overdue(void)
{
	call_overdue(&deliveries, too_late);
}
