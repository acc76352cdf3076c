/* One delivery after the other: see agent.h.  The delivery comes from the queue and is checked again; message and addresses are anybody's. */
#include "deliver/agent.h"

#include <stdio.h>
#include <strings.h>

#include "deliver/converse.h"
#include "deliver/hostport.h"
#include "lib/log.h"
#include "lib/program.h"

int agent_prepare(struct agent_settings *a, const struct control *c, bool lmtp, struct err *e)
{
	a->control = c;
	a->agent = lmtp ? AGENT_LMTP : AGENT_REMOTE;
	a->client.lmtp = lmtp;
	a->client.connect_msec = control_number(c, C_timeoutconnect) * 1000;
	a->client.step_msec = control_number(c, C_timeoutremote) * 1000;
	if (slice_copy(a->client.helo, sizeof a->client.helo, control_word(c, C_helohost)) < 0)
		return err_set(e, E_TOO_LONG, "helohost is too long");
	if (!lmtp && !(a->client.tls = client_tls_context(e)))
		return E_SYS;
	resolver_prepare(&a->resolver, c);
	a->pool.most = pool_size(c);
	return pool_open(&a->pool, e);
}

#define PLACE_MAX 400

/* A worker: its settings, its connection, and where that leads. */
static struct {
	struct agent_settings *set;
	struct client client;
	char leads_to[PLACE_MAX];
} self;

/* Where mail for DESTINATION goes: the relay that a route names, the same for all its domains, else the destination itself. */
static void place_of(char out[PLACE_MAX], struct slice destination)
{
	struct hostport relay;
	if (self.set->agent == AGENT_REMOTE && smtproute_find(&relay, self.set->control, destination) == 0)
		hostport_name(out, &relay);
	else if (slice_copy(out, PLACE_MAX, destination) < 0)
		out[0] = 0;
}

/* One place: in clear where TLS failed on it.  0: all are decided. */
static int try_place(const struct conversation *v, struct client_mail *m, const struct place *p, const char *id, struct err *e)
{
	struct client *c = &self.client;
	int rc = client_open(c, (const struct sockaddr *)&p->to, p->octets, p->name, false, e);
	if (rc == E_REFUSED) {
		LOG(EV_remote_tls, id, F_STR("host", p->name), F_ERR(e));
		rc = client_open(c, (const struct sockaddr *)&p->to, p->octets, p->name, true, e);
	}
	if (rc == 0) {
		converse_connected(v);
		rc = client_deliver(c, m, e);
	}
	if (rc < 0)
		LOG(EV_remote_failed, id, F_STR("host", p->name), F_ERR(e));
	return rc;
}

static void log_session(const struct client_mail *m, const char *id)
{
	const struct client *c = &self.client;
	size_t accepted = 0;
	for (size_t i = 0; i < m->count; i++)
		accepted += m->rcpt[i].status == DELIVERY_DONE;
	LOG(EV_remote_session, id, F_STR("host", c->host), F_STR("tls", c->tls), F_NUM("rcpts", m->count), F_NUM("delivered", accepted), F_NUM("nth", c->messages));
}

static void try_all(const struct conversation *v, struct client_mail *m, const struct places *p, const char *id)
{
	char text[DELIVERY_TEXT_MAX + 1];
	struct err e = {0};
	int rc = E_EOF;
	client_init(&self.client, &self.set->client, deadline_in(AGENT_MSEC));
	for (size_t i = 0; i < p->n && rc < 0; i++) {
		rc = try_place(v, m, &p->place[i], id, &e);
		snprintf(text, sizeof text, "%.220s: %.170s", p->place[i].name, e.text);
	}
	if (rc == 0)
		log_session(m, id);
	else
		client_decide_rest(m, DELIVERY_DEFERRED, "4.4.1", "", text);
}

/* By the connection that is there.  False: it serves no more, and nobody is decided. */
static bool again(struct client_mail *m, const char *id, const char *place)
{
	struct client *c = &self.client;
	struct err e;
	if (!place[0] || strcasecmp(place, self.leads_to) != 0 || !client_again(c, deadline_in(AGENT_MSEC)) || client_deliver(c, m, &e) < 0)
		return false;
	log_session(m, id);
	return true;
}

