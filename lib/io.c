/* Clocks, bounded input and output, memfds, datagrams with descriptors: see io.h.
 *
 * Peers are not trusted: whatever comes in a control message beyond what is expected is closed (a buffer for one
 * descriptor holds two, because of alignment), and truncation is a fault of the peer. */
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/program.h"

#define UNDER_WAY_MSEC 5 /* between looks whether a descriptor may be sent again; nothing tells it */

int64_t clock_usec(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_msec(void)
{
	return clock_usec() / 1000;
}

int64_t clock_wall_usec(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t deadline_in(int64_t msec)
{
	int64_t at;
	return __builtin_add_overflow(clock_msec(), msec, &at) ? DEADLINE_NEVER : at;
}

int deadline_left(int64_t deadline)
{
	if (deadline == DEADLINE_NEVER)
		return -1;
	int64_t left = deadline - clock_msec();
	return left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* SIGTERM ends the wait for new work; work in hand is finished. */
static bool stops(bool new_work)
{
	return new_work && program_stopping();
}

static int wait_for(int fd, short events, int64_t deadline, bool new_work, struct err *e)
{
	struct pollfd p = {fd, events, 0};
	for (;;) {
		if (stops(new_work))
			return err_set(e, E_EOF, "told to stop");
		int n = poll(&p, 1, deadline_left(deadline));
		if (n > 0)
			return 0;
		if (n == 0)
			return err_set(e, E_TIMEOUT, "no answer in time");
		if (errno != EINTR)
			return err_sys(e, "poll");
	}
}

int io_wait(int fd, short events, int64_t deadline, struct err *e)
{
	return wait_for(fd, events, deadline, deadline == DEADLINE_NEVER, e);
}

/* A socket call that would block or was interrupted: 0 to try again, or the error. */
static int again(int fd, short events, int64_t deadline, bool new_work, struct err *e)
{
	if (errno == EINTR)
		return stops(new_work) ? err_set(e, E_EOF, "told to stop") : 0;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return deadline_left(deadline) == 0 ? err_set(e, E_TIMEOUT, "no answer in time") : wait_for(fd, events, deadline, new_work, e);
	if (errno == EPIPE || errno == ECONNRESET || errno == ECONNREFUSED || errno == ENOTCONN)
		return err_set(e, E_EOF, "the other side is gone");
	return err_sys(e, "%s", events & POLLIN ? "receive" : "send");
}

ssize_t io_read(int fd, void *p, size_t n, int64_t deadline, struct err *e)
{
	for (;;) {
		int rc = io_wait(fd, POLLIN, deadline, e);
		if (rc < 0)
			return rc;
		ssize_t got = read(fd, p, n);
		if (got >= 0)
			return got;
		if (errno == ECONNRESET)
			return 0;
		if ((rc = again(fd, POLLIN, deadline, false, e)) < 0)
			return rc;
	}
}

static ssize_t write_some(int fd, const void *p, size_t n)
{
	ssize_t put = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	return put < 0 && errno == ENOTSOCK ? write(fd, p, n) : put;
}

int io_write_all(int fd, const void *p, size_t n, int64_t deadline, struct err *e)
{
	const char *at = p;
	while (n) {
		ssize_t put = write_some(fd, at, n);
		int rc = put < 0 ? again(fd, POLLOUT, deadline, false, e) : 0;
		if (rc < 0)
			return rc;
		if (put > 0) {
			at += put;
			n -= (size_t)put;
		}
	}
	return 0;
}

int io_pwrite_all(int fd, const void *p, size_t n, off_t offset, struct err *e)
{
	const char *at = p;
	while (n) {
		ssize_t put = pwrite(fd, at, n, offset);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			errno = put == 0 ? ENOSPC : errno;
			return err_sys(e, "write");
		}
		at += put;
		offset += put;
		n -= (size_t)put;
	}
	return 0;
}

int io_pread_all(int fd, void *p, size_t n, off_t offset, struct err *e)
{
	char *at = p;
	while (n) {
		ssize_t got = pread(fd, at, n, offset);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(e, "read");
		if (got == 0)
			return err_set(e, E_EOF, "the file is too short");
		at += got;
		offset += got;
		n -= (size_t)got;
	}
	return 0;
}

int memfd_make(const char *name, struct err *e)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | 0x0008U /* MFD_NOEXEC_SEAL, Linux 6.3 */);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd < 0 ? err_sys(e, "memfd") : fd;
}

#define ALL_SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int memfd_seal(int fd, struct err *e)
{
	return fcntl(fd, F_ADD_SEALS, ALL_SEALS) < 0 ? err_sys(e, "seal") : 0;
}

int memfd_with(const char *name, struct slice content, struct err *e)
{
	int fd = memfd_make(name, e);
	if (fd < 0)
		return fd;
	if (io_pwrite_all(fd, content.p, content.n, 0, e) < 0 || memfd_seal(fd, e) < 0) {
		close(fd);
		return E_SYS;
	}
	return fd;
}

