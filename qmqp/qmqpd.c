/* A QMQP connection: see qmqpd.h.  As postern-qmqpd, in an empty root directory.  The door lets in whom tcp.qmqp allows; such a host is believed
 * in that its mail was checked, and in nothing else.  Nothing is answered before the last octet has come; K only after the queue said 250. */
#include "qmqp/qmqpd.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/addr.h"
#include "lib/header.h"
#include "lib/job.h"
#include "lib/log.h"
#include "lib/netstring.h"
#include "qmqp/intake.h"
#include "qmqp/origin.h"

#define READ_OCTETS (64 * 1024)
#define CONNECTION_MSEC (3600 * 1000)

struct connection {
	int fd;
	const struct handover *from;
	const struct control *control;
	int64_t deadline;
	char id[ID_LEN + 1];
};

/* LETTER K, Z or D and one line of text. */
static void answer(const struct connection *c, char letter, const char *text)
{
	char line[ANSWER_MAX + 64];
	struct buf b = BUF_INIT(ANSWER_MAX + 128);
	int n = snprintf(line, sizeof line, "%c%s", letter, text);
	netstring_add(&b, slice_make(line, n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1));
	(void)!io_write_all(c->fd, b.p, b.n, deadline_in(30000), NULL);
	buf_free(&b);
	LOG(EV_qmqpd_answered, c->id, F_SLICE("ip", c->from->client_ip), F_SLICE("status", slice_make(&letter, 1)), F_STR("text", text));
}

static int read_message(struct qmqp_intake *q, const struct connection *c, struct err *e)
{
	static char space[READ_OCTETS];
	int64_t wait = control_number(c->control, C_timeoutsmtpd) * 1000;
	for (int rc = 0; ; ) {
		int64_t until = deadline_in(wait);
		ssize_t n = io_read(c->fd, space, sizeof space, until < c->deadline ? until : c->deadline, e);
		if (n == 0)
			return err_set(e, E_EOF, "the connection ended inside the message");
		rc = n < 0 ? (int)n : qmqp_intake_feed(q, space, (size_t)n, e);
		if (rc)
			return rc;
	}
}

static int add_address(struct buf *b, struct slice text)
{
	struct addr a;
	if (addr_parse_mailbox(&a, text, true) < 0)
		return E_SYNTAX;
	buf_reset(b);
	addr_canonical(b, &a);
	return b->overflow ? E_SYNTAX : 0;
}

static void add_received(struct buf *b, const struct connection *c, int64_t now)
{
	buf_add_format(b, "Received: from [%.*s]\n  by %.*s with QMQP id %s;\n  ", SLICE_FMT(c->from->client_ip),
		SLICE_FMT(control_word(c->control, C_me)), c->id);
	header_date(b, now);
	buf_add_str(b, "\n");
}

/* The head, or E_SYNTAX: an address is none. */
static int make_head(struct job *job, const struct connection *c, const struct qmqp_intake *q, struct err *e)
{
	struct slice header = data_header_header(&q->header);
	struct envelope env = {.id = slice_str(c->id), .class = CLASS_CLUSTER, .wall_usec = clock_wall_usec(), .client_ip = c->from->client_ip,
		.sender = slice_make("", 0), .eightbit = true, .rcpts = q->count - 1};
	struct buf text = BUF_INIT((size_t)RECIPIENTS_MAX * ADDRESS_MAX * 2), one = BUF_INIT(ADDRESS_MAX), received = BUF_INIT(1024);
	size_t *at = calloc(q->count + 1, sizeof *at);
	env.rcpt = calloc(q->count, sizeof *env.rcpt);
	int rc = at && env.rcpt ? 0 : err_sys(e, "recipients");
	for (size_t i = 0; rc == 0 && i < q->count; i++) {
		struct slice field = qmqp_intake_field(q, i);
		buf_reset(&one);
		if ((i || field.n) && add_address(&one, field) < 0)
			rc = err_set(e, E_SYNTAX, "%s is not an address", i ? "a recipient" : "the sender");
		buf_add_slice(&text, buf_slice(&one));
		at[i + 1] = text.n;
	}
	for (size_t i = 0; rc == 0 && i < q->count; i++) {
		struct slice s = slice_make(text.p ? text.p + at[i] : "", at[i + 1] - at[i]);
		if (i)
			env.rcpt[i - 1].address = s;
		else
			env.sender = s;
	}
	add_received(&received, c, env.wall_usec);
	(void)!origin_take(&env.origin, &env.origin_again, &header);
	const struct slice pieces[] = {buf_slice(&received), header, slice_make("\n", q->header.no_blank)};
	if (rc == 0)
		rc = text.overflow || received.overflow ? err_sys(e, "recipients") : job_make_head(job, &env, pieces, 3, e);
	free(at);
	free(env.rcpt);
	buf_free(&text);
	buf_free(&one);
	buf_free(&received);
	return rc;
}

