/* Where recipients go, and getting them there: see queue.h.  Route and the agents are believed as far as their answers keep their grammar: a broken or missing
 * answer is an unknown outcome, tried again with .doubt.
 *
 * A message's recipients are asked in windows of DELIVERY_RECIPIENTS_MAX; when a window is answered, those for the same agent go out together.  Messages take
 * turns with every question and every delivery, so that one with 20,000 recipients does not stand before another. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lib/log.h"
#include "queue/queue.h"

#define ROUTE_MSEC 60000
#define LOCAL_MSEC 900000
#define REMOTE_MSEC 7200000 /* agents that speak with other hosts give up before (deliver/agent.h) */
#define LOCAL_TIMES 10      /* concurrencylocal counts deliveries while they are quick */
#define PAUSE_MSEC 20
#define UNIT_OCTETS (40u * 1024) /* of targets in one delivery; the datagram stays below QUESTION_MAX */

/* A question or delivery that waits for its answer. */
struct call {
	struct watch watch;
	struct queue *q;
	struct work *w;
	struct unit *unit;  /* a delivery */
	uint32_t rcpt;      /* a question */
	int64_t deadline;
	struct call *next, **prev;
};
static struct call *questions, *deliveries; /* newest first */

static void call_begin(struct queue *q, struct call **list, struct call *c, int fd, void (*ready)(struct watch *))
{
	struct err e;
	c->q = q;
	c->watch = (struct watch){ready, c, fd};
	c->next = *list;
	c->prev = list;
	if (c->next)
		c->next->prev = &c->next;
	*list = c;
	if (loop_add(&q->loop, &c->watch, &e) < 0)
		c->deadline = 0; /* ends at the next look at the deadlines, as unknown */
}

static void call_end(struct call *c)
{
	loop_remove(&c->q->loop, &c->watch);
	close_fd(&c->watch.fd);
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	free(c);
}

/* Not ask_read(): while the program stops, answers that are under way still count. */
static int read_answer(struct call *c, char *space, size_t size, size_t *n)
{
	ssize_t got = recv(c->watch.fd, space, size, MSG_DONTWAIT | MSG_TRUNC);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return E_TIMEOUT;
	*n = got > 0 ? (size_t)got : 0;
	return got > 0 && (size_t)got <= size ? 0 : E_EOF;
}

static const char *agent_text(enum agent agent)
{
	return agent == AGENT_LOCAL ? "Maildir" : agent == AGENT_QMQP ? "QMQP" : agent == AGENT_LMTP ? "LMTP" : "SMTP";
}

/* A recipient without a target that an agent could serve. */
static void no_target(struct work_rcpt *r, const struct target *t)
{
	char text[DELIVERY_TEXT_MAX + 1];
	if (t->agent == AGENT_NONE) {
		rcpt_result(r, t->status == DELIVERY_FAILED ? RCPT_FAILED : RCPT_DEFERRED, t->enhanced, slice_make(NULL, 0), t->text);
		return;
	}
	snprintf(text, sizeof text, "no program for delivery by %s to %.*s yet", agent_text(t->agent), (int)(t->destination.n < 300 ? t->destination.n : 300), t->destination.p);
	r->remote = true;
	rcpt_text(r, RCPT_DEFERRED, "4.3.5", text);
}

static struct channel *channel_of(struct queue *q, enum agent agent)
{
	for (size_t i = 0; i < CHANNELS; i++)
		if (q->channel[i].agent == agent && q->channel[i].port >= 0)
			return &q->channel[i];
	return NULL;
}

static struct channel *take_target(struct queue *q, struct work_rcpt *r, struct target *t)
{
	struct slice rest = slice_make(r->target, r->target_octets);
	if (!r->target || target_decode(t, &rest) < 0) {
		rcpt_text(r, RCPT_DEFERRED, "4.3.0", "route gave no usable target");
		return NULL;
	}
	struct channel *c = channel_of(q, t->agent);
	if (!c)
		no_target(r, t);
	return c;
}

