/* postern-dns: settings, doors, the loop.  See dns.h.
 *
 * Doors and sessions are trusted with the form of their questions alone.  Name servers' answers are looked at in dns_job.c.  libunbound is opened at the first
 * question.  User postern-dns; has the network and the resolver's files, no mail and no socket that leads to any. */
#include "smtpd-outside/dns.h"

#include <malloc.h>
#include <poll.h>
#include <sys/socket.h>

#include "lib/program.h"

#define BURST 1000
#define DNS_TEXT(n) #n
#define DNS_TEXT_OF(n) DNS_TEXT(n)
#define BATCH 100 /* questions read at once, so that answers are heard between them */

/* ---- settings ---- */

/* Questions in hand are answered with what is known: they belong to the lists as they were. */
static int take_settings(struct dns *d, const struct control *c, struct err *e)
{
	static struct dnsbl fresh;
	int r = dnsbl_parse(&fresh, c, e);
	if (r < 0)
		return r;
	dns_jobs_flush(d);
	dns_senders_again(d);
	if (d->resolver.ctx)
		ub_ctx_delete(d->resolver.ctx); /* its servers may be others now */
	d->resolver.ctx = NULL;
	dns_asks_free(&d->asks);
	dns_asks_free(&d->senders.asks);
	d->lists = fresh;
	memset(d->zone, 0, sizeof d->zone);
	d->timeout_msec = control_number(c, C_dnsbltimeout) * 1000;
	d->grey_sec = (unsigned)control_number(c, C_greylist);
	dns_cache_free(d->cache);
	d->cache = dns_cache_make();
	return 0;
}

int dns_open(struct dns *d, const struct control *c, struct greylist *greylist, int in_fd, int feed_fd, int lifeline_fd, struct err *e)
{
	*d = (struct dns){.greylist = greylist, .in_fd = in_fd, .feed_fd = feed_fd, .lifeline_fd = lifeline_fd};
	return take_settings(d, c, e);
}

static bool reload(struct dns *d)
{
	struct err e;
	int r = program_reload(&e);
	if (r == E_EOF || r == E_SYS)
		return false;
	if (r == 0)
		r = take_settings(d, program_control(), &e);
	if (r < 0)
		LOG(EV_control_fault, NULL, F_ERR(&e));
	return true;
}

/* Defaults of libunbound are for a resolver of a whole site; here one thread asks for doors and sessions alone. */
static void tune(struct ub_ctx *ctx)
{
	static const char *const options[][2] = {
		{"num-queries-per-thread:", "4096"}, {"outgoing-range:", DNS_TEXT_OF(DNS_SOCKETS)}, {"msg-cache-size:", "1m"}, {"rrset-cache-size:", "1m"},
		{"infra-cache-numhosts:", "1000"}, {"cache-max-negative-ttl:", "3600"}, {"local-zone:", "127.in-addr.arpa. transparent"},
	};
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		(void)!ub_ctx_set_option(ctx, options[i][0], options[i][1]);
}

static void open_resolver(struct dns *d)
{
	struct err e;
	if (resolver_open(&d->resolver, program_control(), &e) < 0)
		LOG(EV_fault, NULL, F_ERR(&e));
	else
		tune(d->resolver.ctx);
}

/* ---- doors and sessions: each has a port of its own, as a session that was taken over must not be a door, which may ask anything and keep all waiting ---- */

void dns_close_door(struct dns *d, int door_fd)
{
	dns_jobs_forget(d, door_fd);
	for (unsigned i = 0; i < d->doors; i++)
		if (d->door[i] == door_fd) {
			close_fd(&d->door[i]);
			d->door[i] = d->door[--d->doors];
		}
}

void dns_send(struct dns *d, int door_fd, const struct dns_answer *a)
{
	char space[DNS_PACKET_MAX];
	struct buf b = {space, 0, sizeof space, sizeof space, false};
	struct err e;
	dns_answer_encode(&b, a);
	int r = b.overflow ? E_TOO_LONG : pass_send(door_fd, buf_slice(&b), NULL, 0, deadline_in(1000), &e);
	if (r < 0)
		dns_close_door(d, door_fd);
}

