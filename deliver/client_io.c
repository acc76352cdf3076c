/* Connection, lines and TLS of the client: see client.h.  OpenSSL works on the non-blocking socket; waits are those of lib/io with the step's deadline. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "deliver/client.h"

static int64_t step(const struct client *c)
{
	int64_t d = deadline_in(c->set->step_msec);
	return d < c->until ? d : c->until;
}

SSL_CTX *client_tls_context(struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
		err_set(e, E_SYS, "OpenSSL gives no context");
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	return ctx;
}

void client_drop(struct client *c)
{
	SSL_free(c->ssl);
	c->ssl = NULL;
	close_fd(&c->fd);
	c->start = c->end = 0;
}

static int finish_connect(struct client *c, int64_t deadline, struct err *e)
{
	int error = 0;
	socklen_t n = sizeof error;
	int rc = io_wait(c->fd, POLLOUT, deadline, e);
	if (rc == E_TIMEOUT)
		return err_set(e, rc, "no answer to the connection");
	if (rc < 0 || getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
		return rc < 0 ? rc : err_sys(e, "getsockopt");
	errno = error;
	return error ? err_sys(e, "connect") : 0;
}

int client_dial(struct client *c, const struct sockaddr *to, socklen_t octets, struct err *e)
{
	int64_t deadline = deadline_in(c->set->connect_msec);
	c->start = c->end = 0;
	c->fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return err_sys(e, "socket");
	/* Each write is a whole step of the dialogue. */
	if (to->sa_family != AF_UNIX && setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0)
		err_sys(e, "setsockopt");
	int rc = connect(c->fd, to, octets) == 0 ? 0 : errno == EINPROGRESS ? finish_connect(c, deadline < c->until ? deadline : c->until, e) : err_sys(e, "connect");
	if (rc < 0)
		client_drop(c);
	return rc;
}

/* What OpenSSL waits for.  0: go on. */
static int tls_wait(struct client *c, int rc, int64_t deadline, struct err *e)
{
	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		return io_wait(c->fd, POLLIN, deadline, e);
	case SSL_ERROR_WANT_WRITE:
		return io_wait(c->fd, POLLOUT, deadline, e);
	case SSL_ERROR_ZERO_RETURN:
		return err_set(e, E_EOF, "the connection ended");
	default:
		return err_set(e, E_EOF, "the TLS connection broke");
	}
}

static ssize_t receive(struct client *c, char *p, size_t n, int64_t deadline, struct err *e)
{
	if (!c->ssl)
		return io_read(c->fd, p, n, deadline, e);
	for (;;) {
		ERR_clear_error();
		int got = SSL_read(c->ssl, p, (int)n), rc;
		if (got > 0)
			return got;
		if ((rc = tls_wait(c, got, deadline, e)) < 0)
			return rc;
	}
}

int client_write(struct client *c, const void *p, size_t n, struct err *e)
{
	int64_t deadline = step(c);
	const char *at = p;
	/* Who answers before being asked would have the next answer taken for another one. */
	if (c->start < c->end)
		return err_set(e, E_PEER, "a reply that nobody asked for");
	if (!c->ssl)
		return io_write_all(c->fd, p, n, deadline, e);
	while (n) {
		ERR_clear_error();
		int rc = SSL_write(c->ssl, at, (int)(n < 16384 ? n : 16384));
		if (rc > 0) {
			at += rc;
			n -= (size_t)rc;
		} else if ((rc = tls_wait(c, rc, deadline, e)) < 0) {
			return rc;
		}
	}
	return 0;
}

/* The next line without its end.  It borrows from the buffer until the next call. */
static int next_line(struct client *c, struct slice *line, int64_t deadline, struct err *e)
{
	for (;;) {
		struct slice waiting = slice_make(c->in + c->start, c->end - c->start);
		size_t n = slice_find(waiting, '\n');
		if (n < waiting.n ? n >= REPLY_LINE_MAX : waiting.n >= REPLY_LINE_MAX)
			return err_set(e, E_PEER, "a line of more than %d octets", REPLY_LINE_MAX);
		if (n < waiting.n) {
			c->start += n + 1;
			*line = slice_upto(waiting, n && waiting.p[n - 1] == '\r' ? n - 1 : n);
			return 0;
		}
		memmove(c->in, c->in + c->start, waiting.n);
		c->end = waiting.n;
		c->start = 0;
		ssize_t got = receive(c, c->in + c->end, sizeof c->in - c->end, deadline, e);
		if (got <= 0)
			return got == 0 ? err_set(e, E_EOF, "the connection ended") : (int)got;
		c->end += (size_t)got;
	}
}

int client_reply(struct client *c, struct reply *r, void (*keyword)(struct client *c, struct slice text), struct err *e)
{
	int64_t deadline = step(c);
	struct slice line, text;
	int rc;
	reply_begin(r);
	do {
		rc = next_line(c, &line, deadline, e);
		if (rc == 0)
			rc = reply_add(r, line, &text, e);
		if (rc >= 0 && keyword && r->lines > 1)
			keyword(c, text);
	} while (rc > 0);
	c->busy |= rc == 0 && r->code == 421;
	return rc;
}

static bool is_name(const char *name)
{
	return name[0] && name[0] != '[' && name[strspn(name, "0123456789.")] && !strchr(name, ':') && !strchr(name, '/');
}

int client_start_tls(struct client *c, const char *name, struct err *e)
{
	int64_t deadline = step(c);
	int rc = 0, done;
	if (c->start < c->end)
		return err_set(e, E_PEER, "octets in clear after the answer to STARTTLS");
	c->ssl = SSL_new(c->set->tls);
	if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1 || (is_name(name) && SSL_set_tlsext_host_name(c->ssl, name) != 1))
		return err_set(e, E_SYS, "OpenSSL gives no connection");
	for (;;) {
		ERR_clear_error();
		if ((done = SSL_connect(c->ssl)) == 1)
			break;
		if ((rc = tls_wait(c, done, deadline, e)) < 0)
			return rc == E_TIMEOUT ? rc : err_set(e, rc, "the TLS handshake failed");
	}
	snprintf(c->tls, sizeof c->tls, "%s %s", SSL_get_version(c->ssl), SSL_get_cipher_name(c->ssl));
	return 0;
}
