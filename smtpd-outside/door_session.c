/* Handing connections over to postern-smtpd, and counting sessions by their tokens (handover.h).  Part of postern-door.
 *
 * Nothing blocks: when smtpd's socket is full or all sessions are taken the client stays in the list of those ready.  What a session
 * says on its token is hostile; it is bounded, counted, and believed about this session alone. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "smtpd-outside/allowance.h"
#include "smtpd-outside/door.h"

#define READY_MSEC 300000    /* RFC 5321 4.5.3.2.1: a client waits five minutes for the greeting */
#define AGAIN_MSEC 100
#define LOG_EVERY_MSEC 60000 /* troubles that last */

/* The list of those ready, first come first served. */

static void ready_append(struct door *d, struct client *c)
{
	c->state = CLIENT_READY;
	c->prev = d->last;
	c->next = NULL;
	*(d->last ? &d->last->next : &d->first) = c;
	d->last = c;
}

void door_ready_remove(struct door *d, struct client *c)
{
	*(c->prev ? &c->prev->next : &d->first) = c->next;
	*(c->next ? &c->next->prev : &d->last) = c->prev;
	c->prev = c->next = NULL;
}

/* Handing over. */

static void local_address(struct client *c)
{
	struct sockaddr_storage a = {0};
	socklen_t size = sizeof a;
	if (c->local_known)
		return;
	c->local = (struct ip){{[10] = 0xff, [11] = 0xff}};
	if (getsockname(c->watch.fd, (struct sockaddr *)&a, &size) < 0)
		return; /* the client has gone; the session will see it */
	if (a.ss_family == AF_INET6) {
		const struct sockaddr_in6 *six = (const void *)&a;
		memcpy(c->local.a, &six->sin6_addr, sizeof c->local.a);
		c->local_port = ntohs(six->sin6_port);
	} else {
		const struct sockaddr_in *four = (const void *)&a;
		memcpy(c->local.a + 12, &four->sin_addr, 4);
		c->local_port = ntohs(four->sin_port);
	}
}

/* How much of what is counted over time the session may use up. */
static void add_allowances(struct handover *h, char text[2][ALLOWANCE_TEXT_MAX], struct door *d, const struct client *c, const struct tcprule *rule)
{
	static const struct {
		enum rate_counter counter;
		const char *name;
	} told[2] = {{RATE_MESSAGES, ALLOWANCE_MESSAGES}, {RATE_RECIPIENTS, ALLOWANCE_RECIPIENTS}};
	struct rate_limits limits;
	enum rate_scope scope;
	bool any = door_admit_rates(&limits, d, rule);
	for (unsigned i = 0; any && i < 2; i++) {
		long left = rates_left(&scope, d->rates, &limits, &c->ip, told[i].counter, d->now);
		if (left < 0 || h->vars == HANDOVER_VARS_MAX)
			continue;
		allowance_encode(text[i], left, rate_files[scope][told[i].counter], &limits.limit[scope][told[i].counter]);
		h->var[h->vars++] = (struct handover_pair){slice_str(told[i].name), slice_str(text[i])};
	}
}

static void describe(struct buf *b, struct door *d, struct client *c, const struct tcprule *rule)
{
	char client_ip[INET6_ADDRSTRLEN], local_ip[INET6_ADDRSTRLEN];
	struct handover h;
	local_address(c);
	ip_text(client_ip, &c->ip);
	ip_text(local_ip, &c->local);
	h.listener = slice_str(listen_names[d->listener[c->listener].line.name].name);
	h.client_ip = slice_str(client_ip);
	h.local_ip = slice_str(local_ip);
	h.client_port = c->client_port;
	h.local_port = c->local_port;
	h.vars = rule->vars;
	if (rule->vars)
		memcpy(h.var, rule->var, rule->vars * sizeof *rule->var);
	if (c->host && h.vars < HANDOVER_VARS_MAX && !handover_var(&h, "TCPREMOTEHOST", NULL))
		h.var[h.vars++] = (struct handover_pair){slice_str("TCPREMOTEHOST"), slice_str(c->host)};
	char left[2][ALLOWANCE_TEXT_MAX];
	add_allowances(&h, left, d, c, rule);
	handover_encode(b, &h);
}