static void refuse(struct question *q, const char *why)
{
	question_drop(q);
	LOG(EV_bad_question, NULL, F_STR("error", why));
}

static void take_door(struct dns *d, struct question *q)
{
	if (slice_eq_str(q->text, "door") && q->count == 0 && d->doors < DNS_DOORS_MAX)
		d->door[d->doors++] = q->reply_fd;
	else
		refuse(q, "what came is no connection of a door, or there are too many");
}

static void take_sender(struct dns *d, struct question *q)
{
	struct slice domain;
	if (q->count == 0 && sender_question_decode(&domain, q->text) == 0)
		dns_sender_begin(d, q, domain);
	else
		refuse(q, "a session's question breaks its grammar");
}

static void read_in(struct dns *d, int fd, void (*take)(struct dns *d, struct question *q))
{
	char text[DNS_PACKET_MAX];
	struct question q;
	struct err e;
	int r = 0;
	for (int i = 0; i < BATCH && (r == 0 || r == E_PEER); i++) {
		r = question_receive(&q, fd, text, sizeof text, 0, &e);
		if (r == 0)
			take(d, &q);
		else if (r != E_TIMEOUT && r != E_EOF)
			LOG(EV_bad_question, NULL, F_ERR(&e));
	}
}

static void read_door(struct dns *d, int door_fd)
{
	char text[DNS_PACKET_MAX];
	struct dns_question q;
	for (int i = 0; i < BATCH; i++) {
		ssize_t n = recv(door_fd, text, sizeof text, MSG_DONTWAIT);
		if (n < 0)
			return;
		if (n == 0 || dns_question_decode(&q, slice_make(text, (size_t)n)) < 0) {
			if (n)
				LOG(EV_bad_question, NULL, F_STR("error", "a door's question breaks its grammar"));
			dns_close_door(d, door_fd);
			return;
		}
		if (!d->resolver.ctx)
			open_resolver(d);
		dns_job_begin(d, door_fd, &q);
	}
}

static bool still_there(const struct dns *d, int fd)
{
	for (unsigned i = 0; i < d->doors; i++)
		if (d->door[i] == fd)
			return true;
	return false;
}

/* ---- the loop ---- */

enum { AT_IN, AT_FEED, AT_LIFELINE, AT_UNBOUND, AT_DOORS };

static bool turn(struct dns *d)
{
	struct pollfd p[AT_DOORS + DNS_DOORS_MAX] = {
		[AT_IN] = {d->in_fd, POLLIN, 0}, [AT_FEED] = {d->feed_fd, POLLIN, 0}, [AT_LIFELINE] = {d->lifeline_fd, POLLIN, 0},
		[AT_UNBOUND] = {d->resolver.ctx ? ub_fd(d->resolver.ctx) : -1, POLLIN, 0},
	};
	unsigned doors = d->doors;
	for (unsigned i = 0; i < doors; i++)
		p[AT_DOORS + i] = (struct pollfd){d->door[i], POLLIN, 0};
	int64_t lists = turns_deadline(&d->jobs), senders = dns_senders_next(d);
	if (poll(p, AT_DOORS + doors, deadline_left(lists < senders ? lists : senders)) < 0)
		return true; /* a signal: the loop's condition knows */
	if (p[AT_LIFELINE].revents)
		return reload(d);
	if (p[AT_UNBOUND].revents)
		(void)!ub_process(d->resolver.ctx);
	for (unsigned i = 0; i < doors; i++)
		if (p[AT_DOORS + i].revents && still_there(d, p[AT_DOORS + i].fd))
			read_door(d, p[AT_DOORS + i].fd);
	if (p[AT_IN].revents)
		read_in(d, d->in_fd, take_door);
	if (p[AT_FEED].revents)
		read_in(d, d->feed_fd, take_sender);
	dns_jobs_tick(d, clock_msec());
	if (d->senders.turns.unbegun && !d->resolver.ctx)
		open_resolver(d);
	dns_senders_tick(d, clock_msec());
	if (d->jobs.count == 0 && d->peak > BURST) {
		malloc_trim(0); /* what a burst took */
		d->peak = 0;
	}
	return true;
}

void dns_run(struct dns *d)
{
	while (!program_stopping() && turn(d))
		;
}
