/* queue/ending, recover: what the queue has to write down of a message when it stops, or when it starts, cannot be; and what has happened to one before a stop is kept over
 * it (no_memory.h). */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "queue/queue.h"
#include "tests/harness/ending.h"
#include "tests/harness/mishap.h"
#include "tests/unit/unit.h"

/* The state of what is under way cannot be written: the log is not said to be clean, so the next start has it in doubt. */
START_TEST(stopped_under_way)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	begin(&h, text, &(struct opening){.to = TO("u1@here.test"), .stall_from = 1});
	ck_assert(until(stalls, &h));
	h.shared->no_ending = _i ? NO_ADD : NO_STATE;
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0); /* it waits 10 s for the agent */
	h.shared->stall_from = 0;
	h.shared->no_ending = 0;
	queue_start(&h);
	ck_assert(until(empty, &h));
	ck_assert_uint_eq(h.shared->deliveries, 2);
	ck_assert_uint_eq(h.shared->doubtful, 1);
	ck_assert_uint_eq(h.shared->twice[1], 0);
	finish(&h);
}
END_TEST

/* One has failed and another is under way when the queue stops, or is killed after the state of both was written: the sender is told of the failure. */
START_TEST(failed_before_stop)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	begin(&h, text, &(struct opening){.to = TO("unknown@here.test", "u1@here.test"), .stall_from = 1});
	ck_assert(until(stalls, &h));
	if (_i)
		ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text + 9, NULL), 0);
	queue_end(&h, _i ? SIGKILL : SIGTERM);
	h.shared->stall_from = 0;
	queue_start(&h);
	if (_i)
		ck_assert_int_eq(command(&h, rows, sizeof rows, "release", text + 9, NULL), 0);
	ck_assert(until(reported, &h));
	ck_assert(until(empty, &h));
	ck_assert_uint_eq(h.shared->told[2][1], 1);
	ck_assert_uint_eq(h.shared->twice[1], 0);
	finish(&h);
}
END_TEST

/* What an operator gave up while it was being delivered is not delivered after a stop. */
START_TEST(given_up_before_stop)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	begin(&h, text, &(struct opening){.to = TO("u1@here.test"), .stall_from = 1});
	ck_assert(until(stalls, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "bounce", text + 9, NULL), 0);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	h.shared->stall_from = 0;
	queue_start(&h);
	ck_assert(until(reported, &h));
	ck_assert(until(empty, &h));
	ck_assert_uint_eq(h.shared->deliveries, 2); /* the one before the stop, and the report */
	ck_assert_uint_eq(h.shared->told[2][1], 1);
	finish(&h);
}
END_TEST

static bool second_stalls(struct harness *h) { return h->shared->deliveries == 1 && stalls(h) && lines_with(" queue-delivered ", "u1@here.test") == 1; }

/* What was noted after the last STATE cannot be made one: nothing starts, as who has had the message would be known no more. */
START_TEST(started)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	/* each has a sender of his own, and so a delivery */
	begin(&h, text, &(struct opening){.sender = "list-@here.test-@[]", .to = TO("u1@here.test", "u2@here.test"), .stall_from = 2});
	ck_assert(until(second_stalls, &h));
	usleep(RESULT_MSEC * 1000 * 4);
	queue_end(&h, SIGKILL);
	h.shared->stall_from = 0;
	h.shared->no_ending = _i ? NO_ADD : NO_STATE;
	harness_mishap.what = FAIL_ONCE; /* it may fail to start */
	harness_mishap.at = -1;
	queue_start(&h);
	int status = 0;
	ck_assert_int_eq(waitpid(h.queue, &status, 0), h.queue);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 111);
	ck_assert_uint_ge(lines_with("what is known of message", text + 9), 1);
	close(h.lifeline);
	harness_mishap.what = MISHAP_NONE;
	h.shared->no_ending = 0;
	queue_start(&h);
	ck_assert(until(empty, &h));
	ck_assert_uint_eq(h.shared->deliveries, 3); /* u1; u2 before the kill; u2 in doubt */
	ck_assert_uint_eq(h.shared->doubtful, 1);
	ck_assert_uint_eq(h.shared->twice[1], 0);
	finish(&h);
}
END_TEST

UNIT_MAIN("queue-ending-stop", tcase_add_loop_test(t, stopped_under_way, 0, 2); tcase_add_loop_test(t, failed_before_stop, 0, 2); tcase_add_test(t, given_up_before_stop);
	tcase_add_loop_test(t, started, 0, 2);)
