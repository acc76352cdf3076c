/* A message as SMTP sends it (RFC 5321 4.5.2, 2.3.8): see client.h.  Messages are kept with LF; a CR that got in some other way ends its line too, so
 * that no lone CR or LF ever leaves, and a dot after it is doubled like any other. */
#include <poll.h>

#include "deliver/client.h"

#define CHUNK 16384

void client_convert(struct buf *b, struct slice text, bool *line_start, bool *cr)
{
	while (text.n) {
		size_t n = 0;
		while (n < text.n && text.p[n] != '\n' && text.p[n] != '\r')
			n++;
		if (n && *line_start && text.p[0] == '.')
			buf_add_char(b, '.');
		buf_add(b, text.p, n);
		if (n)
			*line_start = *cr = false;
		if (n < text.n) {
			/* the LF of CR LF ends no second line */
			if (text.p[n] == '\r' || !*cr)
				buf_add(b, "\r\n", 2);
			*cr = text.p[n] == '\r';
			*line_start = true;
			n++;
		}
		text = slice_from(text, n);
	}
}

static int send_part(struct client *c, struct buf *b, struct slice text, bool *line_start, bool *cr, struct err *e)
{
	for (int rc; text.n; text = slice_from(text, CHUNK)) {
		client_convert(b, slice_upto(text, CHUNK), line_start, cr);
		if (b->n < CHUNK)
			continue;
		if ((rc = client_write(c, b->p, b->n, e)) < 0)
			return rc;
		buf_reset(b);
	}
	return 0;
}

/* The queue gave up, or is another one by now: then it delivers again, and this copy must not be completed.  (Not POLLRDHUP: that is also what the agent did
 * itself when it takes no more.) */
static bool nobody_waits(int reply_fd)
{
	struct pollfd p = {.fd = reply_fd};
	return reply_fd >= 0 && poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

int client_send_data(struct client *c, struct slice header, struct slice body, int reply_fd, struct err *e)
{
	struct buf b = BUF_INIT(4 * CHUNK);
	bool line_start = true, cr = false;
	int rc = send_part(c, &b, header, &line_start, &cr, e);
	if (rc == 0)
		rc = send_part(c, &b, body, &line_start, &cr, e);
	if (rc == 0) {
		buf_add_str(&b, line_start ? ".\r\n" : "\r\n.\r\n");
		rc = b.overflow ? err_set(e, E_SYS, "out of memory") : nobody_waits(reply_fd) ? err_set(e, E_REFUSED, "the queue no longer waits") : 0;
	}
	if (rc == 0)
		rc = client_write(c, b.p, b.n, e);
	buf_free(&b);
	return rc;
}
