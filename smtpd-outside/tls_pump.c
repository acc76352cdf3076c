/* One TLS connection: handshake, then octets both ways.  Runs in a process of its own, forked by tls.c, with the client's socket, one end of
 * the pair that leads to the session, and the log.  The client is hostile; the session is not trusted to read or to end.
 *
 * End of file: the client's (close_notify or none) reaches the session as end of file when all before it was passed on; the session's
 * reaches the client as close_notify after the last octet.  RFC 8446 6.1; that an attacker can cut the stream short does no harm to SMTP,
 * where only the final dot makes a message. */
#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base64.h"
#include "smtpd-outside/tls.h"

#define STUCK_MSEC 300000   /* octets that one side does not take */
#define LINGER_MSEC 2000

/* What OpenSSL waits for after an unfinished call; 0 when it waits for nothing. */
static short wanted(SSL *ssl, int rc)
{
	int error = SSL_get_error(ssl, rc);
	return error == SSL_ERROR_WANT_READ ? POLLIN : error == SSL_ERROR_WANT_WRITE ? POLLOUT : 0;
}

int tls_handshake(SSL *ssl, struct wire *wire, int64_t deadline, struct err *e)
{
	for (;;) {
		ERR_clear_error();
		int rc = SSL_accept(ssl);
		if (rc == 1)
			return 0;
		struct pollfd p = {wire->fd, wanted(ssl, rc), 0};
		if (!wire_flush(wire) || !p.events) { /* an alert too goes out */
			tls_error(e, E_PEER, "");
			return E_PEER;
		}
		if (wire->n)
			p.events |= POLLOUT;
		int left = deadline_left(deadline);
		if (left == 0 || poll(&p, 1, left) == 0)
			return err_set(e, E_TIMEOUT, "the handshake took too long");
		wire->readable = p.revents & ~POLLOUT;
	}
}

static void copy_printable(char *out, size_t size, const char *text)
{
	struct slice s = slice_str(text ? text : "");
	if (!slice_printable(s) || slice_copy(out, size, s) < 0)
		out[0] = '\0';
}

/* RFC 9266 2.  Not below TLS 1.3, where only an extended master secret makes it safe. */
static void export_binding(struct tls_facts *facts, SSL *ssl)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	unsigned char value[32];
	struct buf text = BUF_OVER(facts->exporter);
	if (SSL_version(ssl) != TLS1_3_VERSION || SSL_export_keying_material(ssl, value, sizeof value, label, sizeof label - 1, NULL, 0, 0) != 1)
		return;
	base64_encode(&text, slice_make(value, sizeof value));
	buf_add_char(&text, '\0');
}

void tls_facts_of(struct tls_facts *facts, SSL *ssl, bool binding)
{
	facts->exporter[0] = '\0';
	if (binding)
		export_binding(facts, ssl);
	copy_printable(facts->version, sizeof facts->version, SSL_get_version(ssl));
	copy_printable(facts->cipher, sizeof facts->cipher, SSL_get_cipher_name(ssl));
	copy_printable(facts->sni, sizeof facts->sni, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
	facts->resumed = SSL_session_reused(ssl);
}

/* After an unfinished call: wait for the client, or find that its side has ended; only reading can find it ended in good order. */
static void client_waits(struct pump *p, int rc, bool reading)
{
	short events = wanted(p->ssl, rc);
	p->client_events |= events;
	if (events)
		return;
	p->in.ended = true;
	if (!reading || SSL_get_error(p->ssl, rc) != SSL_ERROR_ZERO_RETURN)
		p->broken = true;
	ERR_clear_error();
}

static void read_client(struct pump *p)
{
	size_t n = 0;
	ERR_clear_error();
	int rc = SSL_read_ex(p->ssl, p->in.octet + p->in.n, sizeof p->in.octet - p->in.n, &n);
	if (rc != 1) {
		client_waits(p, rc, true);
		return;
	}
	p->in.n += n;
	p->progress = true;
}

static void write_client(struct pump *p)
{
	size_t n = 0;
	ERR_clear_error();
	int rc = SSL_write_ex(p->ssl, p->out.octet + p->out.at, p->out.n - p->out.at, &n);
	if (rc != 1) {
		client_waits(p, rc, false);
		return;
	}
	p->out.at += n;
	p->held = false;
	p->progress = true;
}

/* After what was read there is a look for the end, which comes right behind the last reply and then leaves in one segment with it. */
static void read_session(struct pump *p)
{
	ssize_t n = p->clear_readable ? recv(p->clear_fd, p->out.octet, sizeof p->out.octet, MSG_DONTWAIT) : -1;
	if (!p->clear_readable) {
		p->clear_events |= POLLIN;
		return;
	}
	p->clear_readable = n > 0;
	if (n > 0) {
		p->out.at = 0;
		p->out.n = (size_t)n;
		p->progress = true;
	} else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		p->clear_events |= POLLIN;
	} else {
		p->out.ended = true;
	}
}

