/* The session's side of postern-tls and the wire form between the two: see tls_client.h.
 *
 * Linked into postern-smtpd, which has no TLS library: nothing here may include one.  An answer is believed only so far as its
 * grammar goes; a descriptor that comes with it is a stream of octets from the network either way. */
#include "smtpd-outside/tls_client.h"

#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
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
	netstring_add_number(b, facts->resumed);
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
	long long resumed;
	if (take_text(f->version, sizeof f->version, &rest) < 0 || take_text(f->cipher, sizeof f->cipher, &rest) < 0 ||
	    take_text(f->sni, sizeof f->sni, &rest) < 0 || take_text(f->exporter, sizeof f->exporter, &rest) < 0 ||
	    netstring_take_number(&resumed, &rest, 0, 1) < 0 || rest.n)
		return E_PEER;
	f->resumed = resumed;
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

/* No octet more than the answer: what is behind it is the client's. */
static int read_answer(struct tls_facts *facts, int fd, int64_t deadline, struct err *e)
{
	char record[TLS_ANSWER_OCTETS];
	size_t n = 0;
	while (n < sizeof record) {
		ssize_t got = io_read(fd, record + n, sizeof record - n, deadline, e);
		if (got <= 0)
			return got < 0 ? (int)got : err_set(e, E_EOF, "postern-tls died");
		n += (size_t)got;
	}
	while (n && record[n - 1] == 0)
		n--;
	return tls_answer_decode(facts, slice_make(record, n), e);
}

int tls_start(int *clear_fd, struct tls_facts *facts, int tls_port, int client_fd, int64_t deadline, struct err *e)
{
	char text[32];
	struct buf b = BUF_OVER(text);
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	tls_question_encode(&b, deadline == DEADLINE_NEVER ? MSEC_MOST : deadline_left(deadline));
	int rc = pass_send(tls_port, buf_slice(&b), (int[]){client_fd, pair[1]}, 2, deadline, e);
	close(pair[1]);
	if (rc == 0)
		rc = read_answer(facts, pair[0], deadline, e);
	if (rc < 0)
		close_fd(&pair[0]);
	else
		*clear_fd = pair[0];
	return rc;
}
