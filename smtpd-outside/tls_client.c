/* The session's side of postern-tls and the wire form between the two: see tls_client.h.
 *
 * Linked into postern-smtpd, which has no TLS library: nothing here may include one.  An answer is believed only so far as its
 * grammar goes; a descriptor that comes with it is a stream of octets from the network either way. */
#include "smtpd-outside/tls_client.h"

#include "lib/netstring.h"

#define MSEC_MOST 600000
#define TEXT_MAX 200

void tls_question_encode(struct buf *b, int64_t msec)
{
	netstring_add_number(b, msec < 0 ? 0 : msec > MSEC_MOST ? MSEC_MOST : msec);
}

int tls_question_decode(int64_t *msec, struct slice text)
{
	long long v;
	if (netstring_take_number(&v, &text, 0, MSEC_MOST) < 0 || text.n)
		return E_PEER;
	*msec = v;
	return 0;
}

void tls_answer_ok(struct buf *b, const struct tls_facts *facts)
{
	netstring_add_str(b, "ok");
	netstring_add_str(b, facts->version);
	netstring_add_str(b, facts->cipher);
	netstring_add_str(b, facts->sni);
	netstring_add_str(b, facts->exporter);
}

void tls_answer_failed(struct buf *b, const char *text)
{
	netstring_add_str(b, "failed");
	netstring_add(b, slice_upto(slice_str(text), TEXT_MAX));
}

static int take_text(char *dst, size_t size, struct slice *rest)
{
	struct slice s;
	if (netstring_take(&s, rest, size - 1) < 0 || !slice_printable(s))
		return E_PEER;
	return slice_copy(dst, size, s) < 0 ? E_PEER : 0;
}

static int decode_ok(struct tls_facts *f, struct slice rest)
{
	if (take_text(f->version, sizeof f->version, &rest) < 0 || take_text(f->cipher, sizeof f->cipher, &rest) < 0 ||
	    take_text(f->sni, sizeof f->sni, &rest) < 0 || take_text(f->exporter, sizeof f->exporter, &rest) < 0 || rest.n)
		return E_PEER;
	return 0;
}

int tls_answer_decode(struct tls_facts *facts, struct slice text, struct err *e)
{
	struct slice verdict;
	char why[TEXT_MAX + 1];
	if (netstring_take(&verdict, &text, 16) < 0)
		return err_set(e, E_PEER, "the answer of postern-tls breaks its grammar");
	if (slice_eq_str(verdict, "ok") && decode_ok(facts, text) == 0)
		return 0;
	if (slice_eq_str(verdict, "failed") && take_text(why, sizeof why, &text) == 0 && text.n == 0)
		return err_set(e, E_REFUSED, "%s", why);
	return err_set(e, E_PEER, "the answer of postern-tls breaks its grammar");
}

static int read_answer(int *clear_fd, struct tls_facts *facts, struct buf *b, int *reply_fd, int64_t deadline, struct err *e)
{
	int fds[PASS_FDS_MAX];
	size_t count = 0;
	int r = ask_read(b, fds, &count, reply_fd, deadline, e);
	if (r < 0)
		return r;
	r = tls_answer_decode(facts, buf_slice(b), e);
	if (r == 0 && count == 1) {
		*clear_fd = fds[0];
		return 0;
	}
	close_fds(fds, count);
	return r < 0 ? r : err_set(e, E_PEER, "the answer of postern-tls came with %zu descriptors instead of one", count);
}

int tls_start(int *clear_fd, struct tls_facts *facts, int tls_port, int client_fd, int64_t deadline, struct err *e)
{
	struct buf b = BUF_INIT(4096);
	int reply_fd = -1;
	tls_question_encode(&b, deadline == DEADLINE_NEVER ? MSEC_MOST : deadline_left(deadline));
	int r = ask_send(&reply_fd, tls_port, buf_slice(&b), &client_fd, 1, deadline, e);
	buf_reset(&b);
	if (r == 0)
		r = read_answer(clear_fd, facts, &b, &reply_fd, deadline, e);
	buf_free(&b);
	return r;
}
