/* One message as it is received, by DATA or by BDAT: header in memory (at most HEADER_MAX), body in a memfd.  Its octets come through the
 * session's input buffer, whose start collects the body until a block is full; a body of no more than CONTENT_FEW stays there. */
#ifndef POSTERN_SMTPD_MESSAGE_H
#define POSTERN_SMTPD_MESSAGE_H
#include "smtpd-outside/data.h"
#include "smtpd-outside/data_header.h"
#include "smtpd-outside/session.h"

#define MESSAGE_SURPLUS_OCTETS (16 * 1024 * 1024) /* of a refused message that are still read, so that the client reads the reply */

struct message {
	struct session *s;
	struct data data;
	struct data_header header;
	int body_fd;                 /* -1: nothing of it was written yet */
	off_t written;               /* octets of the body in the memfd */
	size_t fill;                 /* octets of the body at the start of the input buffer */
	unsigned long long octets;   /* as received */
	int64_t begin;               /* when these octets began to come: the message, or the chunk in hand */
	unsigned long long begin_octets;
	bool refused;                /* nothing more is kept */
	enum reply refusal;
	unsigned long long refused_at;
	int64_t refused_msec;
};

/* The session's one message, empty; it lasts until session_reset().  NULL: no memory, or too much mail is in flight. */
struct message *message_begin(struct session *s);
/* Octets of this message come from now on: its pace is measured from here. */
void message_comes(struct message *m);
void message_refuse(struct message *m, enum reply why);
/* N octets lie at .in + .fill of the session's buffer.  Returns how many were used: less than N only behind the end of data.
 * CHUNK: of BDAT. */
size_t message_take(struct message *m, size_t n, bool chunk);
/* Read at most ROOM octets to .in + .fill.  The count, or E_EOF, E_TIMEOUT, E_TOO_LONG (a refused message does not end). */
ssize_t message_read(struct message *m, size_t room);
/* Write what lies at the start of the input buffer; afterwards .fill is 0. */
void message_write(struct message *m);
/* The text lacks its last line end: add it. */
void message_end_line(struct message *m);
/* The last octet came: the job is made, or the client is told why not. */
void message_end(struct message *m);
/* The reply for a message that is refused, or that did not come to its end (WHY as of message_read()). */
void message_answer_refused(struct message *m);
void message_broken_off(struct message *m, int why);
#endif
