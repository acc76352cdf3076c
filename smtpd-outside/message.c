/* See message.h.  Runs in each session process; all octets are the client's.  RFC 5321 6.3 (loops); RFC 1870 6.3 (size).
 *
 * A message that is refused is still read to its end, within bounds, so that the client reads the reply and not a broken connection. */
#include "smtpd-outside/message.h"

#include <stdio.h>

#include "lib/io.h"
#include "lib/job.h"

#define BLOCK_OCTETS (64 * 1024) /* body octets written at once, and the steps of the count of octets in flight */
#define SURPLUS_MSEC 60000
#define OCTETS_PER_SECOND 100    /* on the whole, beside one pause of timeoutsmtpd */
#define RECEIVED_ROOM 4096       /* of HEADER_MAX, for our own field and the blank line */

static const struct slice none = {"", 0};

struct message *message_begin(struct session *s)
{
	struct message *m = s->message_space;
	*m = (struct message){.s = s, .header = DATA_HEADER_INIT(HEADER_MAX - RECEIVED_ROOM), .body_fd = -1};
	return session_hold(s, BLOCK_OCTETS) ? s->message = m : NULL;
}

void session_drop_message(struct session *s)
{
	if (!s->message)
		return;
	s->octets += s->message->octets;
	close_fd(&s->message->body_fd);
	buf_free(&s->message->header.text);
	s->message = NULL;
}

void message_comes(struct message *m)
{
	m->begin = clock_msec();
	m->begin_octets = m->octets;
}

void message_refuse(struct message *m, enum reply why)
{
	if (m->refused)
		return;
	m->refused = true;
	m->refusal = why;
	m->refused_at = m->octets;
	m->refused_msec = clock_msec();
	m->fill = 0;
}

static void write_body(struct message *m, struct slice text)
{
	if (m->refused || !text.n)
		return;
	if (m->body_fd < 0)
		m->body_fd = memfd_make("body", NULL);
	if (m->body_fd < 0 || io_pwrite_all(m->body_fd, text.p, text.n, m->written, NULL))
		message_refuse(m, REPLY_storage);
	m->written += (off_t)text.n;
}

void message_write(struct message *m)
{
	write_body(m, slice_make(m->s->io.in, m->fill));
	m->fill = 0;
}

/* TEXT, clean, lies at .in + .fill: what belongs to the header goes there, the rest stays and counts as body. */
static void take_text(struct message *m, size_t n)
{
	char *at = m->s->io.in + m->fill;
	if (m->refused)
		return;
	if (m->header.done) {
		m->fill += n;
		return;
	}
	size_t used = data_header_feed(&m->header, slice_make(at, n));
	if (m->header.text.overflow) {
		message_refuse(m, REPLY_header_too_large);
	} else if (m->header.done) {
		write_body(m, data_header_spill(&m->header));
		memmove(at, at + used, n - used);
		m->fill += n - used;
	}
}

size_t message_take(struct message *m, size_t n, bool chunk)
{
	size_t clean, used = n;
	unsigned long long before = m->octets;
	char *at = m->s->io.in + m->fill;
	if (chunk)
		data_feed_chunk(&m->data, at, n, &clean);
	else
		used = data_feed(&m->data, at, n, &clean);
	m->octets += used;
	if (m->data.fault != DATA_CLEAN)
		message_refuse(m, REPLY_octets);
	if (m->octets > (unsigned long long)m->s->set.databytes)
		message_refuse(m, REPLY_too_large);
	if (m->octets / BLOCK_OCTETS != before / BLOCK_OCTETS && !m->refused && !session_hold(m->s, (int64_t)m->octets + BLOCK_OCTETS))
		message_refuse(m, REPLY_storage);
	take_text(m, clean);
	return used;
}

void message_end_line(struct message *m)
{
	const struct slice end = slice_str("\n");
	size_t used = m->header.done ? 0 : data_header_feed(&m->header, end);
	if (m->header.text.overflow)
		message_refuse(m, REPLY_header_too_large);
	if (used && m->header.done)
		write_body(m, data_header_spill(&m->header));
	if (!used) {
		message_write(m);
		write_body(m, end);
	}
}

