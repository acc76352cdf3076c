/* queue: the real program over socket pairs: what an operator finds in it, and does with what he found. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/cmd.h"
#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/unit/unit.h"

START_TEST(hold_and_release)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"slow@here.test"}, 1, 1, text), 250);
	ck_assert(until(has_reason, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text + 9, "because=looks phished"), 0);
	queue_end(&h, SIGKILL);
	queue_start(&h);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", "hold=looks phished", NULL), 0);
	ck_assert_ptr_nonnull(strstr(rows, "state=held;hold=looks phished;"));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "retry", text + 9, NULL), 1);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "release", text + 9, NULL), 0);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", "hold=", NULL), 0);
	ck_assert_str_eq(rows, "");
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", "domain=here.test", NULL), 0);
	ck_assert_ptr_nonnull(strstr(rows, "hold=;"));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", "colour=red", NULL), 100);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "sing", NULL, NULL), 100);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* What each condition finds among three messages: u1 with a far and a slow recipient, the null sender, and one that is held. */
static const struct selector_row {
	const char *condition;
	int found; /* -1: refused */
} selector_rows[] = {
	{"all", 3}, {"sender=sender@here.test", 2}, {"sender=SENDER@HERE.test", 2}, {"sender=@here.test", 2}, {"sender=@ere.test", 0}, {"sender=", 1},
	{"sender=<>", 1}, {"sender=<sender@here.test>", 2}, {"recipient=<far@far.test>", 2}, {"sender=<", 0}, {"sender=>", 0},
	{"recipient=slow@here.test", 2}, {"recipient=@far.test", 2}, {"recipient=ok@here.test", 0}, {"domain=far.test", 2}, {"domain=test", 0},
	{"host=far.test", 2}, {"host=here.test", 0}, {"client=192.0.2.1", 3}, {"client=client.test", 3}, {"client=192.0.2.2", 0}, {"class=outside", 3}, {"class=submission", 0},
	{"class=inside", -1}, {"state=held", 1}, {"state=waiting", 2}, {"state=delivering", 0}, {"state=asleep", -1}, {"hold=", 1}, {"hold=PHISHED", 1}, {"hold=x", 0},
	{"owner=anna", 0}, {"user=", 3}, {"reason=TRY later", 2}, {"reason=no program for", 2}, {"reason=phish", 1}, {"reason=other", 0}, {"reason=", -1},
	{"older=1h", 0}, {"older=0", 3}, {"newer=1h", 3}, {"newer=2d", 3}, {"older=1w", -1}, {"older=-1", -1}, {"newer=", -1}, {"colour=red", -1}, {"id=x", -1},
	{"id=", -1}, {"0000000000000", 0}, {"=", -1}, {"", -1}, {"because=x", -1},
};

static bool three_wait(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", "state=waiting", NULL) == 0 && strstr(rows, "kind=message") && number_of("attempts") == 1 &&
	       command(h, rows, sizeof rows, "status", NULL, NULL) == 0 && number_of("messages") == 3 && number_of("delivering") == 0;
}

START_TEST(selected)
{
	struct harness h;
	char text[3][ANSWER_MAX + 1], both[100];
	harness_open(&h, NULL);
	ck_assert_int_eq(send_one(&h, "sender@here.test", (const char *[]){"slow@here.test", "far@far.test", "ok@here.test"}, 3, 1, text[0]), 250);
	ck_assert_int_eq(send_one(&h, "", (const char *[]){"slow@here.test"}, 1, 2, text[1]), 250);
	ck_assert_int_eq(send_one(&h, "sender@here.test", (const char *[]){"far@far.test"}, 1, 3, text[2]), 250);
	ck_assert(until(three_wait, &h));
	/* a count first, which does nothing */
	ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text[2] + 9, "dry-run"), 0);
	ck_assert_int_eq(number_of("done"), 1);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text[2] + 9, "because=phished"), 0);
	ck_assert_int_eq(number_of("done"), 1);
	for (size_t i = 0; i < sizeof selector_rows / sizeof *selector_rows; i++) {
		const struct selector_row *r = &selector_rows[i];
		int code = command(&h, rows, sizeof rows, "list", r->condition, NULL), n = found(rows);
		ck_assert_msg(code == (r->found < 0 ? 100 : 0) && n == (r->found < 0 ? 0 : r->found), "%s: code %d, %d found", r->condition, code, n);
	}
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", "sender=sender@here.test", "state=waiting"), 0);
	ck_assert_int_eq(found(rows), 1);
	snprintf(both, sizeof both, "id=%.13s,%.13s", text[0] + 9, text[2] + 9);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", both, NULL), 0);
	ck_assert_int_eq(found(rows), 2);
	/* as many as postern takes from a command line */
	static char many[3 + 14 * CMD_ARGS_MAX] = "id=";
	for (int i = 0; i < CMD_ARGS_MAX; i++)
		snprintf(many + strlen(many), sizeof many - strlen(many), "%s%.13s", i ? "," : "", i % 2 ? text[0] + 9 : text[2] + 9);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "retry", many, "dry-run"), 1); /* one is held */
	ck_assert_int_eq(number_of("matched"), CMD_ARGS_MAX);
	/* Verbs need to be told which; an id that is not there is said. */
	static const char *const wrong[][2] = {{"delete", NULL}, {"delete", "dry-run"}, {"hold", "because=x"}, {"hold", "then=delete"}, {"retry", "until=1h"}};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ck_assert_int_eq(command(&h, rows, sizeof rows, wrong[i][0], wrong[i][1], NULL), 100);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "delete", "all", "sender="), 100);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "delete", "0000000000000", NULL), 1);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "release", text[0] + 9, NULL), 1);
	/* top: by sender two and one; by domain */
	ck_assert_int_eq(command(&h, rows, sizeof rows, "top", NULL, NULL), 0);
	ck_assert_ptr_nonnull(strstr(rows, "kind=top;key=sender@here.test;messages=2;recipients=3;"));
	ck_assert_ptr_nonnull(strstr(rows, "kind=top;key=;messages=1;recipients=1;"));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "top", "by=domain", "limit=1"), 0);
	ck_assert_ptr_nonnull(strstr(rows, "key=far.test;messages=2;") ? rows : strstr(rows, "key=here.test;messages=2;"));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "top", "by=colour", NULL), 100);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* What an operator sees and does right after an attempt counts with its outcome, though its record is not durable yet: who is done stays done. */
