/* Both sides of an operator's command, in one process: the kernel's queues are long enough. */
#include "lib/command.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/netstring.h"
#include "tests/unit/unit.h"

static char path[64];
static int listen_fd;
static struct command cmd;
static char space[COMMAND_MAX];

static void start(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	snprintf(path, sizeof path, "/tmp/postern-command-%d.sock", (int)getpid());
	unlink(path);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	listen_fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	ck_assert_int_eq(bind(listen_fd, (struct sockaddr *)&sa, sizeof sa), 0);
	ck_assert_int_eq(listen(listen_fd, 8), 0);
}

static void stop(void)
{
	close(listen_fd);
	unlink(path);
}

static int call(const char *verb, const char *argument)
{
	int fd;
	struct err e = {0};
	const struct slice args[] = {slice_str(verb), slice_str(argument)};
	ck_assert_msg(command_call(&fd, path, args, 2, &e) == 0, "%s", e.text);
	ck_assert_msg(command_accept(&cmd, listen_fd, &e) == 0, "%s", e.text);
	return fd;
}

START_TEST(rows_and_end)
{
	struct slice row[8];
	size_t count;
	int code = -1;
	struct err e;
	start();
	int fd = call("list", "with \n and \"");
	ck_assert_int_eq(command_read(&cmd, &e), 0);
	ck_assert_uint_eq(cmd.args, 2);
	ck_assert(slice_eq_str(cmd.arg[0], "list") && slice_eq_str(cmd.arg[1], "with \n and \""));
	struct buf b = BUF_INIT(COMMAND_MAX);
	netstring_add_str(&b, "id");
	netstring_add_str(&b, "x");
	ck_assert_int_eq(command_row(&cmd, &b), 0);
	command_end(&cmd, 1, "nothing found");
	ck_assert_int_eq(cmd.fd, -1);
	ck_assert_int_eq(command_next(fd, space, row, 8, &count, &code, deadline_in(1000), &e), 0);
	ck_assert(count == 2 && slice_eq_str(row[1], "x"));
	ck_assert_int_eq(command_next(fd, space, row, 8, &count, &code, deadline_in(1000), &e), 1);
	ck_assert(code == 1 && slice_eq_str(row[0], "nothing found"));
	ck_assert_int_eq(command_next(fd, space, row, 8, &count, &code, deadline_in(1000), &e), E_EOF);
	buf_free(&b);
	close(fd);
	stop();
}
END_TEST

/* Who is turned away before the request was read hears why. */
START_TEST(turned_away)
{
	struct slice row[8];
	struct err e;
	size_t count;
	int code = -1;
	start();
	int fd = call("list", "");
	command_end(&cmd, 111, "too many commands at once");
	ck_assert_msg(command_next(fd, space, row, 8, &count, &code, deadline_in(1000), &e) == 1, "%s", e.text);
	ck_assert(code == 111 && slice_eq_str(row[0], "too many commands at once"));
	close(fd);
	fd = call("list", "");
	close_fd(&cmd.fd);
	ck_assert_int_eq(command_next(fd, space, row, 8, &count, &code, deadline_in(1000), &e), E_EOF);
	close(fd);
	stop();
}
END_TEST

static const struct {
	const char *packet;
	size_t n; /* 0: the string's length */
	int rc;
} request[] = {
	{"4:list,", 0, 0},
	{"0:,", 0, 0},
	{"4:list,1:a,1:b,1:c,1:d,1:e,1:f,1:g,1:h,1:i,1:j,1:k,1:l,1:m,1:n,1:o,", 0, 0},
	{"4:list,1:a,1:b,1:c,1:d,1:e,1:f,1:g,1:h,1:i,1:j,1:k,1:l,1:m,1:n,1:o,1:p,", 0, E_PEER},
	{"list", 0, E_PEER},
	{"5:list,", 0, E_PEER},
	{"04:list,", 0, E_PEER},
	{"4:list,4", 0, E_PEER},
	{"4:list;", 0, E_PEER},
	{"99999999999999999999:x,", 0, E_PEER},
	{"4:list,", COMMAND_MAX, E_PEER},
	{"4:list,", COMMAND_MAX + 1, E_PEER},
};