/* The file that Q wrote the body to. */
static int take_body(struct content *body, const struct qmqp_intake *q, struct err *e)
{
	int fd = dup(q->body_fd);
	return fd < 0 ? err_sys(e, "body") : content_of_own_file(body, fd, e);
}

/* CODE of the line's answer, or a failure: all of them are temporary but E_SYNTAX. */
static int hand_on(const struct connection *c, const struct qmqp_intake *q, int next, int *code, char text[ANSWER_MAX + 1], struct err *e)
{
	struct slice header = data_header_header(&q->header), origin = {0};
	bool again = false;
	struct job job = JOB_INIT;
	int mine = -1;
	int64_t until = deadline_in(control_number(c->control, C_answerseconds) * 1000);
	memcpy(job.id, c->id, sizeof job.id);
	int rc = make_head(&job, c, q, e);
	if (rc == 0)
		rc = take_body(&job.body, q, e);
	if (rc == 0)
		rc = answer_pair(&mine, &job.reply_fd, e);
	if (rc == 0)
		rc = job_send(next, &job, until, e);
	job_close(&job);
	if (rc == 0) {
		(void)!origin_take(&origin, &again, &header);
		LOG(EV_qmqpd_handed, c->id, F_SLICE("ip", c->from->client_ip), F_SLICE("origin", origin), F_NUM("again", again), F_SLICE("sender", qmqp_intake_field(q, 0)),
			F_NUM("rcpts", q->count - 1), F_NUM("octets", q->header.line + q->body_octets));
		rc = answer_wait(code, text, mine, until, e);
	}
	close_fd(&mine);
	return rc;
}

static void whole_message(const struct connection *c, const struct qmqp_intake *q, int next)
{
	struct err e = {0};
	char text[ANSWER_MAX + 1], say[ANSWER_MAX + 32];
	int code = 0;
	const char *refusal = qmqp_intake_refusal(q);
	if (refusal) {
		snprintf(say, sizeof say, "%s (%s)", refusal, c->id);
		answer(c, 'D', say);
		return;
	}
	int rc = hand_on(c, q, next, &code, text, &e);
	if (rc < 0)
		snprintf(say, sizeof say, "%s (%s)", rc == E_SYNTAX ? e.text : "the message could not be taken now", c->id);
	else if (code < 300)
		snprintf(say, sizeof say, "ok %lld qp %d id %s", (long long)(clock_wall_usec() / 1000000), (int)getpid(), c->id);
	else
		snprintf(say, sizeof say, "%s", text);
	if (rc < 0 && rc != E_SYNTAX)
		LOG(EV_fault, c->id, F_ERR(&e));
	answer(c, rc == E_SYNTAX || code >= 500 ? 'D' : rc < 0 || code >= 300 ? 'Z' : 'K', say);
}

void qmqpd_serve(int fd, const struct handover *h, int next, const struct control *c)
{
	struct connection con = {.fd = fd, .from = h, .control = c, .deadline = deadline_in(CONNECTION_MSEC)};
	struct qmqp_intake q;
	struct err e = {0};
	id_make(con.id);
	int body = memfd_make("body", &e);
	if (body < 0) {
		answer(&con, 'Z', "no memory for a message now");
		return;
	}
	qmqp_intake_begin(&q, body, (size_t)control_number(c, C_databytes));
	int rc = read_message(&q, &con, &e);
	if (rc == 1)
		whole_message(&con, &q, next);
	else if (rc == E_TOO_LONG || rc == E_SYNTAX)
		answer(&con, 'D', e.text);
	else
		LOG(EV_qmqpd_broken, con.id, F_SLICE("ip", h->client_ip), F_ERR(&e));
	qmqp_intake_free(&q);
	close(body);
}
