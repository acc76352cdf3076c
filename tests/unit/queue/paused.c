/* queue: the real program over socket pairs while deliveries to mailboxes, to other hosts or all are paused (control/holdlocal, control/holdremote), and when the pause is
 * over. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/harness/process.h"
#include "tests/unit/unit.h"

#define PAUSED_LOCAL "deliveries to mailboxes are paused (control/holdlocal)"
#define PAUSED_REMOTE "deliveries to other hosts are paused (control/holdremote)"
#define PAUSED_ALL "all deliveries are paused (control/holdlocal, control/holdremote)"

/* One side is paused: its mail is parked without an attempt, the other's is not touched, also over a kill and a stop; then it goes, once. */
static const struct paused_row {
	const char *file, *to, *other, *reason, *other_reason;
} paused_rows[] = {
	{"holdlocal", "u@here.test", "far@far.test", PAUSED_LOCAL, "no program for delivery by SMTP"},
	{"holdremote", "far@far.test", "slow@here.test", PAUSED_REMOTE, "try later"},
};

START_TEST(one_side_paused)
{
	const struct paused_row *r = &paused_rows[_i];
	const char *const settings[][2] = {{r->file, "1\n"}, {NULL, NULL}};
	struct harness h;
	char text[2][ANSWER_MAX + 1], find[200];
	harness_open(&h, settings);
	ck_assert_int_eq(send_one(&h, "a@far.test", &r->to, 1, 1, text[0]), 250);
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){r->to, r->other}, 2, 2, text[1]), 250);
	for (int i = 0; i < 3; i++) {
		ck_assert(until(idle, &h));
		ck_assert_int_eq(command(&h, rows, sizeof rows, "show", text[0] + 9, NULL), 0);
		ck_assert_msg(number_of("attempts") == 0 && number_of("next") == 0 && strstr(rows, "state=waiting;") && strstr(rows, r->reason), "%s", rows);
		ck_assert_int_eq(command(&h, rows, sizeof rows, "status", NULL, NULL), 1);
		snprintf(find, sizeof find, "kind=problem;text=%s: 2 messages wait", r->reason);
		ck_assert_msg(strstr(rows, find) != NULL, "%s", rows);
		for (int n = 0; n < 400 && (command(&h, rows, sizeof rows, "show", text[1] + 9, NULL) != 0 || !strstr(rows, r->other_reason)); n++)
			usleep(5000);
		ck_assert_msg(strstr(rows, r->reason) && strstr(rows, r->other_reason) && number_of("attempts") > 0 && number_of("next") > 0, "%s", rows);
		unsigned asked = h.shared->questions;
		restart(&h, i ? SIGTERM : SIGKILL);
		usleep(100000);
		ck_assert_uint_eq(h.shared->questions, asked); /* what is parked asks nobody */
	}
	harness_reload(&h, r->file, "0\n");
	if (!_i) {
		ck_assert(until(first_delivered, &h));
		for (int i = 0; i < 400 && !h.shared->delivered[2]; i++) /* at once, though the far recipient waits by the curve */
			usleep(5000);
		ck_assert_int_eq(h.shared->delivered[2], 1);
	}
	ck_assert(until(has_reason, &h));
	ck_assert(until(idle, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", "reason=paused", NULL), 0);
	ck_assert_str_eq(rows, "");
	ck_assert_int_eq(command(&h, rows, sizeof rows, "status", NULL, NULL), 0);
	ck_assert(h.shared->twice[1] == 0 && h.shared->twice[2] == 0);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* MARKS from FROM on, each from a sender of its own, many at a time. */
static void fill_marks(struct harness *h, unsigned from, unsigned count)
{
	static int mine[200];
	int body = body_of(4000);
	for (unsigned at = 0; at < count; at += 200) {
		char sender[40], text[ANSWER_MAX + 1];
		struct err e;
		int code;
		unsigned n = count - at < 200 ? count - at : 200;
		for (unsigned i = 0; i < n; i++) {
			struct job job;
			snprintf(sender, sizeof sender, "s%u@far.test", from + at + i);
			job_make(&job, sender, (const char *[]){"u@here.test"}, 1, from + at + i, body);
			mine[i] = job_offer(h, &job);
		}
		for (unsigned i = 0; i < n; i++) {
			ck_assert_int_eq(answer_wait(&code, text, mine[i], deadline_in(20000), &e), 0);
			ck_assert_int_eq(code, 250);
			close(mine[i]);
		}
	}
	close(body);
}

static unsigned count_delivered(struct harness *h, unsigned from, unsigned to)
{
	unsigned n = 0;
	for (unsigned i = from; i < to; i++) {
		n += h->shared->delivered[i] != 0;
		ck_assert_int_eq(h->shared->twice[i], 0);
	}
	return n;
}

/* Both are paused: no attempt, no question, no memory beside the index; over a kill nothing is begun; then all go, the oldest first, each once. */
START_TEST(all_paused)
{
	static const char *const settings[][2] = {{"holdlocal", "1\n"}, {"holdremote", "1\n"}, {NULL, NULL}};
	enum { COUNT = 20000 };
	struct harness h;
	char text[ANSWER_MAX + 1], path[60];
	harness_quiet = true;
	harness_open(&h, settings);
	fill_marks(&h, 1, 1000); /* buffers have their size */
	long long before = resident_octets(h.queue);
	fill_marks(&h, 1001, COUNT - 1000);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "status", NULL, NULL), 1);
	ck_assert_ptr_nonnull(strstr(rows, "kind=problem;text=" PAUSED_ALL ": 20000 messages wait"));
	ck_assert(number_of("messages") == COUNT && number_of("delivering") == 0 && number_of("fresh") == COUNT && number_of("deferred") == 0);
	long long grown = resident_octets(h.queue) - before;
	printf("%d messages taken in: %lld octets of memory each\n", COUNT - 1000, grown / (COUNT - 1000));
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
	ck_assert_int_lt(grown, number_of("index_octets") + (1 << 20));
#endif
	snprintf(path, sizeof path, "/proc/%d/fd/60", (int)h.queue);
	ck_assert_int_lt(access(path, F_OK), 0);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", "sender=s77@far.test", NULL), 0);
	ck_assert_msg(strstr(rows, "attempts=0;next=0;state=waiting;") && strstr(rows, "reason=" PAUSED_ALL), "%s", rows);
	restart(&h, SIGKILL);
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"u@here.test"}, 1, COUNT + 1, text), 250);
	harness_reload(&h, "bouncerate", "7\n"); /* a reload that ends no pause */
	usleep(200000);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "retry", "sender=s5@far.test", NULL), 0);
	double cpu = cpu_sec(h.queue);
	usleep(500000);
	ck_assert(cpu_sec(h.queue) - cpu < 0.1); /* what is due wakes nobody */
	ck_assert(h.shared->questions == 0 && h.shared->deliveries == 0);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "retry", "sender=s1@far.test", NULL), 0);
	harness_reload(&h, "holdremote", "0\n");
	harness_reload(&h, "holdlocal", "0\n");
	for (int i = 0; i < 6000 && !all_gone(&h); i++)
		usleep(10000);
	ck_assert_uint_eq(count_delivered(&h, 1, COUNT + 2), COUNT + 1);
	printf("of %d deliveries %u out of the order of age\n", COUNT + 1, h.shared->disorder);
	ck_assert_uint_le(h.shared->disorder, COUNT / 100);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* A pause that comes, and goes, while deliveries are under way and others wait for their turn, one side or both: what the agents have ends, the rest waits without a place. */
