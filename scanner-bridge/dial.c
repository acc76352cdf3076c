/* Connections to scanners: see dial.h.  Runs as postern-scan.  What listens at the other end is the administrator's choice; what it
 * says is not trusted here but judged by the parsers of clamd.c and spamd.c. */
#include "scanner-bridge/dial.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BUSY_PAUSE_MSEC 20 /* between tries while a Unix socket's queue is full */

void endpoint_unix(struct endpoint *to, const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	memset(to, 0, sizeof *to);
	snprintf(to->name, sizeof to->name, "%s", path);
	if (slice_copy(un.sun_path, sizeof un.sun_path, slice_str(path)) < 0)
		return;
	memcpy(&to->address[0], &un, sizeof un);
	to->length[0] = sizeof un;
	to->count = 1;
}

int endpoint_resolve(struct endpoint *to, const char *host, const char *port, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	int rc = getaddrinfo(host, port, &hints, &list);
	memset(to, 0, sizeof *to);
	snprintf(to->name, sizeof to->name, "%.255s:%.5s", host, port);
	if (rc != 0)
		return err_set(e, E_NOT_FOUND, "control/scanners: %s cannot be looked up: %s", host, gai_strerror(rc));
	for (const struct addrinfo *a = list; a && to->count < ENDPOINT_ADDRESSES; a = a->ai_next) {
		memcpy(&to->address[to->count], a->ai_addr, a->ai_addrlen);
		to->length[to->count++] = a->ai_addrlen;
	}
	freeaddrinfo(list);
	return 0;
}

static void pause_msec(int64_t msec)
{
	struct timespec t = {msec / 1000, msec % 1000 * 1000000};
	nanosleep(&t, NULL);
}

/* EAGAIN: the queue of a Unix socket is full, and nothing tells when it is not. */
static int start_connect(int fd, const struct endpoint *to, size_t k, int64_t deadline)
{
	while (connect(fd, (const struct sockaddr *)&to->address[k], to->length[k]) < 0) {
		if (errno != EAGAIN || deadline_left(deadline) == 0)
			return errno;
		pause_msec(BUSY_PAUSE_MSEC);
	}
	return 0;
}

static int finish_connect(int fd, int64_t deadline, struct err *e)
{
	int error = 0, rc = io_wait(fd, POLLOUT, deadline, e);
	socklen_t n = sizeof error;
	if (rc < 0)
		return rc;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 || error == 0)
		return error == 0 ? 0 : err_sys(e, "getsockopt");
	errno = error;
	return err_sys(e, "connect");
}

static int dial_one(const struct endpoint *to, size_t k, int64_t deadline, struct err *e)
{
	int fd = socket(to->address[k].ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc;
	if (fd < 0)
		return err_sys(e, "socket");
	rc = start_connect(fd, to, k, deadline);
	if (rc == EINPROGRESS)
		rc = finish_connect(fd, deadline, e);
	else if (rc != 0) {
		errno = rc;
		rc = err_sys(e, "%s", to->name);
	}
	if (rc < 0)
		close(fd);
	return rc < 0 ? rc : fd;
}

int dial(const struct endpoint *to, int64_t deadline, struct err *e)
{
	int rc = err_set(e, E_NOT_FOUND, "%s has no address", to->name);
	for (size_t k = 0; k < to->count; k++) {
		rc = dial_one(to, k, deadline, e);
		if (rc >= 0 || deadline_left(deadline) == 0)
			break;
	}
	return rc;
}
