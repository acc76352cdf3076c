/* One message as QMQP sends it, taken from a stream in pieces of any size.
 * http://cr.yp.to/proto/qmqp.html: one netstring that holds netstrings: the message (line ends LF), the sender, each recipient. */
#ifndef POSTERN_QMQP_INTAKE_H
#define POSTERN_QMQP_INTAKE_H
#include "lib/envelope.h"
#include "lib/err.h"
#include "smtpd-outside/data_header.h"

enum qmqp_state {
	QMQP_OUTER, QMQP_MESSAGE_LENGTH, QMQP_MESSAGE, QMQP_MESSAGE_END, QMQP_FIELD_LENGTH, QMQP_FIELD, QMQP_FIELD_END, QMQP_OUTER_END, QMQP_DONE
};
struct qmqp_intake {
	enum qmqp_state state;
	size_t outer_left;          /* octets of the outer netstring still to come */
	size_t left;                /* of the inner one */
	size_t number, digits;      /* the length being read */
	size_t most;                /* octets of a message */
	struct data_header header;
	int body_fd;                /* a memfd, the caller's */
	size_t body_octets;
	bool refused;               /* a CR or NUL, or a header too large: read to the end, then answered with refusal() */
	struct buf fields;          /* sender and recipients, one after the other */
	uint32_t *end;              /* where each ends in .fields; [0] is the sender */
	size_t count, room;
};

/* MOST octets of a message (databytes).  Free with qmqp_intake_free(). */
void qmqp_intake_begin(struct qmqp_intake *q, int body_fd, size_t most);
/* Take all N octets.  1: the message is whole; 0: more are wanted; E_SYNTAX (not QMQP, or more after the end), E_TOO_LONG (message, address, number of
 * recipients), E_SYS (no memory, memfd).  After a failure nothing more may be fed. */
MUST_CHECK int qmqp_intake_feed(struct qmqp_intake *q, const char *p, size_t n, struct err *e);
/* Field I: 0 the sender, 1.. the recipients. */
struct slice qmqp_intake_field(const struct qmqp_intake *q, size_t i);
/* Why a whole message cannot be taken, or NULL. */
const char *qmqp_intake_refusal(const struct qmqp_intake *q);
void qmqp_intake_free(struct qmqp_intake *q);
#endif
