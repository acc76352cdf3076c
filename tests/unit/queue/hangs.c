/* queue/routing, delivering: route, or an agent, has the question and does not answer (SIGSTOP).  The message waits as long as is written, not less and not for ever, says
 * why, and is tried again: at the agent with a look for what the first try may have done.
 *
 * The real program, whose clock is put forward (wrapped by the linker, Makefile). */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/unit/unit.h"

#define LATE_MSEC 30000 /* more than the test takes from the question to the jump */

static volatile int64_t *ahead_msec; /* of the queue's clock, shared with it */

int64_t __real_clock_msec(void);
int64_t __wrap_clock_msec(void);
int64_t __wrap_clock_msec(void)
{
	return __real_clock_msec() + (ahead_msec ? *ahead_msec : 0);
}

static const struct hang_row {
	bool route;
	int64_t msec;
	const char *reason;
	unsigned deliveries; /* in the end */
} hangs[] = {
	{true, 2 * ROUTE_SECONDS * 1000, "reason=route did not answer in time", 1},
	{false, 900 * 1000, "reason=the agent did not answer in time", 2},
};

static const char *reason;
static bool listed(struct harness *h, const char *with) { return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && strstr(rows, with); }
static bool gave_up(struct harness *h) { return listed(h, reason) && strstr(rows, "attempts=1;"); }
static bool asked(struct harness *h) { return h->shared->questions && listed(h, "state=delivering"); }

/* Each command is a round of the queue's loop, and each round with such a jump a look at what is overdue. */
static void look_again(struct harness *h)
{
	for (int i = 0; i < 20; i++) {
		ck_assert(listed(h, "state=delivering"));
		ck_assert_ptr_null(strstr(rows, "in time"));
		usleep(5000);
	}
}

START_TEST(no_answer)
{
	const struct hang_row *row = &hangs[_i];
	struct harness h;
	char text[ANSWER_MAX + 1];
	ahead_msec = mmap(NULL, sizeof *ahead_msec, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(ahead_msec != MAP_FAILED);
	harness_open(&h, NULL);
	const pid_t hanging = row->route ? h.route_pid : h.local_pid;
	reason = row->reason;
	kill(hanging, SIGSTOP);
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"u@here.test"}, 1, 1, text), 250);
	ck_assert(row->route || until(asked, &h)); /* and the agent has it, or gets it in the rounds that follow */
	look_again(&h);
	*ahead_msec = row->msec - LATE_MSEC;
	look_again(&h);
	*ahead_msec = row->msec + 1000;
	ck_assert(until(gave_up, &h));
	kill(hanging, SIGCONT);
	ck_assert(until(empty, &h));
	ck_assert_uint_eq(h.shared->delivered[1], 1);
	ck_assert_uint_eq(h.shared->deliveries, row->deliveries);
	ck_assert_uint_eq(h.shared->doubtful, 1); /* of whatever came of it */
	ck_assert_uint_eq(h.shared->twice[1], 0);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

UNIT_MAIN("queue-hangs", tcase_add_loop_test(t, no_answer, 0, sizeof hangs / sizeof *hangs);)
