/* SIGTERM ends the wait for new work and nothing else. */
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/program.h"
#include "tests/unit/unit.h"

static int pair[2];
static struct err e;

static void start(void)
{
	program_catch_stop();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
}

typedef int receive_call(int sock, char *space, size_t size, size_t *n, int *fds, size_t *count, int64_t deadline, struct err *e);

static int receive(receive_call *call, int64_t deadline)
{
	char space[16];
	int fds[PASS_FDS_MAX];
	size_t n, count;
	return call(pair[0], space, sizeof space, &n, fds, &count, deadline, &e);
}

static int wait_only(int sock, char *space, size_t size, size_t *n, int *fds, size_t *count, int64_t deadline, struct err *why)
{
	(void)space, (void)size, (void)n, (void)fds, (void)count;
	return io_wait(sock, POLLIN, deadline, why);
}

static const struct {
	const char *spec;
	receive_call *call;
	bool has_deadline;
	int rc;
} calls[] = {
	{"new work", pass_recv, false, E_EOF},
	{"new work for a while", pass_recv, true, E_EOF},
	{"an answer", pass_recv_answer, true, E_TIMEOUT},
	{"anything, for ever", wait_only, false, E_EOF},
	{"anything for a while", wait_only, true, E_TIMEOUT},
};
#define CALLS (int)(sizeof calls / sizeof *calls)

START_TEST(told_before)
{
	start();
	ck_assert(!program_stopping());
	raise(SIGTERM);
	ck_assert(program_stopping());
	ck_assert_int_eq(receive(calls[_i].call, calls[_i].has_deadline ? deadline_in(20) : DEADLINE_NEVER), calls[_i].rc);
}
END_TEST

/* New work that came after the word to stop stays where it is, for the replacement; the answer that came is taken. */
START_TEST(work_is_there)
{
	start();
	raise(SIGTERM);
	ck_assert_int_eq(send(pair[1], "x", 1, 0), 1);
	ck_assert_int_eq(receive(pass_recv, DEADLINE_NEVER), E_EOF);
	ck_assert_int_eq(receive(pass_recv, deadline_in(20)), E_EOF);
	ck_assert_int_eq(receive(pass_recv_answer, deadline_in(20)), 0);
}
END_TEST

/* The signal arrives while the call blocks. */
START_TEST(told_while)
{
	struct itimerspec in = {.it_value.tv_nsec = 50000000};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGTERM};
	timer_t timer;
	start();
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	ck_assert_int_eq(timer_settime(timer, 0, &in, NULL), 0);
	int64_t begin = clock_msec();
	ck_assert_int_eq(receive(calls[_i].call, calls[_i].has_deadline ? deadline_in(2000) : DEADLINE_NEVER), calls[_i].rc);
	ck_assert(program_stopping());
	ck_assert(calls[_i].rc == E_TIMEOUT || clock_msec() - begin < 1000);
}
END_TEST

UNIT_MAIN("stop",
	tcase_add_loop_test(t, told_before, 0, CALLS);
	tcase_add_test(t, work_is_there);
	tcase_add_loop_test(t, told_while, 0, CALLS);)