START_TEST(steered_at_once)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"slow@here.test", "ok@here.test"}, 2, 1 + i, text), 250);
		ck_assert(until(attempt_over, &h));
		ck_assert_ptr_nonnull(strstr(rows, "address=ok@here.test;state=done"));
		ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text + 9, NULL), 0);
		unsigned before = h.shared->deliveries;
		ck_assert_int_eq(command(&h, rows, sizeof rows, "release", text + 9, NULL), 0);
		for (int k = 0; k < 200 && h.shared->deliveries == before; k++)
			usleep(5000);
		usleep(20000);
		ck_assert_uint_eq(h.shared->recipients_seen, (unsigned)i + 1); /* those that were delivered to */
		ck_assert_int_eq(command(&h, rows, sizeof rows, "delete", text + 9, NULL), 0);
		ck_assert(until(empty, &h));
	}
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

static bool is_busy(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", "state=delivering", NULL) == 0 && strstr(rows, "address=u1@here.test;state=delivering;");
}

/* What an operator was told is done while the message was being delivered survives a kill before the delivery has ended. */
static const struct busy_row {
	const char *verb, *because;
	int waits; /* messages there after the start */
	bool told;
} busy_rows[] = {{"delete", NULL, 0, false}, {"hold", "because=let me see", 1, false}, {"bounce", "because=the list is closed", 0, true}};

START_TEST(steered_while_busy)
{
	const struct busy_row *r = &busy_rows[_i];
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	h.shared->stall_from = 1;
	ck_assert_int_eq(send_one(&h, "sender@here.test", (const char *[]){"u1@here.test"}, 1, 1, text), 250);
	ck_assert(until(is_busy, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, r->verb, text + 9, r->because), 0);
	ck_assert_int_eq(number_of("done"), 1);
	queue_end(&h, SIGKILL);
	unsigned before = h.shared->deliveries;
	h.shared->stall_from = 0;
	queue_start(&h);
	ck_assert(!r->told || until(sender_told, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", NULL, NULL), 0);
	ck_assert_int_eq(found(rows), r->waits);
	ck_assert(!r->waits || strstr(rows, "state=held;hold=let me see;"));
	for (int i = 0; i < 400 && h.shared->deliveries < before + 1; i++) /* the one that was under way */
		usleep(5000);
	usleep(50000);
	ck_assert_uint_eq(h.shared->deliveries, before + 1 + r->told);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* Held by mistake while it is being delivered, and released before that has ended: it is tried again, and nobody has to remember it.  Over a kill as well. */
START_TEST(released_while_busy)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	h.shared->stall_from = 1;
	ck_assert_int_eq(send_one(&h, "sender@here.test", (const char *[]){"u1@here.test", "slow@here.test"}, 2, 1, text), 250);
	ck_assert(until(is_busy, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "release", text + 9, NULL), 1); /* it is not held yet */
	ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text + 9, "because=a mistake"), 0);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "release", "hold=a mistake", NULL), 0);
	ck_assert_int_eq(number_of("done"), 1);
	if (_i) {
		queue_end(&h, SIGKILL);
		h.shared->stall_from = 0;
		queue_start(&h);
	}
	h.shared->stall_from = 0;
	ck_assert(until(first_delivered, &h));
	ck_assert(until(idle, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", NULL, NULL), 0);
	ck_assert_msg(found(rows) == 1 && strstr(rows, "state=waiting;hold=;") && !strstr(rows, "address=u1@"), "%s", rows);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

static bool only_bounce_wait(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && found(rows) == 1 && strstr(rows, "class=bounce;");
}

/* An operator bounces what waits: the sender hears what is open, in the operator's words; the far recipient as well as the one held. */
START_TEST(bounced_by_operator)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	ck_assert_int_eq(send_one(&h, "slow-sender@here.test", (const char *[]){"slow@here.test", "ok@here.test"}, 2, 1, text), 250);
	ck_assert(until(has_reason, &h));
	if (_i)
		ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", "all", NULL), 0);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "bounce", "all", "because=that list is closed"), 0);
	ck_assert_int_eq(number_of("done"), 1);
	ck_assert(until(only_bounce_wait, &h));
	ck_assert_ptr_nonnull(strstr(rows, "address=slow-sender@here.test;"));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "delete", "class=bounce", NULL), 0);
	ck_assert(until(empty, &h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

UNIT_MAIN("queue-operator", tcase_add_test(t, hold_and_release); tcase_add_test(t, selected); tcase_add_test(t, steered_at_once);
	tcase_add_loop_test(t, steered_while_busy, 0, 3); tcase_add_loop_test(t, released_while_busy, 0, 2); tcase_add_loop_test(t, bounced_by_operator, 0, 2);)