int memfd_check(size_t *size, int fd, size_t max, struct err *e)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS)
		return err_set(e, E_PEER, "a descriptor is not a sealed memfd");
	if (fstat(fd, &st) < 0 || st.st_size < 0 || (size_t)st.st_size > max)
		return err_set(e, E_PEER, "a memfd is larger than %zu octets", max);
	*size = (size_t)st.st_size;
	return 0;
}

/* Privately: a shared mapping of what is sealed against writing is EPERM before Linux 6.7, also one to read. */
void *memfd_map(int fd, size_t size)
{
	return mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
}

/* The kernel lets a user have about as many descriptors under way in sockets as one process may have open; the receivers make room. */
static int wait_for_room(int64_t deadline, struct err *e)
{
	int left = deadline_left(deadline);
	if (left == 0)
		return err_set(e, E_TIMEOUT, "too many descriptors are under way");
	poll(NULL, 0, left < 0 || left > UNDER_WAY_MSEC ? UNDER_WAY_MSEC : left);
	return 0;
}

int pass_send(int sock, struct slice text, const int *fds, size_t count, int64_t deadline, struct err *e)
{
	return pass_send_pieces(sock, &text, 1, fds, count, deadline, e);
}

int pass_send_pieces(int sock, const struct slice *piece, size_t pieces, const int *fds, size_t count, int64_t deadline, struct err *e)
{
	struct iovec iov[PASS_PIECES_MAX];
	union {
		char space[CMSG_SPACE(PASS_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = pieces};
	if (count > PASS_FDS_MAX || pieces > PASS_PIECES_MAX)
		return err_set(e, E_SYS, "too many descriptors to pass");
	for (size_t i = 0; i < pieces; i++) {
		memcpy(&iov[i].iov_base, &piece[i].p, sizeof iov[i].iov_base); /* sendmsg() writes nothing there */
		iov[i].iov_len = piece[i].n;
	}
	if (count) {
		memset(&control, 0, sizeof control);
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	for (;;) {
		if (sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		int rc = errno == ETOOMANYREFS ? wait_for_room(deadline, e) : again(sock, POLLOUT, deadline, false, e);
		if (rc < 0)
			return rc;
	}
}

/* Nothing came: the end of file, but on a datagram socket anybody who may send can send nothing, and the other side is never gone. */
static int nothing_came(int sock, struct err *e)
{
	int type = 0;
	socklen_t size = sizeof type;
	if (getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM)
		return err_set(e, E_PEER, "an empty datagram");
	return err_set(e, E_EOF, "the other side is gone");
}

/* Take the descriptors out of MSG: those that fit into FDS are kept, all others closed. */
static void take_fds(struct msghdr *msg, int *fds, size_t *count, size_t *surplus)
{
	*count = *surplus = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (*count < PASS_FDS_MAX)
				fds[(*count)++] = fd;
			else
				close(fd), ++*surplus;
		}
	}
}

static int look(int sock, char *space, size_t size, size_t *n, int *fds, size_t *count, int64_t deadline, bool new_work, struct err *e)
{
	union {
		char space[CMSG_SPACE((PASS_FDS_MAX + 2) * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {space, size};
	int flags = MSG_CMSG_CLOEXEC | (deadline == DEADLINE_NEVER ? 0 : MSG_DONTWAIT);
	for (;;) {
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
		size_t surplus;
		if (stops(new_work))
			return err_set(e, E_EOF, "told to stop");
		ssize_t got = recvmsg(sock, &msg, flags);
		if (got < 0) {
			int rc = again(sock, POLLIN, deadline, new_work, e);
			if (rc < 0)
				return rc;
			continue;
		}
		take_fds(&msg, fds, count, &surplus);
		*n = (size_t)got;
		if (got == 0 && *count == 0 && !(msg.msg_flags & MSG_CTRUNC))
			return nothing_came(sock, e);
		if (surplus || msg.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) {
			close_fds(fds, *count);
			return err_set(e, E_PEER, "a datagram had too much text or too many descriptors");
		}
		return 0;
	}
}

/* The kernel looks for a record, then for the end of the socket: what was sent, and the socket closed, in between shows at a second look only. */
static int receive(int sock, char *space, size_t size, size_t *n, int *fds, size_t *count, int64_t deadline, bool new_work, struct err *e)
{
	int rc = look(sock, space, size, n, fds, count, deadline, new_work, e);
	if (rc != E_EOF || stops(new_work))
		return rc;
	rc = look(sock, space, size, n, fds, count, 0, false, e);
	return rc == E_TIMEOUT ? err_set(e, E_EOF, "the other side is gone") : rc;
}

int pass_recv(int sock, char *space, size_t size, size_t *n, int *fds, size_t *count, int64_t deadline, struct err *e)
{
	return receive(sock, space, size, n, fds, count, deadline, true, e);
}

int pass_recv_answer(int sock, char *space, size_t size, size_t *n, int *fds, size_t *count, int64_t deadline, struct err *e)
{
	return receive(sock, space, size, n, fds, count, deadline, false, e);
}

void close_fds(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		close_fd(&fds[i]);
}

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