/* What is whole in the input buffer and few is passed on as it lies there. */
static int whole_body(struct content *body, struct message *m)
{
	if (m->body_fd < 0 && m->fill <= CONTENT_FEW) {
		content_borrow(body, slice_make(m->s->io.in, m->fill));
		return 0;
	}
	message_write(m);
	int fd = m->body_fd;
	m->body_fd = -1;
	if (!m->refused)
		return content_of_own_file(body, fd, NULL);
	close_fd(&fd);
	return E_SYS;
}

/* Absolute: a client that trickles cannot move it on by more than its octets are worth. */
static int64_t deadline(const struct message *m)
{
	int64_t pause = deadline_in(m->s->set.timeout_msec);
	int64_t pace = m->begin + m->s->set.timeout_msec + (int64_t)((m->octets - m->begin_octets) * 1000 / OCTETS_PER_SECOND);
	int64_t surplus = m->refused ? m->refused_msec + SURPLUS_MSEC : DEADLINE_NEVER;
	int64_t first = pause < pace ? pause : pace;
	return first < surplus ? first : surplus;
}

ssize_t message_read(struct message *m, size_t room)
{
	struct session_io *io = &m->s->io;
	if (m->refused && m->octets - m->refused_at > MESSAGE_SURPLUS_OCTETS)
		return E_TOO_LONG;
	if (m->fill >= BLOCK_OCTETS)
		message_write(m);
	if (room > SESSION_IN_OCTETS - m->fill)
		room = SESSION_IN_OCTETS - m->fill;
	ssize_t n = session_read(io, io->in + m->fill, room, deadline(m));
	if (n == E_TIMEOUT && m->refused)
		return E_TOO_LONG;
	return n > 0 ? n : n == E_TIMEOUT ? E_TIMEOUT : E_EOF;
}

static void finish_header(struct message *m)
{
	data_header_end(&m->header);
	if (m->header.no_blank && !m->refused) {
		m->header.text.n = m->header.line; /* the spill is written */
		buf_add_char(&m->header.text, '\n');
		m->header.line = m->header.text.n;
	}
	if (m->header.hops > (unsigned)m->s->set.maxhops)
		message_refuse(m, REPLY_hops);
	if (m->header.text.overflow)
		message_refuse(m, REPLY_header_too_large);
	if (m->refused)
		return;
	session_compare(m->s, data_header_header(&m->header));
	if (m->s->claims.from && m->s->set.refuse_others)
		message_refuse(m, REPLY_from_not_yours);
	else if (m->s->claims.unknown && m->s->set.refuse_others)
		message_refuse(m, REPLY_from_unknown);
}

void message_answer_refused(struct message *m)
{
	char most[24];
	snprintf(most, sizeof most, "%lld", m->s->set.databytes);
	struct slice detail = slice_str(m->refusal == REPLY_octets ? data_fault_text(m->data.fault) : most);
	session_refuse(m->s, m->refusal, detail);
	if (m->refusal == REPLY_octets)
		session_stop(m->s, "octets");
}

void message_broken_off(struct message *m, int why)
{
	if (why == E_TOO_LONG && m->refusal == REPLY_octets)
		message_answer_refused(m);
	else if (why == E_TOO_LONG)
		session_refuse(m->s, REPLY_surplus, none);
	else if (why == E_TIMEOUT)
		session_decline(m->s, clock_msec() >= m->s->io.session_end ? REPLY_session_end : REPLY_too_slow, none);
	session_stop(m->s, why == E_TOO_LONG ? "surplus" : why == E_TIMEOUT ? "slow" : "disconnect");
}

void message_end(struct message *m)
{
	struct content body = CONTENT_INIT;
	finish_header(m);
	if (!m->refused && whole_body(&body, m) < 0)
		message_refuse(m, REPLY_storage);
	if (m->refused)
		message_answer_refused(m);
	else
		session_job(m->s, data_header_header(&m->header), &body, m->octets);
	content_close(&body);
}
