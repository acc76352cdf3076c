/* DATA and BDAT: how a message comes.  RFC 5321 4.1.1.4, 4.5.2; RFC 3030 2.  All octets are the client's.
 *
 * A chunk's octets are read whatever becomes of them, since the next command stands behind them. */
#include "smtpd-outside/message.h"

#include <stdio.h>

#include "lib/io.h"

#define SKIP_MSEC 60000 /* for a chunk that nobody wants */

static const struct slice none = {"", 0};

/* ---- DATA ---- */

/* Read until the end of data.  0, or why the session cannot go on. */
static int read_message(struct message *m)
{
	struct session_io *io = &m->s->io;
	while (m->data.state != DATA_END) {
		ssize_t n = message_read(m, SESSION_IN_OCTETS);
		if (n < 0)
			return (int)n;
		size_t at = m->fill, used = message_take(m, (size_t)n, false);
		/* behind the end of data the next commands may lie already; they were not touched */
		io->start = at + used;
		io->end = at + (size_t)n;
	}
	return 0;
}

void session_data(struct session *s)
{
	if (s->state != STATE_RCPT) {
		session_refuse(s, s->refused_any ? REPLY_no_recipient : REPLY_sequence, slice_str("DATA"));
		return;
	}
	struct message *m = message_begin(s);
	if (!m) {
		session_decline(s, REPLY_storage, none);
		session_reset(s);
		return;
	}
	session_reply(s, REPLY_go_ahead, none);
	session_flush(&s->io);
	message_comes(m);
	int r = read_message(m);
	if (r)
		message_broken_off(m, r);
	else
		message_end(m);
	session_reset(s);
}

/* ---- BDAT ---- */

/* The buffer may hold the chunk's first octets and, behind a short chunk, further commands; what else is read is no more than the chunk.  What it
 * holds of the message is needed for the next command, unless this was the last.  0, or why the session cannot go on. */
static int read_chunk(struct message *m, unsigned long long octets, bool last)
{
	struct session_io *io = &m->s->io;
	size_t waiting = io->end - io->start, take = waiting < octets ? waiting : (size_t)octets;
	memmove(io->in, io->in + io->start, waiting);
	io->start = take;
	io->end = waiting;
	message_take(m, take, true);
	for (octets -= take; octets; ) {
		ssize_t n = message_read(m, octets < SESSION_IN_OCTETS ? (size_t)octets : SESSION_IN_OCTETS);
		if (n < 0)
			return (int)n;
		message_take(m, (size_t)n, true);
		octets -= (size_t)n;
		io->start = io->end = 0;
	}
	if (!last)
		message_write(m);
	return 0;
}

/* A chunk that is not wanted.  False: it is not followed to its end, and the session stops. */
static bool skip_chunk(struct session *s, unsigned long long octets)
{
	struct session_io *io = &s->io;
	int64_t deadline = deadline_in(SKIP_MSEC);
	size_t waiting = io->end - io->start, take = waiting < octets ? waiting : (size_t)octets;
	io->start += take;
	octets -= take;
	if (octets > MESSAGE_SURPLUS_OCTETS) {
		session_stop(s, "surplus");
		return false;
	}
	while (octets) {
		io->start = io->end = 0;
		ssize_t n = session_read(io, io->in, octets < SESSION_IN_OCTETS ? (size_t)octets : SESSION_IN_OCTETS, deadline);
		if (n <= 0) {
			session_no_line(s, n == E_TIMEOUT ? E_TIMEOUT : E_EOF);
			return false;
		}
		octets -= (size_t)n;
	}
	return true;
}

static void end_of_chunks(struct message *m)
{
	if (data_end_chunks(&m->data) && !m->refused)
		message_end_line(m);
	if (m->data.fault != DATA_CLEAN)
		message_refuse(m, REPLY_octets);
	message_end(m);
}

static void chunk_answer(struct message *m, long long octets)
{
	char text[24];
	snprintf(text, sizeof text, "%lld", octets);
	if (m->refused)
		message_answer_refused(m);
	else
		session_reply(m->s, REPLY_chunk, slice_str(text));
}

static void take_chunk(struct message *m, long long octets, bool last)
{
	struct session *s = m->s;
	s->state = STATE_BDAT;
	message_comes(m);
	if (octets > s->set.databytes)
		message_refuse(m, REPLY_too_large);
	int r = read_chunk(m, (unsigned long long)octets, last);
	if (r)
		message_broken_off(m, r);
	else if (last)
		end_of_chunks(m);
	else
		chunk_answer(m, octets);
	if (r || last)
		session_reset(s);
}

void session_bdat(struct session *s)
{
	long long octets;
	bool last;
	if (!smtpd_bdat_parse(&octets, &last, s->command.argument)) {
		session_refuse(s, REPLY_bdat_syntax, none);
		session_stop(s, "bdat");
		return;
	}
	if (!(s->state & (STATE_RCPT | STATE_BDAT))) {
		session_refuse(s, s->state == STATE_MAIL && s->refused_any ? REPLY_no_recipient : REPLY_sequence, slice_str("BDAT"));
		(void)skip_chunk(s, (unsigned long long)octets);
		return;
	}
	struct message *m = s->message ? s->message : message_begin(s);
	if (m) {
		take_chunk(m, octets, last);
		return;
	}
	session_decline(s, REPLY_storage, none);
	session_reset(s);
	(void)skip_chunk(s, (unsigned long long)octets);
}