/* A unit of this window with room, or a fresh one.  Those that are new count from *N on in UNITS. */
static struct unit *unit_for(struct unit **units, size_t *n, struct channel *c, struct work *w, const struct target *t, size_t octets)
{
	struct destination *to = channel_destination(c, t->agent == AGENT_LOCAL ? slice_make("", 0) : t->destination);
	for (size_t i = 0; i < *n; i++)
		if (units[i]->channel == c && units[i]->to == to && units[i]->n < DELIVERY_RECIPIENTS_MAX && units[i]->octets + octets <= UNIT_OCTETS)
			return units[i];
	struct unit *u = to ? calloc(1, sizeof *u) : NULL;
	if (u) {
		*u = (struct unit){.w = w, .channel = c, .to = to};
		units[(*n)++] = u;
	}
	return u;
}

/* The recipients that were routed and are not in a unit yet go into units. */
static void make_units(struct queue *q, struct work *w)
{
	struct unit *units[DELIVERY_RECIPIENTS_MAX];
	size_t n = 0;
	for (uint32_t i = w->window; i < w->cursor; i++) {
		struct work_rcpt *r = &w->rcpt[i];
		struct target t;
		struct channel *c = r->state == RCPT_OPEN ? take_target(q, r, &t) : NULL;
		if (!c)
			continue;
		size_t octets = r->target_octets + ADDRESS_MAX;
		struct unit *u = unit_for(units, &n, c, w, &t, octets);
		if (!u) {
			rcpt_text(r, RCPT_DEFERRED, "4.3.0", "out of memory");
			continue;
		}
		u->octets += octets;
		u->rcpt[u->n++] = i;
		r->state = RCPT_READY;
	}
	for (size_t i = 0; i < n; i++)
		channel_add(units[i]->channel, units[i]->to, units[i]);
	w->units += (uint32_t)n;
	w->window = w->cursor;
}

void dispatch_next(struct queue *q, struct work *w)
{
	if (w->asking || w->expanded || w->units || w->listed)
		return;
	if (w->cursor < w->rcpts && !w->cancelled && !q->stopping) {
		w->listed = true;
		work_push(&q->to_ask, w);
	} else if (!w->sent) {
		w->listed = true;
		work_push(&q->ended, w);
	}
}

/* All questions of the window are answered. */
static void window_answered(struct queue *q, struct work *w)
{
	if (w->asking || w->expanded || w->listed)
		return;
	make_units(q, w);
	dispatch_next(q, w);
}

void dispatch_expanded(struct queue *q)
{
	struct work *w;
	while ((w = work_pop(&q->expanded))) {
		w->expanded = false;
		window_answered(q, w);
	}
}

static long long count_targets(struct slice rest, struct target *first, struct slice own, long long *kept)
{
	struct target t;
	long long n = 0;
	int rc;
	*kept = -1;
	while ((rc = target_decode(&t, &rest)) == 0 && n < ROUTE_TARGETS_MAX) {
		if (n == 0)
			*first = t;
		if (*kept < 0 && slice_case_eq(t.address, own))
			*kept = n;
		n++;
	}
	return rc == E_EOF ? n : -1;
}

/* Several targets: each becomes a recipient of its own, durably so before the first of them is delivered. */
static void expand(struct queue *q, struct work *w, uint32_t at, struct slice targets, long long n, long long kept)
{
	struct err e;
	struct note_expand x = {
		.number = w->rcpt[at].number, .origin = w->rcpt[at].origin, .first = w->next_number, .count = n, .kept = kept};
	struct buf b = BUF_INIT(4 * QUESTION_MAX);
	note_expand_put(&b, &x);
	buf_add_slice(&b, targets);
	if (b.overflow || w->next_number + n > NUMBERS_MAX || work_expand(w, at, targets, &x, &e) < 0) {
		rcpt_text(&w->rcpt[at], RCPT_DEFERRED, "4.3.0", "this address expands to more than the queue can hold");
	} else {
		queue_note(q, w->m, RECORD_EXPAND, buf_slice(&b), true);
		if (!w->expanded)
			work_push(&q->expanded, w);
		w->expanded = true;
	}
	buf_free(&b);
}

