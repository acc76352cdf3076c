/* From the queue's delivery to QMQP and back: see agent.h.  The delivery is checked as if the queue had been taken over.  QMQP has one message for each
 * connection, so there is nothing to keep between deliveries. */
#include "qmqp/agent.h"

#include "deliver/converse.h"
#include "lib/log.h"
#include "lib/program.h"

static bool same_host(const struct delivery *d)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->rcpt[i].target.agent != AGENT_QMQP || !slice_case_eq(d->rcpt[i].target.destination, d->rcpt[0].target.destination))
			return false;
	return d->count > 0;
}

static void encode_results(struct buf *b, const struct delivery *d, const struct qmqp_fate *f)
{
	for (size_t i = 0; i < d->count; i++) {
		struct delivery_result r = {.number = d->rcpt[i].number, .status = f->status, .text = slice_str(f->text), .host = d->rcpt[0].target.destination,
			.relay = f->status == DELIVERY_DONE ? RELAY_PLAIN : f->doubt ? RELAY_DOUBT : RELAY_NO};
		memcpy(r.enhanced, f->enhanced, sizeof r.enhanced);
		result_encode(b, &r);
	}
}

static void connected(void *ctx)
{
	converse_connected(ctx);
}

static void deliver(struct conversation *v, struct buf *b, const struct delivery *d, const struct local_message *msg)
{
	struct qmqp_agent *a = v->ctx;
	struct qmqp_fate f = {.status = DELIVERY_DEFERRED, .enhanced = "4.3.0", .text = "the queue put different hosts into one delivery"};
	if (same_host(d) && d->requiretls)
		f = (struct qmqp_fate){.status = DELIVERY_FAILED, .enhanced = "5.7.30", .text = "the message may go on only by TLS (REQUIRETLS), which QMQP does not have"};
	else if (same_host(d))
		qmqpc_deliver(&f, d, &(struct qmqp_content){.header = msg->header, .body = msg->body, .reply_fd = v->reply_fd, .connected = connected, .ctx = v}, &a->set);
	LOG(EV_qmqpc_forwarded, d->id, F_SLICE("host", d->rcpt[0].target.destination), F_NUM("rcpts", d->count),
		F_SLICE("status", slice_make(&(char){(char)f.status}, 1)), F_STR("text", f.text));
	encode_results(b, d, &f);
}

static void begins(struct conversation *v)
{
	pool_busy(&((struct qmqp_agent *)v->ctx)->pool);
}

static void ends(struct conversation *v)
{
	pool_free(&((struct qmqp_agent *)v->ctx)->pool);
}

static void work(void *ctx)
{
	struct qmqp_agent *a = ctx;
	struct conversation v = {.reply_fd = -1, .deliver = deliver, .ctx = a};
	converse_serve(&v, a->port, begins, ends);
}

int qmqp_agent_prepare(struct qmqp_agent *a, const struct control *c, struct err *e)
{
	a->set = (struct qmqpc_settings){c, &a->resolver};
	resolver_prepare(&a->resolver, c);
	a->pool.most = pool_size(c);
	return pool_open(&a->pool, e);
}

void qmqp_agent_run(struct qmqp_agent *a, int port)
{
	a->port = port;
	a->pool.work = work;
	a->pool.ctx = a;
	pool_run(&a->pool);
}
