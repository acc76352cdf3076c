/* Start-up with the descriptors that a supervisor hands over, right and wrong; each in a child, as a program would be. */
#include "lib/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/netstring.h"
#include "tests/unit/unit.h"

#define HIGH 40

static int settings(const char *me)
{
	struct buf b = BUF_INIT(1000);
	struct err e;
	netstring_add_str(&b, "/control");
	netstring_add_str(&b, "me");
	netstring_add_str(&b, me);
	int fd = memfd_with("settings", buf_slice(&b), &e);
	buf_free(&b);
	ck_assert_int_ge(fd, 0);
	return fd;
}

struct hand {
	int fd[7];       /* 0..6; -1: left closed */
	int lifeline;    /* the supervisor's end */
	char *argv[5];
};

/* What P_FIXUP expects: 3 lifeline, 4 settings, 5 in, 6 next. */
static struct hand good(void)
{
	int line[2], stage[2], next[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, line), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, stage), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, next), 0);
	static char name[] = "postern-fixup", lane[] = "outside", worker[] = "0", state[] = "/tmp";
	return (struct hand){{0, 1, 2, line[1], settings("mx.test"), stage[0], next[1]}, line[0], {name, lane, worker, state, NULL}};
}

static void place(const struct hand *h)
{
	int high[7];
	for (int i = 0; i < 7; i++)
		high[i] = h->fd[i] < 0 ? -1 : fcntl(h->fd[i], F_DUPFD, HIGH);
	for (int i = 3; i < HIGH; i++)
		close(i);
	for (int i = 3; i < 7; i++)
		if (high[i] >= 0)
			dup2(high[i], i);
}

static void expect(bool is)
{
	if (!is)
		_exit(1);
}

static int run(const struct hand *h, void (*act)(void))
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		place(h);
		program_start(P_FIXUP, 4, (char **)(uintptr_t)h->argv);
		if (act)
			act();
		_exit(0);
	}
	int status = 0;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void look_around(void)
{
	for (int fd = 7; fd < 200; fd++) /* HIGH and up were open before */
		expect(fcntl(fd, F_GETFD) < 0 && errno == EBADF);
	expect(fcntl(4, F_GETFD) < 0);
	expect(program_port(PORT_IN) == 5 && program_port(PORT_NEXT) == 6);
	expect(program_lane() == LANE_OUTSIDE && strcmp(program_state(), "/tmp") == 0);
	expect(slice_eq_str(control_word(program_control(), C_me), "mx.test"));
	expect(!program_stopping() && raise(SIGPIPE) == 0 && raise(SIGTERM) == 0 && program_stopping());
	program_ready();
}

START_TEST(starts)
{
	struct hand h = good();
	char text[64] = "";
	ck_assert_int_eq(run(&h, look_around), 0);
	ck_assert_int_gt(recv(h.lifeline, text, sizeof text - 1, MSG_DONTWAIT), 0);
	ck_assert_str_eq(text, "ready");
}
END_TEST

static void nothing_behind(void)
{
	expect(program_port(PORT_NEXT) == -1);
}

START_TEST(port_without_receiver)
{
	struct hand h = good();
	h.fd[6] = open("/dev/null", O_RDWR);
	ck_assert_int_eq(run(&h, nothing_behind), 0);
}
END_TEST

static void ask_for_listen(void)
{
	(void)program_port(PORT_LISTEN);
}

static void listening_stage(struct hand *h)
{
	h->fd[5] = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	struct sockaddr sa = {.sa_family = AF_UNIX};
	ck_assert_int_eq(bind(h->fd[5], &sa, sizeof sa.sa_family), 0);
	ck_assert_int_eq(listen(h->fd[5], 1), 0);
}

static void no_next(struct hand *h) { h->fd[6] = -1; }
static void file_for_port(struct hand *h) { h->fd[5] = open("/etc/passwd", O_RDONLY); }
static void settings_not_sealed(struct hand *h) { h->fd[4] = memfd_create("x", MFD_ALLOW_SEALING); }
static void no_lifeline(struct hand *h) { h->fd[3] = -1; }
static void dgram_lifeline(struct hand *h) { h->fd[3] = h->fd[5]; }
static char unknown[] = "inside";
static void unknown_lane(struct hand *h) { h->argv[1] = unknown; }
static void relative_state(struct hand *h) { h->argv[3] = unknown; }
static void as_it_is(struct hand *h) { (void)h; }

static const struct {
	void (*change)(struct hand *h);
	void (*act)(void);
	int exit_code;
} faults[] = {
	{no_next, NULL, 111}, {file_for_port, NULL, 111}, {listening_stage, NULL, 111}, {settings_not_sealed, NULL, 111}, {no_lifeline, NULL, 100},
	{dgram_lifeline, NULL, 100}, {unknown_lane, NULL, 100}, {relative_state, NULL, 100}, {as_it_is, ask_for_listen, 111},
};

START_TEST(refuses)
{
	struct hand h = good();
	faults[_i].change(&h);
	int status = run(&h, faults[_i].act);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == faults[_i].exit_code, "status %#x", (unsigned)status);
	char text[300] = "";
	ssize_t n = recv(h.lifeline, text, sizeof text - 1, MSG_DONTWAIT);
	ck_assert(faults[_i].exit_code != 111 || (n > 6 && memcmp(text, "fatal:", 6) == 0));
}
END_TEST

static void reload(void)
{
	struct err e;
	expect(program_reload(&e) == 0);
	expect(slice_eq_str(control_word(program_control(), C_me), "new.test"));
	expect(program_reload(&e) == E_PEER); /* a word without settings */
	expect(program_reload(&e) == E_PEER); /* settings that are not sealed */
	expect(slice_eq_str(control_word(program_control(), C_me), "new.test"));
	expect(program_reload(&e) == E_EOF);
}

START_TEST(reloads)
{
	struct hand h = good();
	struct err e;
	int fresh = settings("new.test"), open_memfd = memfd_create("x", MFD_ALLOW_SEALING);
	ck_assert_int_eq(pass_send(h.lifeline, slice_str("settings"), &fresh, 1, deadline_in(1000), &e), 0);
	ck_assert_int_eq(pass_send(h.lifeline, slice_str("settings"), NULL, 0, deadline_in(1000), &e), 0);
	ck_assert_int_eq(pass_send(h.lifeline, slice_str("settings"), &open_memfd, 1, deadline_in(1000), &e), 0);
	ck_assert_int_eq(shutdown(h.lifeline, SHUT_WR), 0);
	ck_assert_int_eq(run(&h, reload), 0);
}
END_TEST

UNIT_MAIN("program",
	tcase_add_test(t, starts);
	tcase_add_test(t, port_without_receiver);
	tcase_add_loop_test(t, refuses, 0, sizeof faults / sizeof *faults);
	tcase_add_test(t, reloads);)
