/* From the queue's delivery to QMQP and back: see agent.h.  The delivery is checked as if the queue had been taken over. */
#include "qmqp/agent.h"

#include "deliver/local.h"
#include "lib/log.h"
#include "qmqp/qmqpc.h"

#define ANSWER_MSEC 10000

static void report(const struct delivery *d, const struct qmqp_fate *f, int reply_fd)
{
	struct buf text = BUF_INIT(DELIVERY_DATAGRAM_MAX);
	struct err e;
	for (size_t i = 0; i < d->count; i++) {
		struct delivery_result r = {.number = d->rcpt[i].number, .status = f->status, .text = slice_str(f->text),
			.host = d->rcpt[0].target.destination};
		memcpy(r.enhanced, f->enhanced, sizeof r.enhanced);
		result_encode(&text, &r);
	}
	/* Without an answer the queue repeats the delivery: a second copy rather than none. */
	if (!text.overflow && pass_send(reply_fd, buf_slice(&text), NULL, 0, deadline_in(ANSWER_MSEC), &e) < 0)
		LOG(EV_qmqpc_unanswered, d->id, F_ERR(&e));
	buf_free(&text);
}

static void deliver(const struct delivery *d, const int fds[3], const struct control *c)
{
	struct local_message msg;
	struct qmqp_fate f = {0};
	struct err e;
	if (local_message_open(&msg, fds[0], fds[1], &e) < 0) {
		LOG(EV_bad_job, d->id, F_ERR(&e));
		return;
	}
	qmqpc_deliver(&f, d, msg.header, msg.body, c);
	LOG(EV_qmqpc_forwarded, d->id, F_SLICE("host", d->rcpt[0].target.destination), F_NUM("rcpts", d->count),
		F_SLICE("status", slice_make(&(char){(char)f.status}, 1)), F_STR("text", f.text));
	report(d, &f, fds[2]);
	local_message_close(&msg);
}

static bool same_host(const struct delivery *d)
{
	for (size_t i = 0; i < d->count; i++)
		if (d->rcpt[i].target.agent != AGENT_QMQP || !slice_case_eq(d->rcpt[i].target.destination, d->rcpt[0].target.destination))
			return false;
	return d->count > 0;
}

int qmqp_agent_serve(int port, const struct control *c, struct err *e)
{
	static char space[DELIVERY_DATAGRAM_MAX];
	static struct delivery d;
	int fds[PASS_FDS_MAX];
	size_t n, count = 0;
	int rc = pass_recv(port, space, sizeof space, &n, fds, &count, DEADLINE_NEVER, e);
	if (rc < 0 && rc != E_PEER)
		return rc;
	if (rc == E_PEER)
		count = 0;
	else
		rc = count == 3 ? delivery_decode(&d, slice_make(space, n), e) : err_set(e, E_PEER, "a delivery has three descriptors");
	if (rc == 0 && !same_host(&d))
		rc = err_set(e, E_PEER, "a delivery by QMQP goes to one host");
	if (rc == 0)
		deliver(&d, fds, c);
	else
		LOG(EV_bad_question, NULL, F_ERR(e));
	close_fds(fds, count);
	return 0;
}
