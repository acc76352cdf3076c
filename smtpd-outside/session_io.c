/* The client's connection: lines in, replies out, both through fixed buffers.  Whoever is at the other end is hostile until proven
 * otherwise and may be slow: every wait has a deadline.
 *
 * SIGTERM sets a flag that counts while a command is waited for, and nowhere else.  Its handler has SA_RESTART, so nothing in the middle of a command is cut
 * off; a wait with a timeout is, always (signal(7)).  One that comes just before the wait is made up for: the parent repeats it. */
#include "smtpd-outside/session.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "lib/io.h"
#include "lib/program.h"

#define LINGER_MSEC 2000
#define LINGER_OCTETS (1 << 20)
#define LATE_MSEC 20 /* that a deadline may be over */

static int64_t capped(const struct session_io *io, int64_t deadline)
{
	return deadline < io->session_end ? deadline : io->session_end;
}

void session_flush(struct session_io *io)
{
	if (io->out_n && !io->dead && io_write_all(io->fd, io->out, io->out_n, deadline_in(io->write_msec), NULL))
		io->dead = true;
	io->out_n = 0;
}

void session_write(struct session_io *io, struct slice text)
{
	if (text.n > SESSION_OUT_OCTETS - io->out_n)
		session_flush(io);
	text = slice_upto(text, SESSION_OUT_OCTETS);
	memcpy(io->out + io->out_n, text.p, text.n);
	io->out_n += text.n;
}

struct buf session_room(struct session_io *io)
{
	if (SESSION_OUT_OCTETS - io->out_n < SESSION_REPLY_OCTETS)
		session_flush(io);
	return (struct buf){io->out + io->out_n, 0, SESSION_OUT_OCTETS - io->out_n, SESSION_OUT_OCTETS - io->out_n, false};
}

/* WAITS: for .wait_msec, or until a signal comes. */
static ssize_t receive(struct session_io *io, char *p, size_t room, bool waits)
{
	ssize_t n = recv(io->fd, p, room, waits ? 0 : MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? E_TIMEOUT : E_EOF;
	return n;
}

ssize_t session_read(struct session_io *io, char *p, size_t room, int64_t deadline)
{
	/* where the clock leaves time, it is waited for in the call that reads */
	bool waits = !io->out_n && deadline_left(capped(io, deadline)) + LATE_MSEC >= io->wait_msec;
	for (;;) {
		ssize_t n = receive(io, p, room, waits);
		if (n != E_TIMEOUT)
			return n;
		waits = false;
		session_flush(io); /* RFC 2920 3.2 (6): no reply waits for input that has not come */
		int r = io_wait(io->fd, POLLIN, capped(io, deadline), NULL);
		if (r)
			return r == E_TIMEOUT ? E_TIMEOUT : E_EOF;
	}
}

/* The next octets of a command, to P, until DEADLINE.  What comes first after a reply is waited for in the call that reads it, for as long as the socket was
 * told (session_adopt()); the rest of a line, and what the session's end comes before, by the clock.  E_REFUSED: told to stop. */
static ssize_t read_command(struct session_io *io, char *p, size_t room, int64_t deadline)
{
	bool first = io->start == io->end && deadline_left(io->session_end) > io->wait_msec;
	while (!program_stopping()) {
		ssize_t n = recv(io->fd, p, room, first ? 0 : MSG_DONTWAIT);
		if (n >= 0)
			return n;
		if (errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK)
			return E_EOF;
		struct pollfd one = {.fd = io->fd, .events = POLLIN};
		if (!program_stopping() && poll(&one, 1, deadline_left(capped(io, deadline))) == 0)
			return E_TIMEOUT;
	}
	return E_REFUSED;
}

void session_adopt(struct session_io *io, int fd)
{
	struct timeval wait = {io->wait_msec / 1000, io->wait_msec % 1000 * 1000};
	io->fd = fd;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait); /* where that fails poll() is left */
}

static int fill(struct session_io *io, int64_t deadline)
{
	session_flush(io);
	if (io->dead)
		return E_EOF;
	if (io->start) {
		memmove(io->in, io->in + io->start, io->end - io->start);
		io->end -= io->start;
		io->start = 0;
	}
	ssize_t n = read_command(io, io->in + io->end, SESSION_READ_OCTETS, deadline);
	if (n <= 0)
		return n == 0 ? E_EOF : (int)n;
	io->end += (size_t)n;
	return 0;
}

/* Drop input up to and including the next LF. */
static int skip_line(struct session_io *io, int64_t deadline)
{
	size_t skipped = 0;
	for (;;) {
		struct slice waiting = slice_make(io->in + io->start, io->end - io->start);
		size_t n = slice_find(waiting, '\n');
		io->start += n + (n < waiting.n);
		skipped += n;
		if (n < waiting.n || skipped > SESSION_SKIP_MAX)
			return E_TOO_LONG;
		int r = fill(io, deadline);
		if (r)
			return r;
	}
}

/* LINE ends with LF: take it off; what is left must be printable or 8-bit octets and the CR. */
static int check_line(struct slice *line)
{
	if (line->n < 2 || line->p[line->n - 2] != '\r')
		return E_SYNTAX;
	line->n -= 2;
	for (size_t i = 0; i < line->n; i++)
		if ((unsigned char)line->p[i] < 32 || line->p[i] == 127)
			return E_SYNTAX;
	return 0;
}

int session_line(struct session_io *io, struct slice *line, int64_t deadline)
{
	for (;;) {
		struct slice waiting = slice_make(io->in + io->start, io->end - io->start);
		size_t n = slice_find(waiting, '\n');
		if (n >= io->line_max)
			return skip_line(io, deadline);
		if (n < waiting.n) {
			*line = slice_upto(waiting, n + 1);
			io->start += n + 1;
			return check_line(line);
		}
		int r = fill(io, deadline);
		if (r)
			return r;
	}
}

bool session_input_waits(const struct session_io *io)
{
	char c;
	return io->start < io->end || recv(io->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* The last reply and the end go in one segment. */
static bool say_last(struct session_io *io)
{
	ssize_t put = io->out_n && !io->dead ? send(io->fd, io->out, io->out_n, MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	if (put > 0)
		memmove(io->out, io->out + put, io->out_n -= (size_t)put);
	session_flush(io);
	return shutdown(io->fd, SHUT_WR) == 0 && !io->dead;
}

/* Closing a socket with unread input resets the connection, and the client may then lose our last reply. */
void session_hang_up(struct session_io *io, bool input_left)
{
	int64_t deadline = deadline_in(LINGER_MSEC);
	if (say_last(io) && input_left)
		for (size_t all = 0; all < LINGER_OCTETS; ) {
			ssize_t n = session_read(io, io->in, SESSION_IN_OCTETS, deadline);
			if (n <= 0)
				break;
			all += (size_t)n;
		}
	close_fd(&io->fd);
}
