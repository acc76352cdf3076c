/* queue: the real program over socket pairs: messages that are held, by an operator or by a stage of the line, and what happens at a hold's deadline. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/unit/unit.h"

/* What happens at a hold's deadline, set by an operator or by a stage of the line; until then it survives a kill as it was. */
static const struct hold_row {
	const char *then;
	char letter;
	bool delivered, bounced;
} hold_rows[] = {{"release", 'r', true, false}, {"bounce", 'b', false, true}, {"delete", 'd', false, false}, {"release", 0, true, false}};

static int send_held(struct harness *h, const struct hold_row *r, const char *to, int64_t until)
{
	struct job job;
	struct err e;
	struct recipient rcpt = {.address = slice_str(to)};
	char text[ANSWER_MAX + 1];
	int code = 0, body = body_of(10);
	job_make(&job, "sender@here.test", (const char *[]){to}, 1, 1, body);
	struct envelope env = {.id = slice_str(job.id), .class = CLASS_SUBMISSION, .wall_usec = clock_wall_usec(), .sender = slice_str("sender@here.test"),
		.user = slice_str("anna"), .hold_reason = slice_str("skim"), .hold_owner = slice_str("anna"), .hold_until_sec = until, .hold_then = r->letter,
		.rcpt = &rcpt, .rcpts = 1};
	ck_assert_int_eq(job_make_head(&job, &env, &(struct slice){"Subject: 1\n\n", 12}, 1, &e), 0);
	int mine = job_offer(h, &job);
	ck_assert_int_eq(answer_wait(&code, text, mine, deadline_in(10000), &e), 0);
	close(mine);
	close(body);
	return code;
}

static bool tried_again(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && strstr(rows, "attempts=2;") && strstr(rows, "state=waiting;hold=;");
}

static void at_the_deadline(struct harness *h, const struct hold_row *r, const char *to)
{
	static char before[sizeof rows];
	ck_assert(until(is_held, h));
	memcpy(before, rows, sizeof rows);
	queue_end(h, SIGKILL);
	queue_start(h);
	ck_assert(is_held(h));
	ck_assert_str_eq(rows, before); /* reason, owner, deadline and what then, octet for octet */
	ck_assert(!saw(h, to) && !saw(h, "sender@here.test"));
	ck_assert(!r->bounced || until(sender_told, h)); /* a bounce is listed when it is durable */
	ck_assert(until(empty, h));
	ck_assert_msg(saw(h, to) == r->delivered && saw(h, "sender@here.test") == r->bounced, "%s", r->then);
	memset(h->shared->recipients, 0, sizeof h->shared->recipients);
}

