/* Head and body of a message: see content.h.  Who sends may have been taken over: sizes, seals and framing are checked before an octet is looked at. */
#include "lib/content.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/netstring.h"

void content_close(struct content *c)
{
	if (c->mapped)
		munmap(c->space, c->octets);
	else
		free(c->space);
	close_fd(&c->fd);
	*c = CONTENT_INIT;
}

void content_borrow(struct content *c, struct slice s)
{
	content_close(c);
	c->p = s.p;
	c->octets = s.n;
}

void content_own(struct content *c, void *p, size_t n)
{
	content_borrow(c, slice_make(p, n));
	c->space = p;
}

int content_of_buf(struct content *c, struct buf *b, struct err *e)
{
	if (b->overflow) {
		errno = ENOMEM;
		return err_sys(e, "a message");
	}
	content_own(c, b->p, b->n);
	*b = BUF_INIT(b->max);
	return 0;
}

int content_of_file(struct content *c, int fd, size_t most, struct err *e)
{
	content_close(c);
	c->fd = fd;
	return memfd_check(&c->octets, fd, most, e);
}

int content_of_own_file(struct content *c, int fd, struct err *e)
{
	struct stat st;
	content_close(c);
	c->fd = fd;
	if (memfd_seal(fd, e) < 0)
		return E_SYS;
	if (fstat(fd, &st) < 0)
		return err_sys(e, "a message");
	c->octets = (size_t)st.st_size;
	return 0;
}

/* Mapping, the fault and unmapping cost five times what it costs to read some KiB. */
static int read_few(struct content *c, struct err *e)
{
	char *p = malloc(c->octets);
	if (!p)
		return err_sys(e, "a message");
	int rc = io_pread_all(c->fd, p, c->octets, 0, e);
	if (rc < 0) {
		free(p);
		return rc;
	}
	c->p = c->space = p;
	return 0;
}

int content_look(struct content *c, struct err *e)
{
	if (c->p || c->octets == 0)
		return 0;
	if (c->octets <= CONTENT_FEW)
		return read_few(c, e);
	void *p = memfd_map(c->fd, c->octets);
	if (p == MAP_FAILED)
		return err_sys(e, "map a message");
	c->p = c->space = p;
	c->mapped = true;
	return 0;
}

int content_file(struct content *c, struct err *e)
{
	if (c->fd < 0)
		c->fd = memfd_with("message", content_slice(c), e);
	return c->fd;
}

/* ---- both in one datagram ---- */

#define FRAME 24 /* octets of a netstring's length */

/* S in three pieces at *AT. */
static void add_netstring(struct slice **at, char frame[FRAME], struct slice s)
{
	struct buf b = {frame, 0, FRAME, FRAME, false};
	buf_add_number(&b, (long long)s.n);
	buf_add_char(&b, ':');
	*(*at)++ = buf_slice(&b);
	*(*at)++ = s;
	*(*at)++ = slice_make(",", 1);
}

static bool in_memory(const struct content *c)
{
	return c->p || (c->fd < 0 && c->octets == 0);
}

int content_send(int sock, struct slice text, struct content *head, struct content *body, int reply_fd, int64_t deadline, struct err *e)
{
	char frame[2][FRAME];
	struct slice piece[7] = {text}, *at = piece + 1;
	int fds[3];
	size_t count = 0;
	bool head_few = in_memory(head) && head->octets <= CONTENT_FEW;
	bool body_few = head_few && in_memory(body) && body->octets <= CONTENT_FEW - head->octets;
	if (head_few)
		add_netstring(&at, frame[0], content_slice(head));
	else if ((fds[count++] = content_file(head, e)) < 0)
		return E_SYS;
	if (body_few)
		add_netstring(&at, frame[1], content_slice(body));
	else if ((fds[count++] = content_file(body, e)) < 0)
		return E_SYS;
	if (reply_fd >= 0)
		fds[count++] = reply_fd;
	return pass_send_pieces(sock, piece, (size_t)(at - piece), fds, count, deadline, e);
}

/* From REST where something is left of it, else the next file. */
static int take(struct content *c, size_t most, struct slice *rest, int *fds, size_t count, size_t *used, struct err *e)
{
	struct slice s;
	if (rest->n == 0 && *used < count) {
		int fd = fds[*used];
		fds[(*used)++] = -1;
		return content_of_file(c, fd, most, e);
	}
	if (netstring_take(&s, rest, CONTENT_FEW) < 0)
		return err_set(e, E_PEER, "a message comes with a text and descriptors that do not fit");
	content_borrow(c, s);
	return 0;
}

int content_take(struct content *head, struct content *body, struct slice rest, int *fds, size_t count, struct err *e)
{
	size_t used = 0;
	*head = *body = CONTENT_INIT;
	int rc = take(head, HEAD_MAX, &rest, fds, count, &used, e);
	if (rc == 0)
		rc = take(body, BODY_MAX, &rest, fds, count, &used, e);
	if (rc == 0 && rest.n)
		rc = err_set(e, E_PEER, "a message comes with too much text");
	return rc < 0 ? rc : (int)used;
}
