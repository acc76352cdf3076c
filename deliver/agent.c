/* One delivery after the other: see agent.h.  The delivery comes from the queue and is checked again; message and addresses are anybody's. */
#include "deliver/agent.h"

#include <stdio.h>

#include "deliver/local.h"
#include "lib/ask.h"
#include "lib/log.h"
#include "lib/program.h"

#define ANSWER_MSEC 5000

int agent_prepare(struct agent_settings *a, const struct control *c, bool lmtp, struct err *e)
{
	a->control = c;
	a->agent = lmtp ? AGENT_LMTP : AGENT_REMOTE;
	a->client.lmtp = lmtp;
	a->client.connect_msec = control_number(c, C_timeoutconnect) * 1000;
	a->client.step_msec = control_number(c, C_timeoutremote) * 1000;
	if (slice_copy(a->client.helo, sizeof a->client.helo, control_word(c, C_helohost)) < 0)
		return err_set(e, E_TOO_LONG, "helohost is too long");
	return 0;
}

/* OpenSSL and libunbound cost each process more than a MiB: a worker opens them when its first delivery comes, so that workers at rest
 * stay small. */
static int wake(struct agent_settings *a, struct err *e)
{
	if (a->awake)
		return 0;
	if (a->agent == AGENT_REMOTE && !a->client.tls && !(a->client.tls = client_tls_context(e)))
		return E_SYS;
	int rc = resolver_open(&a->resolver, a->control, e);
	a->awake = rc == 0;
	return rc;
}

/* One place: in clear where TLS failed on it.  0: all are decided. */
static int try_place(struct client *c, struct client_mail *m, const struct place *p, const char *id, struct err *e)
{
	int rc = client_open(c, (const struct sockaddr *)&p->to, p->octets, p->name, false, e);
	if (rc == E_REFUSED) {
		LOG(EV_remote_tls, id, F_STR("host", p->name), F_ERR(e));
		rc = client_open(c, (const struct sockaddr *)&p->to, p->octets, p->name, true, e);
	}
	if (rc == 0)
		rc = client_deliver(c, m, e);
	if (rc < 0)
		LOG(EV_remote_failed, id, F_STR("host", p->name), F_ERR(e));
	return rc;
}

static void log_session(const struct client *c, const struct client_mail *m, const char *id)
{
	size_t accepted = 0;
	for (size_t i = 0; i < m->count; i++)
		accepted += m->rcpt[i].status == DELIVERY_DONE;
	LOG(EV_remote_session, id, F_STR("host", c->host), F_STR("tls", c->tls), F_NUM("rcpts", m->count), F_NUM("delivered", accepted));
}

static void try_all(struct agent_settings *a, struct client_mail *m, const struct places *p, const char *id)
{
	static struct client c;
	char text[DELIVERY_TEXT_MAX + 1];
	struct err e = {0};
	int rc = E_EOF;
	client_init(&c, &a->client, deadline_in(AGENT_MSEC));
	for (size_t i = 0; i < p->n && rc < 0; i++) {
		rc = try_place(&c, m, &p->place[i], id, &e);
		snprintf(text, sizeof text, "%.220s: %.170s", p->place[i].name, e.text);
	}
	if (rc == 0)
		log_session(&c, m, id);
	else
		client_decide_rest(m, DELIVERY_DEFERRED, "4.4.1", "", text);
	client_close(&c);
}

static void deliver(struct agent_settings *a, struct client_mail *m, const struct delivery *d)
{
	struct places p = {.n = 0};
	struct slice destination = d->rcpt[0].target.destination;
	struct err e;
	bool awake = wake(a, &e) == 0;
	for (size_t i = 0; i < d->count; i++) {
		m->rcpt[i].decided = m->rcpt[i].accepted = false;
		m->rcpt[i].address = d->rcpt[i].target.address;
		if (d->rcpt[i].target.agent != a->agent || !slice_case_eq(d->rcpt[i].target.destination, destination))
			client_decide(&m->rcpt[i], DELIVERY_DEFERRED, "4.3.0", "", "the queue put different destinations into one delivery");
	}
	if (!awake) {
		LOG(EV_fault, d->id, F_ERR(&e));
		client_decide_rest(m, DELIVERY_DEFERRED, "4.3.0", "", e.text);
	} else if (a->find(&p, a, m, destination) == 0)
		try_all(a, m, &p, d->id);
}

static void send_results(const struct client_mail *m, const struct delivery *d)
{
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct err e;
	for (size_t i = 0; i < m->count; i++) {
		const struct client_rcpt *r = &m->rcpt[i];
		struct delivery_result out = {.number = d->rcpt[i].number, .status = r->status, .host = slice_str(r->host), .text = slice_str(r->text)};
		memcpy(out.enhanced, r->enhanced, sizeof out.enhanced);
		result_encode(&b, &out);
	}
	if (b.overflow || pass_send(m->reply_fd, buf_slice(&b), NULL, 0, deadline_in(ANSWER_MSEC), &e) < 0)
		LOG(EV_remote_unanswered, d->id);
	buf_free(&b);
}

static void take(struct agent_settings *a, struct slice text, const int fds[3])
{
	static struct delivery d;
	static struct client_mail m;
	struct local_message msg;
	struct err e;
	if (delivery_decode(&d, text, &e) < 0 || local_message_open(&msg, fds[0], fds[1], &e) < 0) {
		LOG(EV_bad_question, NULL, F_ERR(&e));
		return;
	}
	m.sender = d.sender;
	m.header = msg.header;
	m.body = msg.body;
	m.reply_fd = fds[2];
	m.count = d.count;
	deliver(a, &m, &d);
	local_message_close(&msg);
	send_results(&m, &d);
}

void agent_run(struct agent_settings *a, int port)
{
	static char space[DELIVERY_DATAGRAM_MAX];
	int fds[PASS_FDS_MAX];
	size_t n, count;
	struct err e;
	while (!program_stopping()) {
		int rc = pass_recv(port, space, sizeof space, &n, fds, &count, DEADLINE_NEVER, &e);
		if (rc == 0 && count != 3)
			rc = err_set(&e, E_PEER, "a delivery has three descriptors");
		else if (rc == 0)
			take(a, slice_make(space, n), fds);
		else
			count = 0;
		close_fds(fds, count);
		if (rc == E_PEER)
			LOG(EV_bad_question, NULL, F_ERR(&e));
		else if (rc < 0 && rc != E_EOF)
			LOG(EV_fault, NULL, F_ERR(&e));
	}
}
