/* The client's socket under TLS: see tls.h.  Part of the process of one connection; what it reads is the client's.
 *
 * OpenSSL reads through here as much as there is with one system call, and what it writes waits until nothing is left to do but to wait, so that
 * a session ticket, the reply behind it and close_notify leave as one segment. */
#include <errno.h>
#include <sys/socket.h>

#include "smtpd-outside/tls.h"

/* A read that came back short has emptied the socket: poll() says when there is more, or the end. */
static int wire_read(BIO *bio, char *p, int size)
{
	struct wire *w = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	ssize_t n = w->readable ? recv(w->fd, p, (size_t)size, MSG_DONTWAIT) : -1;
	if (n < 0 && (!w->readable || errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	w->readable = n == 0 || n == size;
	w->ended = w->ended || n == 0;
	return (int)n;
}

/* Takes as much as there is room for. */
static int wire_write(BIO *bio, const char *p, int size)
{
	struct wire *w = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	if (w->n == sizeof w->out && !wire_flush(w))
		return -1;
	size_t room = sizeof w->out - w->n, n = (size_t)size < room ? (size_t)size : room;
	if (n == 0)
		BIO_set_retry_write(bio);
	memcpy(w->out + w->n, p, n);
	w->n += n;
	return n ? (int)n : -1;
}

static long wire_control(BIO *bio, int command, long number, void *p)
{
	struct wire *w = BIO_get_data(bio);
	(void)number;
	(void)p;
	return command == BIO_CTRL_FLUSH || (command == BIO_CTRL_EOF && w->ended);
}

bool wire_flush(struct wire *w)
{
	ssize_t n = w->n && !w->broken ? send(w->fd, w->out, w->n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		w->broken = true;
	if (n > 0) {
		w->n -= (size_t)n;
		memmove(w->out, w->out + n, w->n);
	}
	return !w->broken;
}

BIO *wire_bio(struct wire *w)
{
	static BIO_METHOD *method;
	if (!method && (method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire"))) {
		BIO_meth_set_read(method, wire_read);
		BIO_meth_set_write(method, wire_write);
		BIO_meth_set_ctrl(method, wire_control);
	}
	BIO *bio = method ? BIO_new(method) : NULL;
	if (bio) {
		BIO_set_data(bio, w);
		BIO_set_init(bio, 1);
	}
	return bio;
}
