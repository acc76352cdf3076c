/* queue/ending, notes: the end of an attempt, and what a group becomes, cannot be written down: no memory, or more waits for the disk than memory may hold.  Nothing is
 * lost, nothing is done twice, somebody is told, the rest of the mail goes on, and the operator is not told that it is done.
 *
 * The real program, with the real log; where it takes its memory is wrapped by the linker (no_memory.h). */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "queue/queue.h"
#include "tests/harness/ending.h"
#include "tests/unit/unit.h"

/* ---- the end of an attempt ---- */

static const struct end {
	const char *to[4];
	enum no_memory place;
	const char *notify;
	unsigned delivered, failed; /* that the sender is told of */
	bool stays;                 /* somebody is still to be tried */
} ends[] = {
	{{"u1@here.test", "far@far.test"}, NO_STATE, "", 0, 0, true},
	{{"u1@here.test", "far@far.test"}, NO_ADD, "", 0, 0, true},
	{{"u1@here.test", "bad@here.test", "far@far.test"}, NO_STATE, "", 0, 1, true},
	{{"u1@here.test", "bad@here.test", "far@far.test"}, NO_ADD, "SF", 1, 1, true},
	{{"u1@here.test", "unknown@here.test"}, NO_ADD, "", 0, 1, false},
	{{"u1@here.test", "u2@here.test"}, NO_ADD, "SF", 2, 0, false},
};
#define ENDS (int)(sizeof ends / sizeof *ends)
enum { RETURNS, KILLED, STOPPED, MEANS }; /* how the want of memory ends */

static const struct end *end;
static const char *id;
static bool two_faults(struct harness *h) { return h->shared->no_endings > 1 && lines_with(" fault ", id) >= 2; }
static bool other_delivered(struct harness *h) { return h->shared->delivered[2] != 0; }

static bool settled(struct harness *h)
{
	return end->stays ? is_waiting(h) : empty(h);
}

static bool no_more_than(struct harness *h, long long most)
{
	for (int i = 0; i < 2000 && status_of(h, "messages") != most; i++)
		usleep(1000);
	return status_of(h, "messages") == most;
}

START_TEST(attempt)
{
	const int how = _i % MEANS;
	struct harness h;
	char text[ANSWER_MAX + 1], other[ANSWER_MAX + 1];
	end = &ends[_i / MEANS];
	begin(&h, text, &(struct opening){.to = end->to, .notify = end->notify, .place = end->place});
	id = text + 9;
	/* the operator sees it, and that it is not over; the other mail goes on; nobody is told of what is not written */
	ck_assert(until(two_faults, &h));
	ck_assert(listed(&h, text + 9));
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"u9@here.test"}, 1, 2, other), 250);
	ck_assert(until(other_delivered, &h));
	ck_assert_uint_eq(h.shared->reports, 0);
	ck_assert_uint_eq(lines_with(" queue-bounced ", ""), 0);
	ck_assert(no_more_than(&h, end->place == NO_STATE ? 1 : 2)); /* the report that was made has no place in the index */
	ck_assert_uint_eq(h.shared->deliveries, 2);
	if (how != RETURNS) {
		usleep(RESULT_MSEC * 1000 * 4);
		queue_end(&h, how == KILLED ? SIGKILL : SIGTERM);
		h.shared->no_ending = 0;
		queue_start(&h);
		if (end->stays)
			ck_assert_int_eq(command(&h, rows, sizeof rows, "retry", "all", NULL), 0);
	}
	h.shared->no_ending = 0;
	ck_assert(until(settled, &h));
	if (end->delivered + end->failed)
		ck_assert(until(reported, &h));
	ck_assert(until(settled, &h));
	if (end->stays)
		try_again(&h);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	queue_start(&h);
	ck_assert(until(settled, &h));
	if (end->stays)
		try_again(&h);
	ck_assert_uint_eq(h.shared->told[0][1], end->delivered);
	ck_assert_uint_eq(h.shared->told[2][1], end->failed);
	ck_assert_uint_eq(h.shared->reports, end->delivered + end->failed > 0);
	ck_assert_uint_eq(h.shared->twice[1] + h.shared->twice[2], 0);
	/* who is done is not tried again, but where a kill or a stop came before even that could be written: then in doubt, so that the agent finds its own copy */
	if (how == RETURNS)
		ck_assert_uint_eq(h.shared->doubtful, 0);
	if (end->place == NO_STATE)
		ck_assert(strcmp(h.shared->recipients[0], "u1@here.test") == 0 && lines_with(" queue-delivered ", "rcpt=u1@here.test") == 1);
	finish(&h);
}
END_TEST