static void routed(struct queue *q, struct work *w, uint32_t at, struct slice answer)
{
	struct target first;
	long long kept, n = count_targets(answer, &first, work_address(w, &w->rcpt[at]), &kept);
	struct work_rcpt *r = &w->rcpt[at];
	r->state = RCPT_OPEN;
	if (n <= 0) {
		rcpt_text(r, RCPT_UNKNOWN, "4.3.0", n < 0 ? "route's answer breaks its grammar" : "route gave no target");
	} else if (n == 1) {
		free(r->target);
		r->target = malloc(answer.n);
		r->target_octets = r->target ? (uint32_t)answer.n : 0;
		if (r->target)
			memcpy(r->target, answer.p, answer.n);
	} else {
		expand(q, w, at, answer, n, kept);
	}
}

static void question_ended(struct call *c, const char *why, struct slice answer)
{
	struct queue *q = c->q;
	struct work *w = c->w;
	uint32_t at = c->rcpt;
	call_end(c);
	q->asks--;
	w->asking--;
	if (why)
		rcpt_text(&w->rcpt[at], RCPT_UNKNOWN, "4.3.0", why);
	else
		routed(q, w, at, answer);
	window_answered(q, w);
}

static void question_ready(struct watch *watch)
{
	static char space[QUESTION_MAX];
	struct call *c = watch->ctx;
	size_t n;
	int rc = read_answer(c, space, sizeof space, &n);
	if (rc != E_TIMEOUT)
		question_ended(c, rc < 0 ? "route ended without an answer" : NULL, slice_make(space, n));
}

/* False: the socket is full. */
static bool ask_route(struct queue *q, struct work *w, uint32_t at)
{
	struct err e;
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct call *c = calloc(1, sizeof *c);
	int fd = -1, rc = E_SYS, port = program_port(PORT_ROUTE);
	route_question(&b, slice_make(w->job.id, ID_LEN), w->job.env.sender, work_address(w, &w->rcpt[at]));
	if (c && !b.overflow && port >= 0)
		rc = ask_send(&fd, port, buf_slice(&b), NULL, 0, deadline_in(0), &e);
	buf_free(&b);
	if (rc < 0) {
		free(c);
		if (rc == E_TIMEOUT)
			return false;
		rcpt_text(&w->rcpt[at], RCPT_UNKNOWN, "4.3.0", "route could not be asked");
		return true;
	}
	c->w = w;
	c->rcpt = at;
	c->deadline = deadline_in(ROUTE_MSEC);
	w->rcpt[at].state = RCPT_ASKED;
	w->asking++;
	q->asks++;
	call_begin(q, &questions, c, fd, question_ready);
	return true;
}

/* One step of W: false when the socket is full. */
static bool ask_next(struct queue *q, struct work *w)
{
	struct work_rcpt *r = &w->rcpt[w->cursor];
	if (r->state == RCPT_OPEN && !r->target_holds && !ask_route(q, w, w->cursor))
		return false;
	w->cursor++;
	return true;
}

static void ask_all(struct queue *q)
{
	struct work *w;
	while (q->asks < ASKS_MOST && (w = work_pop(&q->to_ask))) {
		bool room = true;
		/* What needs no question costs no turn. */
		do
			room = w->cursor < w->rcpts && ask_next(q, w);
		while (room && w->rcpt[w->cursor - 1].state != RCPT_ASKED && w->cursor < w->rcpts && w->cursor - w->window < DELIVERY_RECIPIENTS_MAX);
		bool more = w->cursor < w->rcpts && w->cursor - w->window < DELIVERY_RECIPIENTS_MAX;
		if (more || !room) {
			work_push(&q->to_ask, w);
			if (!room)
				return;
			continue;
		}
		w->listed = false;
		window_answered(q, w);
	}
}

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
	int rc = read_answer(c, space, sizeof space, &n);
	if (rc == E_TIMEOUT)
		return;
	if (rc == 0)
		take_results(c->w, c->unit, slice_make(space, n));
	delivery_ended(c, rc == 0 ? "the agent's answer left this recipient out" : "the agent ended without an answer");
}

