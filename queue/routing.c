/* Asking postern-route where recipients go: see dispatch.h.  Its answers are believed as far as they keep their grammar; a broken or missing one is an unknown
 * outcome.
 *
 * A message's recipients are asked in windows of DELIVERY_RECIPIENTS_MAX; when a window is answered, those for the same agent go out together.  Messages take
 * turns with every question, so that one with 20,000 recipients does not stand before another. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/addr.h"
#include "queue/call.h"
#include "queue/comeback.h"
#include "queue/dispatch.h"
#include "queue/pause.h"
#include "queue/priority.h"

#define ROUTE_MSEC (2 * ROUTE_SECONDS * 1000) /* another question may be before it */

static struct call_list questions;

void dispatch_next(struct queue *q, struct work *w)
{
	if (w->asking || w->expanded || w->units || w->listed)
		return;
	if (w->cursor < w->rcpts && !w->cancelled && !q->stopping) {
		w->listed = true;
		work_lists_push(&q->to_ask, w);
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
	units_make(q, w);
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
	/* The note first: without it no member may be tried.  Without members the STATE that ends the attempt undoes it. */
	if (b.overflow || w->next_number + n > NUMBERS_MAX || !queue_note(q, w->m, RECORD_EXPAND, buf_slice(&b), true) || work_expand(w, at, targets, &x, &e) < 0) {
		rcpt_text(&w->rcpt[at], RCPT_DEFERRED, "4.3.0", "this address expands to more than the queue can hold");
	} else {
		priority_grown(q, w);
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
	r->unrouted = n == 1 && first.agent == AGENT_NONE && first.status == DELIVERY_DEFERRED && strcmp(first.enhanced, "4.4.3") == 0;
	if (r->unrouted) {
		rcpt_result(r, RCPT_DEFERRED, first.enhanced, slice_make(NULL, 0), first.text);
		return;
	}
	if (n > 0 && (first.agent == AGENT_LOCAL || control_is_local(program_control(), addr_domain_of(work_address(w, r)))))
		comeback_alive(q);
	if (n > 0) {
		free(r->target);
		r->target = NULL;
		r->target_octets = 0;
	}
	if (n <= 0) {
		rcpt_text(r, RCPT_UNKNOWN, "4.3.0", n < 0 ? "route's answer breaks its grammar" : "route gave no target");
	} else if (n == 1) {
		r->target = malloc(answer.n);
		r->target_octets = r->target ? (uint32_t)answer.n : 0;
		if (r->target)
			memcpy(r->target, answer.p, answer.n);
	} else {
		expand(q, w, at, answer, n, kept);
	}
}

static void unrouted(struct work_rcpt *r, const char *why)
{
	rcpt_text(r, RCPT_UNKNOWN, "4.3.0", why);
	r->unrouted = true;
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
		unrouted(&w->rcpt[at], why);
	else
		routed(q, w, at, answer);
	if (w->state.unrouted)
		comeback_answered(q, !w->rcpt[at].unrouted);
	w->state.unrouted = false;
	window_answered(q, w);
}

static void question_ready(struct watch *watch)
{
	static char space[QUESTION_MAX];
	struct call *c = watch->ctx;
	size_t n;
	int rc = call_read(c, space, sizeof space, &n);
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
		unrouted(&w->rcpt[at], "route could not be asked");
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
	bool ask = r->state == RCPT_OPEN && !r->target_holds;
	if (ask && pause_all())
		pause_rcpt(r, PAUSE_ALL);
	else if (ask && !ask_route(q, w, w->cursor))
		return false;
	w->cursor++;
	return true;
}

void routing_go_on(struct queue *q)
{
	struct work *w;
	while (q->asks < ASKS_MOST && (w = work_lists_pop(&q->to_ask))) {
		bool room = true;
		/* What needs no question costs no turn. */
		do
			room = w->cursor < w->rcpts && ask_next(q, w);
		while (room && w->rcpt[w->cursor - 1].state != RCPT_ASKED && w->cursor < w->rcpts && w->cursor - w->window < DELIVERY_RECIPIENTS_MAX);
		bool more = w->cursor < w->rcpts && w->cursor - w->window < DELIVERY_RECIPIENTS_MAX;
		if (more || !room) {
			work_lists_push(&q->to_ask, w);
			if (!room)
				return;
			continue;
		}
		w->listed = false;
		window_answered(q, w);
	}
}

static void too_late(struct call *c)
{
	question_ended(c, "route did not answer in time", slice_make(NULL, 0));
}

void routing_overdue(void)
{
	call_overdue(&questions, too_late);
}
