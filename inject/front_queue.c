/* qmail-queue: message on descriptor 0, envelope on descriptor 1, the result is the exit code, as in qmail's qmail-queue(8).  The message goes as it is:
 * nothing is completed. */
#include <stdio.h>
#include <unistd.h>

#include "inject/front.h"
#include "inject/qmail_envelope.h"

enum { TOO_LONG = 11, REFUSED = 31, MEMORY = 51, TIMEOUT = 52, WRITE = 53, READ = 54, TEMPORARY = 71, NET_TIMEOUT = 72, NOT_RUNNING = 73,
	BROKEN = 74, BUG = 81, ENVELOPE = 91 };

static int code_of(const struct outcome *o)
{
	if (o->code == 452)
		return WRITE;
	if (o->code)
		return o->code >= 500 ? REFUSED : o->code >= 400 ? TEMPORARY : 0;
	switch (o->why) {
	case E_NOT_FOUND:
		return NOT_RUNNING;
	case E_TIMEOUT:
		return NET_TIMEOUT;
	case E_EOF:
	case E_PEER:
		return BROKEN;
	default:
		return TEMPORARY;
	}
}

static int send_it(struct slice message, struct slice given)
{
	struct buf envelope = BUF_INIT(ENVELOPE_MAX);
	struct outcome o;
	int rc = qmail_envelope(&envelope, given), code = rc == E_TOO_LONG ? TOO_LONG : ENVELOPE;
	if (rc == 0) {
		client_send(&o, message, slice_str(""), buf_slice(&envelope));
		code = code_of(&o);
		if (code)
			front_fail("qmail-queue", code, o.text);
	}
	buf_free(&envelope);
	return code;
}

int front_qmail_queue(int argc, char **argv)
{
	struct buf message = BUF_INIT(BODY_MAX), given = BUF_INIT(ENVELOPE_MAX);
	struct err e;
	(void)argv;
	if (argc != 1)
		return front_fail("qmail-queue", 100, "no arguments: the message on descriptor 0, the envelope on descriptor 1");
	int code, rc = front_read(&message, 0, false, &e);
	if (rc == 0 && (rc = front_read(&given, 1, false, &e)) == 0)
		code = send_it(buf_slice(&message), buf_slice(&given));
	else
		code = rc == E_TOO_LONG ? (given.overflow ? TOO_LONG : REFUSED) : READ;
	buf_free(&message);
	buf_free(&given);
	return code;
}