#define WINDOW (DELIVERY_RECIPIENTS_MAX + 1)

static bool window_stalls(struct harness *h) { return h->shared->deliveries == 1 && h->shared->no_endings && stalls(h); }

/* Half a RESULT is none: who was delivered to is in doubt after a kill, and the log can be read. */
START_TEST(half_a_result)
{
	static char address[WINDOW][20];
	const char *to[WINDOW + 1] = {0};
	struct harness h;
	char text[ANSWER_MAX + 1];
	for (int i = 0; i < WINDOW; i++) {
		snprintf(address[i], sizeof address[i], "u%d@here.test", i);
		to[i] = address[i];
	}
	begin(&h, text, &(struct opening){.to = to, .notify = "SF", .stall_from = 2, .place = NO_RESULT});
	ck_assert(until(window_stalls, &h));
	usleep(RESULT_MSEC * 1000 * 4);
	queue_end(&h, SIGKILL);
	h.shared->stall_from = 0;
	h.shared->no_ending = 0;
	queue_start(&h);
	ck_assert(until(reported, &h));
	ck_assert(until(empty, &h));
	ck_assert_uint_eq(lines_with("grammar", ""), 0);
	ck_assert_uint_eq(h.shared->told[0][1], WINDOW);
	ck_assert_uint_eq(h.shared->deliveries, 5); /* two, both again in doubt, and the report */
	ck_assert_uint_eq(h.shared->doubtful, 2);
	finish(&h);
}
END_TEST

/* ---- a group ---- */

static bool refused_once(struct harness *h) { return h->shared->no_endings > 0; }
static bool members_tried(struct harness *h) { return h->shared->deliveries > 0 && is_waiting(h); }

/* What it becomes cannot be noted, or not all of it is known: nobody of it is tried, and all are later, once. */
START_TEST(group)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	begin(&h, text, &(struct opening){.to = TO("group@here.test", "far@far.test"), .place = _i ? NO_ADD : NO_MEMBER});
	ck_assert(until(refused_once, &h));
	usleep(300000);
	ck_assert_uint_eq(h.shared->deliveries, 0);
	h.shared->no_ending = 0;
	ck_assert(until(is_waiting, &h));
	ck_assert_uint_eq(h.shared->deliveries, 0);
	ck_assert(listed(&h, "address=group@here.test;state=waiting;"));
	ck_assert(!listed(&h, "member"));
	if (_i) {
		queue_end(&h, SIGKILL);
		queue_start(&h);
	}
	ck_assert_int_eq(command(&h, rows, sizeof rows, "retry", "all", NULL), 0);
	ck_assert(until(members_tried, &h));
	ck_assert(until(reported, &h)); /* of bad-member */
	ck_assert(listed(&h, "address=far-member@far.test;state=waiting;"));
	ck_assert_uint_eq(h.shared->deliveries, 2);
	ck_assert_uint_eq(h.shared->twice[1], 0);
	ck_assert_uint_eq(h.shared->told[2][1], 1);
	finish(&h);
}
END_TEST

UNIT_MAIN("queue-ending", tcase_add_loop_test(t, attempt, 0, ENDS * MEANS); tcase_add_test(t, half_a_result); tcase_add_loop_test(t, group, 0, 2);)