static void describe(struct delivery *d, const struct work *w, const struct unit *u)
{
	*d = (struct delivery){
		.sender = w->job.env.sender, .attempt = w->m->attempts,
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
	struct work *w = u->w;
	struct err e;
	struct buf b = BUF_INIT(QUESTION_MAX);
	const int fds[2] = {w->job.head_fd, w->job.body_fd};
	struct call *c = calloc(1, sizeof *c);
	int fd = -1, rc = E_SYS;
	describe(&d, w, u);
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

static void send_all(struct queue *q, struct channel *c)
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

void dispatch_ports(struct queue *q)
{
	static const struct {
		enum agent agent;
		enum port port;
		int64_t msec;
	} way[CHANNELS] = {{AGENT_LOCAL, PORT_LOCAL, LOCAL_MSEC}, {AGENT_LMTP, PORT_LMTP, REMOTE_MSEC}, {AGENT_REMOTE, PORT_REMOTE, REMOTE_MSEC},
		{AGENT_QMQP, PORT_QMQPC, REMOTE_MSEC}};
	for (size_t i = 0; i < CHANNELS; i++) {
		q->channel[i].agent = way[i].agent;
		q->channel[i].port = program_port(way[i].port);
		q->channel[i].msec = way[i].msec;
	}
}

/* What waits in an agent's socket beyond its workers would fill it for all destinations. */
static unsigned no_more_than_workers(unsigned limit, enum program p)
{
	const struct graph_row *row = graph_of(p);
	return row && limit > (unsigned)row->workers ? (unsigned)row->workers : limit;
}

void dispatch_limits(struct queue *q)
{
	static const enum program agent[CHANNELS] = {P_LOCAL, P_LMTP, P_REMOTE, P_QMQPC};
	unsigned remote = (unsigned)control_number(program_control(), C_concurrencyremote);
	q->channel[0].limit = (unsigned)control_number(program_control(), C_concurrencylocal) * LOCAL_TIMES;
	for (size_t i = 1; i < CHANNELS; i++)
		q->channel[i].limit = no_more_than_workers(remote, agent[i]);
}

unsigned dispatch_in_flight(const struct queue *q)
{
	unsigned n = 0;
	for (size_t i = 0; i < CHANNELS; i++)
		n += q->channel[i].in_flight;
	return n;
}

int64_t dispatch_pause(const struct queue *q)
{
	int64_t first = 0;
	for (size_t i = 0; i < CHANNELS; i++)
		if (q->channel[i].pause_until && (!first || q->channel[i].pause_until < first))
			first = q->channel[i].pause_until;
	return first;
}

void dispatch_open(struct queue *q)
{
	for (size_t i = 0; i < CHANNELS; i++)
		channel_open(&q->channel[i]);
}

/* The lists are in the order of their deadlines, newest first; few calls hang, so the walk is short enough once a second. */
static void end_overdue(struct queue *q)
{
	static int64_t looked;
	int64_t now = clock_msec();
	if (now - looked < 1000)
		return;
	looked = now;
	for (struct call *c = questions, *next; c; c = next) {
		next = c->next;
		if (c->deadline < now)
			question_ended(c, "route did not answer in time", slice_make(NULL, 0));
	}
	for (struct call *c = deliveries, *next; c; c = next) {
		next = c->next;
		if (c->deadline < now)
			delivery_ended(c, "the agent did not answer in time");
	}
	(void)q;
}

void dispatch(struct queue *q)
{
	end_overdue(q);
	ask_all(q);
	for (size_t i = 0; i < CHANNELS; i++)
		send_all(q, &q->channel[i]);
}
