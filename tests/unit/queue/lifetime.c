/* queue: the real program over socket pairs: a message that is older than queuelifetime, and one that has become so while all is paused. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/unit/unit.h"

/* What is left to such a message from the start, or the end of a pause, on: a sixteenth of it. */
#define LIFETIME "60\n"
#define GRACE_USEC (60 * 1000000 / 16)

/* Older than queuelifetime: one attempt more, then a bounce that says why. */
START_TEST(too_old)
{
	static const char *const settings[][2] = {{"queuelifetime", LIFETIME}, {NULL, NULL}};
	struct harness h;
	struct job job;
	struct err e;
	char text[ANSWER_MAX + 1];
	int code = 0, body = body_of(100);
	harness_open(&h, settings);
	usleep(GRACE_USEC);
	harness_age_sec = 700000;
	job_make(&job, "sender@here.test", (const char *[]){"far@far.test", "u@here.test"}, 2, 1, body);
	harness_age_sec = 0;
	int mine = job_offer(&h, &job);
	ck_assert_int_eq(answer_wait(&code, text, mine, deadline_in(10000), &e), 0);
	ck_assert(until(sender_told, &h));
	ck_assert(until(empty, &h));
	ck_assert(saw(&h, "u@here.test"));
	close(mine);
	close(body);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* One attempt more has not brought it through, and it waits on. */
static bool one_attempt_waits(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && strstr(rows, "waiting=1;") && strstr(rows, "attempts=1;");
}

/* Older than queuelifetime while it waits: nobody is told, of a delay neither.  After the pause, which a reload or a start ends, there is an attempt that is not the last;
 * what one after a sixteenth of queuelifetime does not bring through is bounced. */
START_TEST(too_old_while_paused)
{
	static const char *const settings[][2] = {{"holdlocal", "1\n"}, {"queuelifetime", LIFETIME}, {NULL, NULL}};
	const bool all = _i & 1, by_start = _i & 2;
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, settings);
	if (all)
		harness_reload(&h, "holdremote", "1\n");
	harness_age_sec = 700000;
	ck_assert_int_eq(send_one(&h, "sender@here.test", (const char *[]){"u@here.test", "slow@here.test"}, 2, 1, text), 250);
	harness_age_sec = 0;
	ck_assert(until(idle, &h));
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(command(&h, rows, sizeof rows, "list", NULL, NULL), 0);
		ck_assert_msg(found(rows) == 1 && strstr(rows, "waiting=2;") && strstr(rows, "attempts=0;"), "%s", rows);
		ck_assert_int_eq(command(&h, rows, sizeof rows, "retry", text + 9, NULL), 0);
		ck_assert(until(idle, &h));
		if (!i)
			restart(&h, SIGKILL);
	}
	ck_assert_uint_eq(h.shared->deliveries, 0);
	usleep(GRACE_USEC); /* since the start: what counts is the end of the pause */
	if (by_start)
		queue_end(&h, SIGTERM);
	harness_reload(&h, "holdremote", "0\n");
	harness_reload(&h, "holdlocal", "0\n");
	if (by_start)
		queue_start(&h);
	ck_assert(until(one_attempt_waits, &h));
	ck_assert(saw(&h, "u@here.test") && !sender_told(&h));
	usleep(GRACE_USEC);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "retry", text + 9, NULL), 0);
	ck_assert(until(sender_told, &h));
	ck_assert(until(all_gone, &h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

UNIT_MAIN("queue-lifetime", tcase_add_test(t, too_old); tcase_add_loop_test(t, too_old_while_paused, 0, 4);)
