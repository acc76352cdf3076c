/* Operators' commands: see command.h.  The server side runs inside the event loops of the supervisor, door and queue, as their users; what a caller
 * sends is not trusted beyond who it is (SO_PEERCRED), and a fault ends that caller's connection alone. */
#include "lib/command.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/netstring.h"

#define ROW_MSEC 5000
#define CALL_MSEC 5000
#define EXIT_CODE_MAX 111

int command_accept(struct command *cmd, int listen_fd, struct err *e)
{
	struct ucred who = {0};
	socklen_t size = sizeof who;
	cmd->fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (cmd->fd < 0)
		return err_sys(e, "accept");
	int rc = 0;
	if (getsockopt(cmd->fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
		rc = err_sys(e, "SO_PEERCRED");
	else if (who.uid != 0 && who.uid != geteuid())
		rc = err_set(e, E_REFUSED, "user %u may not give commands", (unsigned)who.uid);
	cmd->uid = who.uid;
	if (rc < 0)
		close_fd(&cmd->fd);
	return rc;
}

static int split(struct slice *arg, size_t most, size_t *count, struct slice rest)
{
	*count = 0;
	while (rest.n) {
		if (*count == most || netstring_take(&arg[*count], &rest, COMMAND_MAX) < 0)
			return E_PEER;
		++*count;
	}
	return *count ? 0 : E_PEER;
}

int command_read(struct command *cmd, struct err *e)
{
	ssize_t n = recv(cmd->fd, cmd->space, sizeof cmd->space, MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? err_set(e, E_TIMEOUT, "nothing yet") : err_sys(e, "command");
	if (n == 0)
		return err_set(e, E_EOF, "the caller is gone");
	if ((size_t)n > sizeof cmd->space)
		return err_set(e, E_PEER, "a command is longer than %d octets", COMMAND_MAX);
	if (split(cmd->arg, COMMAND_ARGS_MAX, &cmd->args, slice_make(cmd->space, (size_t)n)) < 0)
		return err_set(e, E_PEER, "a command is not 1 to %d netstrings", COMMAND_ARGS_MAX);
	return 0;
}

static int send_packet(int fd, struct slice packet, int64_t deadline)
{
	for (;;) {
		if (send(fd, packet.p, packet.n, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return E_EOF;
		int rc = io_wait(fd, POLLOUT, deadline, NULL);
		if (rc < 0)
			return rc == E_TIMEOUT ? E_TIMEOUT : E_EOF;
	}
}

int command_row(struct command *cmd, const struct buf *row)
{
	if (row->overflow || row->n == 0 || row->n > COMMAND_MAX)
		return E_EOF;
	return send_packet(cmd->fd, buf_slice(row), deadline_in(ROW_MSEC));
}

int command_row_now(struct command *cmd, struct slice row)
{
	return row.n && row.n <= COMMAND_MAX ? send_packet(cmd->fd, row, deadline_in(0)) : E_EOF;
}

void command_end_row(struct buf *row, int exit_code, const char *text)
{
	netstring_add_str(row, ".");
	netstring_add_number(row, exit_code);
	netstring_add(row, slice_upto(slice_str(text), 1900));
}

void command_end(struct command *cmd, int exit_code, const char *text)
{
	char space[2048];
	struct buf b = {space, 0, sizeof space, sizeof space, false};
	command_end_row(&b, exit_code, text);
	(void)!send_packet(cmd->fd, buf_slice(&b), deadline_in(ROW_MSEC));
	close_fd(&cmd->fd);
}

static int dial(const char *socket_path, struct err *e)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval most = {CALL_MSEC / 1000, 0};
	if (slice_copy(sa.sun_path, sizeof sa.sun_path, slice_str(socket_path)) < 0)
		return err_set(e, E_TOO_LONG, "%s: longer than the name of a socket may be", socket_path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
	if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
		return fd;
	if (errno == ENOENT || errno == ECONNREFUSED)
		err_set(e, E_NOT_FOUND, "%s: nobody answers; is the suite running?", socket_path);
	else if (errno == EACCES)
		err_sys(e, "%s: only root and the user that the suite runs as may ask", socket_path);
	else
		err_sys(e, "%s", socket_path);
	close(fd);
	return e ? (int)e->code : E_SYS;
}

int command_call(int *fd, const char *socket_path, const struct slice *args, size_t count, struct err *e)
{
	struct buf b = BUF_INIT(COMMAND_MAX);
	*fd = -1;
	for (size_t i = 0; i < count; i++)
		netstring_add(&b, args[i]);
	int rc = b.overflow || count == 0 || count > COMMAND_ARGS_MAX ? err_set(e, E_TOO_LONG, "too many or too long arguments") : 0;
	if (rc == 0)
		rc = *fd = dial(socket_path, e);
	if (rc >= 0)
		rc = send_packet(*fd, buf_slice(&b), deadline_in(CALL_MSEC));
	if (rc == E_EOF) /* it has ended already, and may have said why */
		rc = 0;
	if (rc == E_TIMEOUT)
		err_set(e, (enum err_code)rc, "%s: the command was not taken", socket_path);
	if (rc < 0)
		close_fd(fd);
	buf_free(&b);
	return rc;
}

int command_next(int fd, char space[COMMAND_MAX], struct slice *row, size_t most, size_t *count, int *exit_code, int64_t deadline, struct err *e)
{
	long long code;
	int rc = io_wait(fd, POLLIN, deadline, e);
	if (rc < 0)
		return rc;
	ssize_t n = recv(fd, space, COMMAND_MAX, MSG_TRUNC);
	if (n < 0 && errno == ECONNRESET) /* it ended without having read the request; what it said is there all the same */
		n = recv(fd, space, COMMAND_MAX, MSG_TRUNC | MSG_DONTWAIT);
	if (n <= 0)
		return n < 0 && errno != ECONNRESET && errno != EAGAIN ? err_sys(e, "answer") : err_set(e, E_EOF, "the program ended before its answer did");
	if (n > COMMAND_MAX || split(row, most, count, slice_make(space, (size_t)n)) < 0)
		return err_set(e, E_PEER, "an answer is not a row of netstrings");
	if (*count != 3 || !slice_eq_str(row[0], "."))
		return 0;
	if (slice_number(&code, row[1], 0, EXIT_CODE_MAX) < 0)
		return err_set(e, E_PEER, "an answer ends without an exit code");
	*exit_code = (int)code;
	row[0] = row[2];
	*count = 1;
	return 1;
}