START_TEST(requests)
{
	static char packet[COMMAND_MAX + 1];
	struct err e;
	start();
	int fd = call("x", "y");
	ck_assert_int_eq(command_read(&cmd, &e), 0);
	memset(packet, 'x', sizeof packet);
	memcpy(packet, request[_i].packet, strlen(request[_i].packet));
	size_t n = request[_i].n ? request[_i].n : strlen(request[_i].packet);
	ck_assert_int_eq(command_read(&cmd, &e), E_TIMEOUT);
	ck_assert_int_eq(send(fd, packet, n, 0), (ssize_t)n);
	ck_assert_int_eq(command_read(&cmd, &e), request[_i].rc);
	close(fd);
	ck_assert_int_eq(command_read(&cmd, &e), E_EOF);
	close_fd(&cmd.fd);
	stop();
}
END_TEST

/* A caller that never reads is cut off after 5 s, and costs the program no more than that once. */
START_TEST(slow_reader)
{
	start();
	int fd = call("list", "");
	struct buf b = BUF_INIT(COMMAND_MAX);
	memset(buf_room(&b, COMMAND_MAX), 'x', COMMAND_MAX);
	b.n = COMMAND_MAX;
	int rc = 0;
	int64_t begin = clock_msec();
	for (int i = 0; i < 1000 && rc == 0; i++)
		rc = command_row(&cmd, &b);
	ck_assert_int_eq(rc, E_TIMEOUT);
	ck_assert_int_ge(clock_msec() - begin, 4900);
	ck_assert_int_le(clock_msec() - begin, 7000);
	close(fd);
	ck_assert_int_eq(command_row(&cmd, &b), E_EOF);
	close_fd(&cmd.fd);
	buf_free(&b);
	stop();
}
END_TEST

START_TEST(row_limits)
{
	start();
	int fd = call("list", "");
	struct buf b = BUF_INIT(COMMAND_MAX + 1);
	ck_assert_int_eq(command_row(&cmd, &b), E_EOF);
	memset(buf_room(&b, COMMAND_MAX + 1), 'x', COMMAND_MAX + 1);
	b.n = COMMAND_MAX;
	ck_assert_int_eq(command_row(&cmd, &b), 0);
	b.n = COMMAND_MAX + 1;
	ck_assert_int_eq(command_row(&cmd, &b), E_EOF);
	close(fd);
	close_fd(&cmd.fd);
	buf_free(&b);
	stop();
}
END_TEST

START_TEST(nobody_there)
{
	int fd;
	struct err e;
	const struct slice arg = slice_str("list");
	char name[200];
	ck_assert_int_eq(command_call(&fd, "/tmp/no-such-socket", &arg, 1, &e), E_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.text, "is the suite running?"));
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = 0;
	ck_assert_int_eq(command_call(&fd, name, &arg, 1, &e), E_TOO_LONG);
	ck_assert_int_eq(fd, -1);
}
END_TEST

/* Another user than root and the program's own is turned away. */
START_TEST(stranger)
{
	struct err e;
	if (geteuid() != 0)
		return;
	start();
	ck_assert_int_eq(chown(path, 65534, 65534), 0);
	pid_t pid = fork();
	if (pid == 0) {
		int fd;
		const struct slice arg = slice_str("list");
		_exit(setuid(65534) < 0 || command_call(&fd, path, &arg, 1, &e) < 0);
	}
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(command_accept(&cmd, listen_fd, &e), E_REFUSED);
	ck_assert_int_eq(cmd.fd, -1);
	stop();
}
END_TEST

UNIT_MAIN("command",
	tcase_add_test(t, rows_and_end);
	tcase_add_test(t, turned_away);
	tcase_add_loop_test(t, requests, 0, sizeof request / sizeof *request);
	tcase_add_test(t, slow_reader);
	tcase_add_test(t, row_limits);
	tcase_add_test(t, nobody_there);
	tcase_add_test(t, stranger);)