START_TEST(paused_while_busy)
{
	enum { COUNT = 1200 };
	struct harness h;
	harness_quiet = true;
	harness_open(&h, NULL);
	h.shared->usec_each = 2000;
	fill_marks(&h, 1, COUNT);
	for (int round = 0; round < 3; round++) {
		if (_i)
			harness_reload(&h, "holdremote", "1\n");
		harness_reload(&h, "holdlocal", "1\n");
		ck_assert(until(idle, &h));
		unsigned deliveries = h.shared->deliveries, delivered = count_delivered(&h, 1, COUNT + 1);
		ck_assert_uint_lt(delivered, COUNT);
		ck_assert_int_eq((int)number_of("messages"), (int)(COUNT - delivered));
		usleep(100000);
		ck_assert_uint_eq(h.shared->deliveries, deliveries);
		ck_assert_int_eq(command(&h, rows, sizeof rows, "list", "reason=paused", NULL), 0);
		ck_assert_int_eq(found(rows), (int)(COUNT - delivered));
		if (round == 1)
			restart(&h, SIGKILL);
		harness_reload(&h, "holdremote", "0\n");
		harness_reload(&h, "holdlocal", "0\n");
		usleep(50000);
	}
	h.shared->usec_each = 0;
	ck_assert(until(all_gone, &h));
	ck_assert_uint_eq(count_delivered(&h, 1, COUNT + 1), COUNT);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* What an operator says of a message that is parked, or (in odd rounds) that waits while all is paused: it holds over a kill, and is what happens when the pause is over. */
static const struct steered_row {
	const char *verb, *arg;
	bool there, delivered, bounced;
} paused_steps[] = {{"hold", NULL, true, false, false}, {"delete", NULL, false, false, false}, {"bounce", "because=no", true, false, true}, {"retry", NULL, true, true, false}};

START_TEST(steered_while_paused)
{
	static const char *const settings[][2] = {{"holdlocal", "1\n"}, {NULL, NULL}};
	const struct steered_row *r = &paused_steps[_i / 2];
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, settings);
	if (_i % 2)
		harness_reload(&h, "holdremote", "1\n");
	ck_assert_int_eq(send_one(&h, "sender@here.test", (const char *[]){"u@here.test"}, 1, 1, text), 250);
	ck_assert(until(idle, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, r->verb, text + 9, r->arg), 0);
	ck_assert(until(idle, &h));
	restart(&h, SIGKILL);
	ck_assert(until(idle, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", NULL, NULL), 0);
	ck_assert_msg(found(rows) == r->there, "%s", rows);
	ck_assert_uint_eq(h.shared->deliveries, 0);
	harness_reload(&h, "holdremote", "0\n");
	harness_reload(&h, "holdlocal", "0\n");
	if (strcmp(r->verb, "hold") == 0) {
		usleep(200000);
		ck_assert(is_held(&h) && !saw(&h, "u@here.test"));
		harness_reload(&h, "holdlocal", "1\n");
		ck_assert_int_eq(command(&h, rows, sizeof rows, "release", text + 9, NULL), 0);
		usleep(200000);
		ck_assert(!saw(&h, "u@here.test"));
		harness_reload(&h, "holdlocal", "0\n");
	}
	ck_assert(until(all_gone, &h));
	ck_assert_msg(saw(&h, "u@here.test") == (r->delivered || strcmp(r->verb, "hold") == 0) && saw(&h, "sender@here.test") == r->bounced, "%s", r->verb);
	ck_assert_int_eq(h.shared->twice[1], 0);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* What waits for the directory is not probed while nothing may begin, and wakes nobody: past the moment of the first probe it is as it was. */
START_TEST(unrouted_while_paused)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"later@here.test"}, 1, 1, text), 250);
	ck_assert(until(has_reason, &h));
	harness_reload(&h, "holdremote", "1\n");
	harness_reload(&h, "holdlocal", "1\n");
	unsigned asked = h.shared->questions;
	double cpu = cpu_sec(h.queue);
	sleep(17);
	ck_assert(cpu_sec(h.queue) - cpu < 0.5);
	ck_assert_uint_eq(h.shared->questions, asked);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "status", NULL, NULL), 1);
	ck_assert_ptr_nonnull(strstr(rows, "1 messages wait because the directory gives no answer"));
	harness_reload(&h, "holdlocal", "0\n");
	for (int i = 0; i < 400 && h.shared->questions == asked; i++)
		usleep(5000);
	ck_assert_uint_gt(h.shared->questions, asked);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

UNIT_MAIN("queue-paused", tcase_add_loop_test(t, one_side_paused, 0, 2); tcase_add_test(t, all_paused); tcase_add_loop_test(t, paused_while_busy, 0, 2);
	tcase_add_loop_test(t, steered_while_paused, 0, 8); tcase_add_test(t, unrouted_while_paused);)
