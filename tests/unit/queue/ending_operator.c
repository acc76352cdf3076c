/* queue/ending, notes: what an operator says, or a hold's deadline, cannot be written down: no memory, or more waits for the disk than memory may hold.  The operator is
 * not told that it is done; what he began is kept, or nothing of it (no_memory.h). */
#include <signal.h>
#include <string.h>

#include "tests/harness/ending.h"
#include "tests/unit/unit.h"

static const struct order {
	const char *verb, *arg;
	bool held;     /* before */
	enum no_memory place;
	const char *before, *after; /* in the list */
} orders[] = {
	{"hold", "because=looks odd", false, NO_STATE, "state=waiting;hold=;", "state=held;hold=looks odd;"},
	{"hold", "because=looks odd", false, NO_ADD, "state=waiting;hold=;", "state=held;hold=looks odd;"},
	{"release", NULL, true, NO_STATE, "state=held;hold=before;", "state=waiting;hold=;"},
	{"release", NULL, true, NO_ADD, "state=held;hold=before;", "state=waiting;hold=;"},
	{"delete", NULL, false, NO_ADD, "state=waiting;hold=;", NULL},
	{"delete", NULL, true, NO_ADD, "state=held;hold=before;", NULL},
};
#define ORDERS (int)(sizeof orders / sizeof *orders)

static const char *row;
static bool shown(struct harness *h) { return row ? listed(h, row) : empty(h); }

START_TEST(operator)
{
	const struct order *o = &orders[_i / 2];
	struct harness h;
	char text[ANSWER_MAX + 1];
	begin(&h, text, &(struct opening){.to = TO("far@far.test")});
	ck_assert(until(is_waiting, &h));
	if (o->held)
		ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text + 9, "because=before"), 0);
	h.shared->no_ending = o->place;
	ck_assert_int_eq(command(&h, rows, sizeof rows, o->verb, text + 9, o->arg), 1);
	ck_assert_msg(strstr(rows, "matched=1;done=0;") != NULL, "%s", rows);
	ck_assert_uint_ge(lines_with(" fault ", text + 9), 1);
	row = o->before;
	ck_assert(shown(&h));
	h.shared->no_ending = 0;
	if (_i % 2) {
		queue_end(&h, SIGKILL);
		queue_start(&h);
	}
	row = o->before;
	ck_assert(until(shown, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, o->verb, text + 9, o->arg), 0);
	queue_end(&h, SIGKILL);
	queue_start(&h);
	row = o->after;
	ck_assert(until(shown, &h));
	finish(&h);
}
END_TEST

/* Held or bounced while it is being delivered: not noted, so not done, and it is delivered. */
START_TEST(operator_while_delivered)
{
	const char *verb = _i % 2 ? "bounce" : "hold";
	struct harness h;
	char text[ANSWER_MAX + 1];
	begin(&h, text, &(struct opening){.to = TO("u1@here.test", "slow@here.test"), .stall_from = 1});
	ck_assert(until(stalls, &h));
	h.shared->no_ending = _i / 2 ? NO_ADD : NO_STATE;
	ck_assert_int_eq(command(&h, rows, sizeof rows, verb, text + 9, "because=looks odd"), 1);
	h.shared->no_ending = 0;
	h.shared->stall_from = 0;
	ck_assert(until(is_waiting, &h));
	ck_assert(h.shared->recipients_seen == 1 && strcmp(h.shared->recipients[0], "u1@here.test") == 0);
	ck_assert_uint_eq(h.shared->reports, 0);
	finish(&h);
}
END_TEST

/* Bounced: what was begun is kept, and the operator hears that it is not on disk; a kill leaves it as it was. */
START_TEST(bounced)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	begin(&h, text, &(struct opening){.to = TO("slow@here.test")});
	ck_assert(until(is_waiting, &h));
	h.shared->no_ending = NO_ADD;
	ck_assert_int_eq(command(&h, rows, sizeof rows, "bounce", text + 9, "because=no longer wanted"), 1);
	ck_assert_msg(strstr(rows, "matched=1;done=1;") != NULL, "%s", rows);
	ck_assert(until(two_tries, &h));
	ck_assert_uint_eq(h.shared->deliveries, 1);
	h.shared->no_ending = 0;
	if (_i) {
		queue_end(&h, SIGKILL);
		queue_start(&h);
		ck_assert(until(is_waiting, &h));
		ck_assert_int_eq(command(&h, rows, sizeof rows, "bounce", text + 9, "because=no longer wanted"), 0);
	}
	ck_assert(until(reported, &h));
	ck_assert(until(empty, &h));
	ck_assert_uint_eq(h.shared->told[2][1], 1);
	ck_assert_uint_eq(h.shared->reports, 1);
	ck_assert_uint_eq(lines_with(" queue-bounced ", text + 9), 1);
	finish(&h);
}
END_TEST

static bool hold_was_over(struct harness *h) { return lines_with(" queue-hold-over ", "") >= 2 && h->shared->no_endings; }

/* A hold's deadline that deletes: it is over again until it can be. */
START_TEST(deadline)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	const struct slice args[] = {slice_str("hold"), slice_str("all"), slice_str("until=1s"), slice_str("then=delete")};
	begin(&h, text, &(struct opening){.to = TO("far@far.test")});
	ck_assert(until(is_waiting, &h));
	ck_assert_int_eq(command_of(&h, rows, sizeof rows, args, 4), 0);
	h.shared->no_ending = NO_ADD;
	ck_assert(until(hold_was_over, &h));
	ck_assert(listed(&h, "state=held;"));
	h.shared->no_ending = 0;
	ck_assert(until(empty, &h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	queue_start(&h);
	ck_assert(empty(&h));
	finish(&h);
}
END_TEST

UNIT_MAIN("queue-ending-operator", tcase_add_loop_test(t, operator, 0, ORDERS * 2); tcase_add_loop_test(t, operator_while_delivered, 0, 4);
	tcase_add_loop_test(t, bounced, 0, 2); tcase_add_test(t, deadline);)