/* The client is a session now: its socket is gone from here, the token stands for it. */
static void becomes_session(struct door *d, struct client *c, int token)
{
	if (c->state == CLIENT_READY)
		door_ready_remove(d, c);
	door_timer_clear(d, c);
	door_unwatch(d, &c->watch);
	close_fd(&c->watch.fd);
	c->watch.fd = token;
	free(c->refusal);
	c->refusal = NULL;
	c->state = CLIENT_SESSION;
	d->waiting--;
	d->sessions++;
	if (door_watch(d, &c->watch, 0) < 0)
		door_client_close(d, c); /* no memory: better uncounted than counted for ever */
}

static void smtpd_trouble(struct door *d, int r, const struct err *e)
{
	d->smtpd_full = true;
	if (r == E_TIMEOUT && door_watch(d, &d->smtpd, EPOLLOUT) == 0)
		return;
	d->smtpd_again = d->now + AGAIN_MSEC;
	if (r == E_TIMEOUT || d->now < d->fault_logged + LOG_EVERY_MSEC)
		return;
	d->fault_logged = d->now;
	LOG(EV_fault, NULL, F_ERR(e));
}

/* 0: gone over.  Otherwise C waits on and smtpd_full says why. */
static int pass(struct door *d, struct client *c, const struct tcprule *rule)
{
	static struct buf b = BUF_INIT(HANDOVER_MAX);
	int token[2]; /* ours, the session's */
	struct err e;
	if (pipe2(token, O_CLOEXEC | O_NONBLOCK) < 0) {
		smtpd_trouble(d, err_sys(&e, "token"), &e);
		return E_SYS;
	}
	buf_reset(&b);
	describe(&b, d, c, rule);
	int fds[2] = {c->watch.fd, token[1]};
	int r = b.overflow ? err_set(&e, E_SYS, "no memory to hand over a connection") : pass_send(d->smtpd.fd, buf_slice(&b), fds, 2, 0, &e);
	close_fd(&token[1]);
	if (r == 0) {
		becomes_session(d, c, token[0]);
		return 0;
	}
	close_fd(&token[0]);
	smtpd_trouble(d, r, &e);
	return r;
}

/* False when no more can be handed over now. */
static bool hand_over(struct door *d, struct client *c)
{
	const struct tcprule *rule = door_admit_rule(d, c);
	if (d->smtpd_full || (d->sessions >= d->set.incoming && !d->stopping))
		return false;
	if (rule->deny) { /* since a reload */
		door_client_close(d, c);
		return true;
	}
	return pass(d, c, rule) == 0;
}

static void log_full(struct door *d)
{
	if (d->smtpd_full || d->now < d->full_logged + LOG_EVERY_MSEC)
		return;
	d->full_logged = d->now;
	LOG(EV_door_full, NULL, F_NUM("sessions", d->sessions), F_NUM("waiting", d->waiting));
}

void door_ready(struct door *d, struct client *c)
{
	if (!d->first && hand_over(d, c))
		return;
	log_full(d);
	ready_append(d, c);
	if (door_watch(d, &c->watch, EPOLLRDHUP) < 0 || door_timer_set(d, c, d->now + READY_MSEC) < 0)
		door_client_refuse(d, c, "421 4.3.2 out of memory, try again later");
}

void door_hand_over_ready(struct door *d)
{
	while (d->first && hand_over(d, d->first))
		;
}

/* Sessions. */

/* What a session said of itself, hostile. */
static void count_report(struct door *d, const struct client *c, struct slice text)
{
	unsigned n[REPORT_COUNT];
	struct rate_limits limits;
	if (handover_report_decode(n, text) < 0) {
		if (door_may_log(d))
			LOG(EV_bad_question, NULL, F_STR("error", "a session's report breaks its grammar"));
		return;
	}
	if (!door_admit_rates(&limits, d, door_admit_rule(d, c)))
		return;
	rates_add(d->rates, &limits, &c->ip, RATE_MESSAGES, n[REPORT_MESSAGES], d->now);
	rates_add(d->rates, &limits, &c->ip, RATE_RECIPIENTS, n[REPORT_RECIPIENTS], d->now);
	rates_add(d->rates, &limits, &c->ip, RATE_ERRORS, n[REPORT_ERRORS] + n[REPORT_BADRCPT], d->now);
	rates_add(d->rates, &limits, &c->ip, RATE_AUTHFAILS, n[REPORT_AUTHFAIL], d->now);
}

/* The token is watched for nothing but its end (EPOLLHUP comes unasked): while the session holds it, it stays counted, whatever it does with it. */
void door_session_end(struct door *d, struct client *c)
{
	char text[REPORT_OCTETS];
	ssize_t n = read(c->watch.fd, text, sizeof text);
	if (n > 0)
		count_report(d, c, slice_make(text, (size_t)n));
	door_client_close(d, c);
}