START_TEST(hold_deadline)
{
	const struct hold_row *r = &hold_rows[_i];
	struct harness h;
	char text[ANSWER_MAX + 1], verb[200];
	harness_open(&h, NULL);
	ck_assert_int_eq(send_held(&h, r, "u@here.test", clock_wall_usec() / 1000000 + 2), 250);
	ck_assert(is_held(&h) && strstr(rows, "hold=skim;hold_owner=anna;hold_until=1"));
	at_the_deadline(&h, r, "u@here.test");
	/* by an operator, on a message that waits */
	ck_assert_int_eq(send_one(&h, "sender@here.test", (const char *[]){"slow@here.test"}, 1, 2, text), 250);
	ck_assert(until(attempt_over, &h));
	static const char *const words[] = {"hold", "all", "until=2", "because=let me see"};
	struct slice args[5];
	for (int i = 0; i < 4; i++)
		args[i] = slice_str(words[i]);
	snprintf(verb, sizeof verb, "then=%s", r->then);
	args[4] = slice_str(verb);
	ck_assert_int_eq(command_of(&h, rows, sizeof rows, args, 5), 0);
	ck_assert(is_held(&h) && strstr(rows, "hold=let me see;") && strstr(rows, r->then));
	if (!r->delivered) { /* a slow one that is released just waits again */
		at_the_deadline(&h, r, "slow@here.test");
	} else {
		ck_assert(until(tried_again, &h));
	}
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* Held by a stage of the line on somebody's account: found by the owner, by the sender, and released. */
START_TEST(held_by_owner)
{
	struct harness h;
	struct job job;
	struct err e;
	struct recipient to = {.address = slice_str("slow@here.test")};
	char text[ANSWER_MAX + 1];
	int code = 0, body = body_of(10);
	harness_open(&h, NULL);
	job_make(&job, "a@here.test", (const char *[]){"slow@here.test"}, 1, 1, body);
	struct envelope env = {.id = slice_str(job.id), .class = CLASS_SUBMISSION, .wall_usec = clock_wall_usec(), .sender = slice_str("a@here.test"),
		.user = slice_str("anna"), .hold_reason = slice_str("skim"), .hold_owner = slice_str("Anna"), .rcpt = &to, .rcpts = 1};
	ck_assert_int_eq(job_make_head(&job, &env, &(struct slice){"Subject: 1\n\n", 12}, 1, &e), 0);
	int mine = job_offer(&h, &job);
	ck_assert_int_eq(answer_wait(&code, text, mine, deadline_in(10000), &e), 0);
	ck_assert_int_eq(code, 250);
	close(mine);
	close(body);
	static const char *const found[] = {"owner=anna", "sender=a@here.test", "user=anna", "hold=skim"}, *const not_found[] = {"owner=ann", "owner=", "user=b"};
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(command(&h, rows, sizeof rows, "list", found[i], NULL), 0);
		ck_assert_msg(strstr(rows, "state=held;hold=skim;hold_owner=Anna;") != NULL, "%s: %s", found[i], rows);
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(command(&h, rows, sizeof rows, "list", not_found[i], NULL), 0);
		ck_assert_str_eq(rows, "");
	}
	ck_assert_int_eq(command(&h, rows, sizeof rows, "release", text + 9, NULL), 0);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", "owner=anna", NULL), 0);
	ck_assert_str_eq(rows, "");
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* Holding everything for an hour lets nothing go in an hour that somebody holds for another reason: a hold is changed only where it is meant.  After a kill as well. */
static const struct again_row {
	const char *which;
	bool changed;
} again_rows[] = {{"all", false}, {"sender=sender@here.test", false}, {"state=waiting", false}, {"hold=phished", true}, {"owner=", true}, {"state=held", true}, {NULL, true}};

START_TEST(held_already)
{
	const struct again_row *r = &again_rows[_i];
	struct harness h;
	char held[ANSWER_MAX + 1], text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	ck_assert_int_eq(send_one(&h, "sender@here.test", (const char *[]){"slow@here.test"}, 1, 1, held), 250);
	ck_assert(until(attempt_over, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", held + 9, "because=phished"), 0);
	ck_assert_int_eq(send_one(&h, "sender@here.test", (const char *[]){"slow@here.test"}, 1, 2, text), 250);
	ck_assert(until(idle, &h));
	const struct slice args[] = {slice_str("hold"), slice_str(r->which ? r->which : held + 9), slice_str("because=moving"), slice_str("until=1h"), slice_str("dry-run")};
	for (size_t dry = 0; dry < 2; dry++) {
		ck_assert_int_eq(command_of(&h, rows, sizeof rows, args, 5 - dry), 0);
		ck_assert_msg(number_of("passed") == (r->changed || _i == 2 ? 0 : 1) && number_of("done") == 1, "%s: %s", r->which, rows);
	}
	queue_end(&h, SIGKILL);
	queue_start(&h);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", held + 9, NULL), 0);
	ck_assert_msg(strstr(rows, r->changed ? "hold=moving;hold_owner=;hold_until=1" : "hold=phished;hold_owner=;hold_until=0;") != NULL, "%s: %s", r->which, rows);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

static bool read_failed(struct harness *h)
{
	return h->shared->pread_errors > 0;
}

/* No descriptor, or no memory, is left when the time of a message comes: it is tried again within seconds of there being some. */
START_TEST(no_descriptors)
{
	static const int errors[] = {EMFILE, ENFILE, ENOMEM};
	struct harness h;
	harness_open(&h, NULL);
	ck_assert_int_eq(send_held(&h, &hold_rows[0], "u@here.test", clock_wall_usec() / 1000000 + 3), 250);
	h.shared->pread_error = errors[_i];
	ck_assert(until(read_failed, &h));
	ck_assert(!saw(&h, "u@here.test"));
	h.shared->pread_error = 0;
	ck_assert(until(first_delivered, &h));
	ck_assert(until(empty, &h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

UNIT_MAIN("queue-holds", tcase_add_loop_test(t, hold_deadline, 0, 4); tcase_add_test(t, held_by_owner);
	tcase_add_loop_test(t, held_already, 0, sizeof again_rows / sizeof *again_rows); tcase_add_loop_test(t, no_descriptors, 0, 3);)
