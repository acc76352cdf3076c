/* DATA: reads the message and splits it into header (memory, at most HEADER_MAX) and body (memfd), in blocks.
 * RFC 5321 4.1.1.4, 4.5.2, 6.3 (loops); RFC 1870 6.3.  All octets are the client's.
 *
 * A message that is refused is still read to its end, within bounds, so that the client reads the reply and not a broken connection. */
#include "smtpd-outside/session.h"

#include <stdio.h>

#include "lib/io.h"
#include "lib/job.h"
#include "smtpd-outside/data.h"
#include "smtpd-outside/data_header.h"

#define BLOCK_OCTETS (64 * 1024)         /* body octets written at once, and the steps of the count of octets in flight */
#define SURPLUS_OCTETS (16 * 1024 * 1024) /* of a refused message that are still read */
#define SURPLUS_MSEC 60000
#define OCTETS_PER_SECOND 100            /* on the whole, beside one pause of timeoutsmtpd */
#define RECEIVED_ROOM 4096               /* of HEADER_MAX, for our own field and the blank line */

struct message {
	struct session *s;
	struct data data;
	struct data_header header;
	int body_fd;
	off_t written;               /* octets of the body in the memfd */
	size_t fill;                 /* octets of the body at the start of the input buffer */
	unsigned long long octets;   /* as received */
	int64_t begin;
	bool refused;                /* nothing more is kept */
	enum reply refusal;
	unsigned long long refused_at;
	int64_t refused_msec;
};

static void refuse(struct message *m, enum reply why)
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
	if (io_pwrite_all(m->body_fd, text.p, text.n, m->written, NULL))
		refuse(m, REPLY_storage);
	m->written += (off_t)text.n;
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
		refuse(m, REPLY_header_too_large);
	} else if (m->header.done) {
		write_body(m, data_header_spill(&m->header));
		memmove(at, at + used, n - used);
		m->fill += n - used;
	}
}

/* N octets of input lie at .in + .fill.  Returns how many were used. */
static size_t take_input(struct message *m, size_t n)
{
	size_t clean;
	unsigned long long before = m->octets;
	char *at = m->s->io.in + m->fill;
	size_t used = data_feed(&m->data, at, n, &clean);
	m->octets += used;
	if (m->data.fault != DATA_CLEAN)
		refuse(m, REPLY_octets);
	if (m->octets > (unsigned long long)m->s->set.databytes)
		refuse(m, REPLY_too_large);
	if (m->octets / BLOCK_OCTETS != before / BLOCK_OCTETS && !m->refused &&
	    !slots_hold(m->s->slots, m->s->slot, (int64_t)m->octets + BLOCK_OCTETS, m->s->set.inflightbytes))
		refuse(m, REPLY_storage);
	take_text(m, clean);
	return used;
}

/* Absolute: a client that trickles cannot move it on by more than its octets are worth. */
static int64_t data_deadline(const struct message *m)
{
	int64_t pause = deadline_in(m->s->set.timeout_msec);
	int64_t pace = m->begin + m->s->set.timeout_msec + (int64_t)(m->octets * 1000 / OCTETS_PER_SECOND);
	int64_t surplus = m->refused ? m->refused_msec + SURPLUS_MSEC : DEADLINE_NEVER;
	int64_t first = pause < pace ? pause : pace;
	return first < surplus ? first : surplus;
}

/* Read until the end of data.  0, or why the session cannot go on: E_EOF, E_TIMEOUT, E_TOO_LONG (surplus). */
static int read_message(struct message *m)
{
	struct session_io *io = &m->s->io;
	while (m->data.state != DATA_END) {
		if (m->fill >= BLOCK_OCTETS) {
			write_body(m, slice_make(io->in, m->fill));
			m->fill = 0;
		}
		ssize_t n = session_read(io, io->in + m->fill, SESSION_IN_OCTETS - m->fill, data_deadline(m));
		if (n == E_TIMEOUT && m->refused)
			return E_TOO_LONG;
		if (n <= 0)
			return n == E_TIMEOUT ? E_TIMEOUT : E_EOF;
		size_t at = m->fill, used = take_input(m, (size_t)n);
		/* behind the end of data the next commands may lie already; they were not touched */
		io->start = at + used;
		io->end = at + (size_t)n;
		if (m->refused && m->octets - m->refused_at > SURPLUS_OCTETS)
			return E_TOO_LONG;
	}
	write_body(m, slice_make(io->in, m->fill));
	return 0;
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
		refuse(m, REPLY_hops);
	if (m->header.text.overflow)
		refuse(m, REPLY_header_too_large);
}

static void answer_refused(struct message *m)
{
	char most[24];
	snprintf(most, sizeof most, "%lld", m->s->set.databytes);
	struct slice detail = slice_str(m->refusal == REPLY_octets ? data_fault_text(m->data.fault) : most);
	session_refuse(m->s, m->refusal, detail);
	if (m->refusal == REPLY_octets)
		session_stop(m->s, "octets");
}

/* The message did not come to its end. */
static void broken_off(struct message *m, int why)
{
	struct slice none = {"", 0};
	if (why == E_TOO_LONG && m->refusal == REPLY_octets)
		answer_refused(m);
	else if (why == E_TOO_LONG)
		session_refuse(m->s, REPLY_surplus, none);
	else if (why == E_TIMEOUT)
		session_decline(m->s, clock_msec() >= m->s->io.session_end ? REPLY_session_end : REPLY_too_slow, none);
	session_stop(m->s, why == E_TOO_LONG ? "surplus" : why == E_TIMEOUT ? "slow" : "disconnect");
}

static void receive_message(struct message *m)
{
	struct session *s = m->s;
	session_reply(s, REPLY_go_ahead, slice_str(""));
	session_flush(&s->io);
	int r = read_message(m);
	s->octets += m->octets;
	if (r) {
		broken_off(m, r);
		return;
	}
	finish_header(m);
	if (m->refused) {
		answer_refused(m);
		return;
	}
	session_job(s, data_header_header(&m->header), m->body_fd, m->octets);
	m->body_fd = -1;
}

void session_data(struct session *s)
{
	struct message m = {.s = s, .header = DATA_HEADER_INIT(HEADER_MAX - RECEIVED_ROOM), .begin = clock_msec()};
	if (s->state != STATE_RCPT) {
		session_refuse(s, s->refused_any ? REPLY_no_recipient : REPLY_sequence, slice_str("DATA"));
		return;
	}
	m.body_fd = memfd_make("body", NULL);
	if (m.body_fd < 0 || !slots_hold(s->slots, s->slot, BLOCK_OCTETS, s->set.inflightbytes))
		session_decline(s, REPLY_storage, slice_str(""));
	else
		receive_message(&m);
	slots_hold(s->slots, s->slot, 0, 0);
	close_fd(&m.body_fd);
	buf_free(&m.header.text);
	session_reset(s);
}
