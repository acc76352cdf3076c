/* QMQP, receiving: see intake.h.  Runs in postern-qmqpd.  The peer is a host of the cluster (tcp.qmqp says which), which may have been
 * taken over: lengths are bounded before anything is kept, each octet is looked at once. */
#include "qmqp/intake.h"

#include <stdlib.h>
#include <unistd.h>

#define OUTER_MAX ((size_t)200 * 1000 * 1000) /* as qmail-qmqpd */
#define LENGTH_DIGITS_MAX 9

void qmqp_intake_begin(struct qmqp_intake *q, int body_fd, size_t most)
{
	*q = (struct qmqp_intake){.body_fd = body_fd, .most = most, .header = DATA_HEADER_INIT(HEADER_MAX),
		.fields = BUF_INIT((size_t)RECIPIENTS_MAX * ADDRESS_MAX)};
}

void qmqp_intake_free(struct qmqp_intake *q)
{
	buf_free(&q->header.text);
	buf_free(&q->fields);
	free(q->end);
	q->end = NULL;
}

struct slice qmqp_intake_field(const struct qmqp_intake *q, size_t i)
{
	size_t begin = i ? q->end[i - 1] : 0;
	return slice_make(q->fields.p ? q->fields.p + begin : "", q->end[i] - begin);
}

const char *qmqp_intake_refusal(const struct qmqp_intake *q)
{
	if (q->refused)
		return "5.6.0 the message has a CR or NUL in it";
	if (q->header.text.overflow)
		return "5.3.4 the header is too large";
	return NULL;
}

/* One octet of a length.  1: it was the colon, 0: a digit, or a fault. */
static int length_octet(struct qmqp_intake *q, char c, struct err *e)
{
	if (c == ':' && q->digits) {
		q->digits = 0;
		return 1;
	}
	if (c < '0' || c > '9' || q->digits == LENGTH_DIGITS_MAX || (q->digits == 1 && q->number == 0))
		return err_set(e, E_SYNTAX, "not a netstring's length");
	q->number = q->number * 10 + (size_t)(c - '0');
	q->digits++;
	return 0;
}

static int write_body(struct qmqp_intake *q, struct slice s, struct err *e)
{
	while (s.n) {
		ssize_t put = write(q->body_fd, s.p, s.n);
		if (put <= 0)
			return err_sys(e, "keeping a message");
		q->body_octets += (size_t)put;
		s = slice_from(s, (size_t)put);
	}
	return 0;
}

static int message_octets(struct qmqp_intake *q, struct slice s, struct err *e)
{
	if (s.n && (memchr(s.p, '\r', s.n) || memchr(s.p, 0, s.n)))
		q->refused = true;
	if (q->refused)
		return 0;
	if (q->header.done)
		return write_body(q, s, e);
	s = slice_from(s, data_header_feed(&q->header, s));
	if (!q->header.done)
		return 0;
	int rc = write_body(q, data_header_spill(&q->header), e);
	return rc < 0 ? rc : write_body(q, s, e);
}

static int message_end(struct qmqp_intake *q, struct err *e)
{
	if (q->header.done || q->refused)
		return 0;
	data_header_end(&q->header);
	return write_body(q, data_header_spill(&q->header), e);
}

static int field_end(struct qmqp_intake *q, struct err *e)
{
	if (q->count > RECIPIENTS_MAX)
		return err_set(e, E_TOO_LONG, "more than %d recipients", RECIPIENTS_MAX);
	if (q->count == q->room) {
		size_t room = q->room ? q->room * 4 : 16;
		uint32_t *end = reallocarray(q->end, room, sizeof *end);
		if (!end)
			return err_set(e, E_SYS, "no memory for the recipients");
		q->end = end;
		q->room = room;
	}
	q->end[q->count++] = (uint32_t)q->fields.n;
	return q->fields.overflow ? err_set(e, E_SYS, "no memory for the recipients") : 0;
}

/* A length is read: what comes next, and how much of it. */
static int begin(struct qmqp_intake *q, struct err *e)
{
	size_t n = q->number;
	q->number = 0;
	if (q->state == QMQP_OUTER) {
		q->outer_left = n;
		q->state = QMQP_MESSAGE_LENGTH;
		return n > OUTER_MAX ? err_set(e, E_TOO_LONG, "more than %zu octets", OUTER_MAX) : 0;
	}
	bool message = q->state == QMQP_MESSAGE_LENGTH;
	if (n >= q->outer_left)
		return err_set(e, E_SYNTAX, "a netstring is longer than the one around it");
	if (message ? n > q->most : n > ADDRESS_MAX)
		return err_set(e, E_TOO_LONG, message ? "a message of %zu octets is too large" : "an address of %zu octets is too long", n);
	q->left = n;
	q->state = message ? QMQP_MESSAGE : QMQP_FIELD;
	return 0;
}

/* What one octet does in the states that look at single octets.  Message and field text is taken in runs by take(). */
static int octet(struct qmqp_intake *q, char c, struct err *e)
{
	int rc;
	switch (q->state) {
	case QMQP_OUTER:
	case QMQP_MESSAGE_LENGTH:
	case QMQP_FIELD_LENGTH:
		rc = length_octet(q, c, e);
		return rc == 1 ? begin(q, e) : rc;
	case QMQP_MESSAGE_END:
	case QMQP_FIELD_END:
		if (c != ',')
			return err_set(e, E_SYNTAX, "a netstring without its comma");
		rc = q->state == QMQP_MESSAGE_END ? message_end(q, e) : field_end(q, e);
		q->state = q->outer_left ? QMQP_FIELD_LENGTH : QMQP_OUTER_END;
		return rc;
	case QMQP_OUTER_END:
		q->state = QMQP_DONE;
		return c == ',' ? 0 : err_set(e, E_SYNTAX, "a netstring without its comma");
	default:
		return err_set(e, E_SYNTAX, "more after the end");
	}
}

static int take(struct qmqp_intake *q, struct slice *in, struct err *e)
{
	bool message = q->state == QMQP_MESSAGE;
	if ((message || q->state == QMQP_FIELD) && q->left == 0) {
		q->state = message ? QMQP_MESSAGE_END : QMQP_FIELD_END;
		return 0;
	}
	bool run = message || q->state == QMQP_FIELD;
	struct slice part = slice_upto(*in, run ? q->left : 1);
	if (q->state != QMQP_OUTER && q->state != QMQP_OUTER_END && q->state != QMQP_DONE) {
		if (part.n > q->outer_left)
			return err_set(e, E_SYNTAX, "longer than the netstring around it");
		q->outer_left -= part.n;
	}
	*in = slice_from(*in, part.n);
	if (!run)
		return octet(q, part.p[0], e);
	q->left -= part.n;
	if (message)
		return message_octets(q, part, e);
	buf_add_slice(&q->fields, part);
	return 0;
}

int qmqp_intake_feed(struct qmqp_intake *q, const char *p, size_t n, struct err *e)
{
	struct slice in = slice_make(p, n);
	while (in.n) {
		int rc = take(q, &in, e);
		if (rc < 0)
			return rc;
	}
	if (q->state == QMQP_DONE && q->count < 2)
		return err_set(e, E_SYNTAX, "no sender or no recipient");
	return q->state == QMQP_DONE;
}