/* Recipients of one delivery go to one place; where a reload changed the routes since the queue put them together, the others wait. */
static bool same_place(const struct delivery *d, size_t i, const char *place)
{
	char other[PLACE_MAX];
	const struct target *t = &d->rcpt[i].target;
	if (t->agent != self.set->agent)
		return false;
	if (slice_case_eq(t->destination, d->rcpt[0].target.destination))
		return true;
	place_of(other, t->destination);
	return other[0] && strcasecmp(other, place) == 0;
}

static void fill(struct client_mail *m, const struct conversation *v, const struct delivery *d, const struct local_message *msg, const char *place)
{
	m->sender = d->sender;
	m->header = msg->header;
	m->body = msg->body;
	m->reply_fd = v->reply_fd;
	m->smtputf8 = d->smtputf8;
	m->ret = d->ret;
	m->envid = d->envid;
	m->count = d->count;
	for (size_t i = 0; i < d->count; i++) {
		m->rcpt[i].decided = m->rcpt[i].accepted = false;
		m->rcpt[i].relay = RELAY_NO;
		m->rcpt[i].address = d->rcpt[i].target.address;
		m->rcpt[i].notify = d->rcpt[i].notify;
		m->rcpt[i].orcpt = d->rcpt[i].orcpt;
		if (!same_place(d, i, place))
			client_decide(&m->rcpt[i], DELIVERY_DEFERRED, "4.3.0", "", "the queue put different destinations into one delivery");
	}
}

static void deliver(const struct conversation *v, struct client_mail *m, const struct delivery *d, const char *place)
{
	struct places p = {.n = 0};
	struct slice destination = d->rcpt[0].target.destination;
	/* Neither are the names of mail hosts known for certain nor certificates verified here (RFC 8689 4.2.1). */
	if (d->requiretls && self.set->agent == AGENT_REMOTE) {
		client_decide_rest(m, DELIVERY_FAILED, "5.7.30", "", "the message may go on only by TLS with a verified certificate (REQUIRETLS), which is not possible here");
		return;
	}
	if (again(m, d->id, place))
		return;
	client_close(&self.client);
	snprintf(self.leads_to, sizeof self.leads_to, "%s", place);
	if (self.set->find(&p, self.set, m, destination) == 0)
		try_all(v, m, &p, d->id);
}

static void encode_results(struct buf *b, const struct client_mail *m, const struct delivery *d)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct client_rcpt *r = &m->rcpt[i];
		struct delivery_result out = {.number = d->rcpt[i].number, .status = r->status, .host = slice_str(r->host), .text = slice_str(r->text),
			.relay = r->relay};
		memcpy(out.enhanced, r->enhanced, sizeof out.enhanced);
		result_encode(b, &out);
	}
}

static void converse_deliver(struct conversation *v, struct buf *b, const struct delivery *d, const struct local_message *msg)
{
	static struct client_mail m;
	char place[PLACE_MAX];
	self.client.busy = false;
	place_of(place, d->rcpt[0].target.destination);
	fill(&m, v, d, msg, place);
	deliver(v, &m, d, place);
	encode_results(b, &m, d);
	mark_encode(b, self.client.busy ? MARK_BUSY : client_keeps(&self.client) ? MARK_READY : MARK_NONE);
}

static int idle_fd(struct conversation *v)
{
	(void)v;
	return self.client.fd;
}

static void broken(struct conversation *v)
{
	(void)v;
	client_drop(&self.client);
}

static void begins(struct conversation *v)
{
	(void)v;
	pool_busy(&self.set->pool);
}

static void ends(struct conversation *v)
{
	(void)v;
	client_close(&self.client);
	pool_free(&self.set->pool);
}

static void work(void *ctx)
{
	static struct conversation v = {.reply_fd = -1, .deliver = converse_deliver, .idle_fd = idle_fd, .broken = broken};
	self.set = ctx;
	client_init(&self.client, &self.set->client, 0);
	converse_serve(&v, self.set->port, begins, ends);
}

void agent_run(struct agent_settings *a, int port)
{
	a->port = port;
	a->pool.work = work;
	a->pool.ctx = a;
	pool_run(&a->pool);
}
