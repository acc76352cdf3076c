/* See client.h.  Runs as the user who sends mail, in sendmail, qmail-queue and qmail-inject; trusts what answers at the socket as far as
 * the owner of the state folder is trusted. */
#include "inject/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STATE_DEFAULT "/var/lib/postern"
#define CALL_MSEC 30000
#define ANSWER_MSEC 660000 /* more than control/answerseconds can be */

const char *client_state(void)
{
	const char *state = getenv("POSTERN_STATE");
	return state && *state ? state : STATE_DEFAULT;
}

static int dial(const char *state, struct err *e)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int n = snprintf(sa.sun_path, sizeof sa.sun_path, "%s/run/inject.sock", state);
	if (n < 0 || (size_t)n >= sizeof sa.sun_path)
		return err_set(e, E_NOT_FOUND, "%.100s: longer than the name of a state folder may be", state);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval most = {CALL_MSEC / 1000, 0};
	if (fd < 0)
		return err_sys(e, "socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most); /* connect() waits while the backlog is full */
	if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
		return fd;
	int why = errno == ENOENT || errno == ECONNREFUSED ? err_set(e, E_NOT_FOUND, "%s: nobody answers; is the mail suite running?", sa.sun_path) :
		errno == EAGAIN ? err_set(e, E_TIMEOUT, "%s: too many callers wait", sa.sun_path) : err_sys(e, "%s", sa.sun_path);
	close(fd);
	return why;
}

/* One packet there, one back.  *N octets in SPACE. */
static int call(size_t *n, const char *state, char *space, size_t size, const char *verb, const int *fds, size_t count, struct err *e)
{
	int answer_fds[PASS_FDS_MAX];
	size_t answer_count;
	int fd = dial(state, e);
	if (fd < 0)
		return fd;
	int rc = pass_send(fd, slice_str(verb), fds, count, deadline_in(CALL_MSEC), e);
	if (rc == 0)
		rc = pass_recv_answer(fd, space, size, n, answer_fds, &answer_count, deadline_in(ANSWER_MSEC), e);
	if (rc == 0)
		close_fds(answer_fds, answer_count);
	close(fd);
	return rc;
}

int client_names(struct names *names, char space[REQUEST_PACKET_MAX], struct err *e)
{
	size_t n;
	int rc = call(&n, client_state(), space, REQUEST_PACKET_MAX, "names", NULL, 0, e);
	return rc < 0 ? rc : names_decode(names, slice_make(space, n), e);
}

static int message_fd(struct slice first, struct slice second, struct err *e)
{
	int fd = memfd_make("message", e);
	if (fd < 0)
		return fd;
	int rc = first.n ? io_pwrite_all(fd, first.p, first.n, 0, e) : 0;
	if (rc == 0 && second.n)
		rc = io_pwrite_all(fd, second.p, second.n, (off_t)first.n, e);
	if (rc == 0)
		rc = memfd_seal(fd, e);
	if (rc < 0)
		close_fd(&fd);
	return rc < 0 ? rc : fd;
}

/* "CODE text". */
static int read_answer(struct outcome *o, struct slice in, struct err *e)
{
	long long code;
	if (in.n < 5 || in.p[3] != ' ' || slice_number(&code, slice_upto(in, 3), 200, 599) < 0 || (code >= 300 && code < 400) ||
	    !slice_printable(in) || slice_copy(o->text, sizeof o->text, slice_from(in, 4)) < 0)
		return err_set(e, E_PEER, "the answer of postern-inject makes no sense");
	o->code = (int)code;
	return 0;
}

void client_send(struct outcome *o, struct slice first, struct slice second, struct slice envelope)
{
	char space[ANSWER_MAX + 8];
	struct err e = {0};
	size_t n = 0;
	*o = (struct outcome){0};
	int fds[2] = {message_fd(first, second, &e), -1};
	int rc = fds[0] < 0 ? fds[0] : (fds[1] = memfd_with("envelope", envelope, &e));
	if (rc >= 0)
		rc = call(&n, client_state(), space, sizeof space, "send", fds, 2, &e);
	if (rc == 0)
		rc = read_answer(o, slice_make(space, n), &e);
	close_fds(fds, 2);
	if (rc < 0) {
		o->why = (enum err_code)rc;
		(void)!slice_copy(o->text, sizeof o->text, slice_str(e.text));
	}
}

void client_import(struct outcome *o, const char *state, int head_fd, int body_fd)
{
	char space[ANSWER_MAX + 8];
	struct err e = {0};
	size_t n = 0;
	*o = (struct outcome){0};
	int rc = call(&n, state, space, sizeof space, "import", (const int[]){head_fd, body_fd}, 2, &e);
	if (rc == 0)
		rc = read_answer(o, slice_make(space, n), &e);
	if (rc < 0) {
		o->why = (enum err_code)rc;
		(void)!slice_copy(o->text, sizeof o->text, slice_str(e.text));
	}
}