static void write_session(struct pump *p)
{
	ssize_t n = send(p->clear_fd, p->in.octet + p->in.at, p->in.n - p->in.at, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0) {
		p->in.at += (size_t)n;
		p->progress = true;
	} else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		p->clear_events |= POLLOUT;
	} else { /* it closed without reading all: what it wrote before still goes out */
		p->in.ended = p->in.closed = true;
		p->in.at = p->in.n;
	}
}

static bool pending(const struct way *w)
{
	return w->at < w->n;
}

/* Client to session. */
static void pump_in(struct pump *p)
{
	if (!pending(&p->in) && !p->in.ended && !p->broken) {
		p->in.at = p->in.n = 0;
		read_client(p);
	}
	if (pending(&p->in))
		write_session(p);
	if (!pending(&p->in) && p->in.ended && !p->in.closed) {
		shutdown(p->clear_fd, SHUT_WR);
		p->in.closed = true;
	}
}

/* Session to client. */
static void pump_out(struct pump *p)
{
	if (!pending(&p->out) && !p->out.ended)
		read_session(p);
	if (pending(&p->out) && !p->broken)
		write_client(p);
	if (!pending(&p->out) && p->out.ended && !p->out.closed && !p->broken) {
		ERR_clear_error();
		int rc = SSL_shutdown(p->ssl);
		p->out.closed = rc >= 0;
		if (rc < 0)
			client_waits(p, rc, false);
	}
}

/* Everything is done: the session has ended and the client was told, or the client is gone and the session got all it sent. */
static bool finished(const struct pump *p)
{
	return (p->out.closed && p->wire->n == 0) || (p->broken && !pending(&p->in));
}

/* Whatever was written goes out before anything is waited for, but for a ticket right behind the handshake: it saves a segment to send it with the
 * reply that the client waits for. */
static void flush(struct pump *p)
{
	p->held = p->held && !p->out.closed && !p->in.ended;
	if (!p->held && !wire_flush(p->wire))
		p->broken = p->in.ended = true;
	if (p->wire->n && !p->held)
		p->client_events |= POLLOUT;
}

/* Wait until one of the two can go on; false when neither did for too long while octets wait.  The client is left out once it is known to be gone, the
 * session while nothing is wanted of it: a closed descriptor would be reported again and again. */
static bool wait_both(struct pump *p)
{
	struct pollfd both[2] = {
		{p->broken ? -1 : p->wire->fd, p->client_events, 0},
		{p->clear_events ? p->clear_fd : -1, p->clear_events, 0},
	};
	bool stuck = pending(&p->in) || pending(&p->out) || p->out.ended || (p->wire->n && !p->held);
	int n = poll(both, 2, stuck ? STUCK_MSEC : -1);
	if (n > 0 && !p->client_events && both[0].revents)
		p->broken = true; /* reset: nothing was wanted, so it can be nothing else */
	p->wire->readable = p->wire->readable || both[0].revents & ~POLLOUT;
	p->clear_readable = p->clear_readable || both[1].revents & ~POLLOUT;
	return n > 0 || (n < 0 && errno == EINTR);
}

void tls_linger(int client_fd)
{
	char space[4096];
	int64_t deadline = deadline_in(LINGER_MSEC);
	shutdown(client_fd, SHUT_WR);
	for (;;) {
		struct pollfd p = {client_fd, POLLIN, 0};
		int left = deadline_left(deadline);
		if (left == 0 || poll(&p, 1, left) <= 0 || recv(client_fd, space, sizeof space, MSG_DONTWAIT) <= 0)
			return;
	}
}

static void turn(struct pump *p)
{
	do {
		p->progress = false;
		p->client_events = p->clear_events = 0;
		pump_in(p);
		pump_out(p);
	} while (p->progress && !finished(p));
	flush(p);
}

void tls_pump(struct pump *p)
{
	p->clear_readable = true;
	p->held = SSL_version(p->ssl) >= TLS1_3_VERSION;
	read_client(p); /* what came right behind the handshake goes to the session with the answer */
	do
		turn(p);
	while (!finished(p) && wait_both(p));
	close(p->clear_fd);
	if (p->out.closed && !p->broken)
		tls_linger(p->wire->fd);
}
