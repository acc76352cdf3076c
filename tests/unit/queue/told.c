/* queue: the real program over socket pairs: a sender who asked for it is told of each success and of the delay once, whatever stops or fails between. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queue/queue.h"
#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/harness/mishap.h"
#include "tests/harness/process.h"
#include "tests/unit/unit.h"

/* A message to MANY who are delivered in two windows, and one who waits; its sender asked to be told of each success and of the delay.  Whatever is cut off between, he
 * is told of each once. */
#define MANY 190

static int offer_many(struct harness *h, long long mark, int body)
{
	static char name[MANY][24];
	static const char *to[MANY + 1];
	struct job job;
	for (int i = 0; i < MANY; i++) {
		snprintf(name[i], sizeof name[i], "u%d@here.test", i);
		to[i] = name[i];
	}
	to[MANY] = "slow@here.test";
	harness_notify = "SD";
	harness_age_sec = 120;
	job_make(&job, "sender@here.test", to, MANY + 1, mark, body);
	harness_age_sec = 0;
	harness_notify = "";
	return job_offer(h, &job);
}

static long long told_mark;

static bool all_told(struct harness *h)
{
	return h->shared->told[0][told_mark] >= MANY && h->shared->told[1][told_mark] >= 1;
}

static bool one_waits(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && found(rows) == 1 && strstr(rows, "state=waiting;") && !strstr(rows, "address=u");
}

/* Until the second window (90 recipients) is under way and the first one's results are durable. */
static void wait_half_way(struct harness *h, unsigned before)
{
	for (int i = 0; i < 2000 && h->shared->deliveries == before && !is_dead(h); i++)
		usleep(1000);
	usleep(RESULT_MSEC * 1000 + 20000);
}

static void told_once(struct harness *h, const char *what)
{
	bool waits = until(all_told, h) && until(one_waits, h);
	usleep(20000);
	if (!waits || h->shared->told[0][told_mark] != MANY || h->shared->told[1][told_mark] != 1)
		ck_abort_msg("%s: told of %u of %d deliveries and of %u delays\n%s", what, h->shared->told[0][told_mark], MANY, h->shared->told[1][told_mark], rows);
	ck_assert_int_eq(command(h, rows, sizeof rows, "delete", "all", NULL), 0);
}

static const char *const tell_settings[][2] = {{"queuesegment", "1048576\n"}, {"delaynotice", "60\n"}, {NULL, NULL}};

START_TEST(told_after_stop)
{
	static const int signals[] = {SIGKILL, SIGTERM};
	struct harness h;
	int body = body_of(3000);
	harness_quiet = true;
	harness_open(&h, tell_settings);
	h.shared->stall_from = 2;
	told_mark = 1;
	int mine = offer_many(&h, 1, body);
	wait_half_way(&h, 0);
	ck_assert_uint_eq(h.shared->deliveries, 1);
	queue_end(&h, signals[_i]);
	h.shared->stall_from = 0;
	queue_start(&h);
	told_once(&h, _i ? "SIGTERM" : "SIGKILL");
	/* and an orderly stop and a kill later still once */
	queue_end(&h, SIGTERM);
	queue_start(&h);
	queue_end(&h, SIGKILL);
	ck_assert_uint_eq(h.shared->told[0][1], MANY);
	close(mine);
	close(body);
	harness_close(&h);
}
END_TEST

START_TEST(told_at_every_call)
{
	static const enum mishap kinds[] = {KILL_BEFORE, KILL_AFTER, FAIL_ONCE};
	struct harness h;
	int body = body_of(3000), most = number_set("MISHAPS", 12);
	harness_quiet = true;
	harness_open(&h, tell_settings);
	queue_end(&h, SIGKILL);
	for (harness_mishap.at = 1; harness_mishap.at <= most; harness_mishap.at++) {
		char what[40];
		told_mark = harness_mishap.at;
		snprintf(what, sizeof what, "mishap %d at call %ld", kinds[_i], harness_mishap.at);
		harness_mishap.what = kinds[_i];
		harness_mishap.error = EIO;
		harness_mishap.calls = 0;
		h.shared->usec_each = 1200;
		queue_start(&h);
		unsigned before = h.shared->deliveries;
		take_one(&h, offer_many(&h, told_mark, body), told_mark);
		if (h.shared->acked[told_mark]) {
			wait_half_way(&h, before);
			usleep(100000);
		}
		queue_end(&h, SIGKILL);
		harness_mishap.what = MISHAP_NONE;
		h.shared->usec_each = 0;
		queue_start(&h);
		if (h.shared->acked[told_mark])
			told_once(&h, what);
		else
			command(&h, rows, sizeof rows, "delete", "all", NULL);
		queue_end(&h, SIGTERM);
	}
	queue_start(&h);
	queue_end(&h, SIGTERM);
	close(body);
	harness_close(&h);
}
END_TEST

/* Who is told of a failure, by where the message came from and by what the line, here or at another host of the cluster, has written into its header. */
static const struct marked_row {
	enum envelope_class class;
	const char *header;
	bool told;
} marked_rows[] = {
	{CLASS_OUTSIDE, "", true}, {CLASS_OUTSIDE, "X-Spam-Flag: YES\n", false}, {CLASS_OUTSIDE, "X-Spam-Flag: NO\n", true},
	{CLASS_OUTSIDE, "X-Virus-Status: infected (Eicar)\n", false}, {CLASS_OUTSIDE, "X-Virus-Status: malformed (type)\n", true}, {CLASS_OUTSIDE, "X-Virus-Status: clean\n", true},
	{CLASS_CLUSTER, "", true}, {CLASS_CLUSTER, "X-Spam-Flag: YES\n", false}, {CLASS_CLUSTER, "X-Virus-Status: infected (Eicar)\n", false},
	{CLASS_SUBMISSION, "X-Spam-Flag: YES\n", true}, {CLASS_LOCAL, "X-Virus-Status: infected (Eicar)\n", true},
};

START_TEST(nobody_of_marked_mail)
{
	const struct marked_row *r = &marked_rows[_i];
	struct harness h;
	struct job job;
	struct err e;
	struct recipient rcpt = {.address = slice_str("bad@here.test")};
	struct slice header[] = {slice_str(r->header), slice_str("Subject: 1\n\n")};
	char text[ANSWER_MAX + 1];
	int code = 0, body = body_of(10);
	harness_quiet = true;
	harness_open(&h, NULL);
	job_make(&job, "sender@here.test", (const char *[]){"bad@here.test"}, 1, 1, body);
	struct envelope env = {.id = slice_str(job.id), .class = r->class, .wall_usec = clock_wall_usec(), .sender = slice_str("sender@here.test"), .rcpt = &rcpt, .rcpts = 1};
	ck_assert_int_eq(job_make_head(&job, &env, header, 2, &e), 0);
	int mine = job_offer(&h, &job);
	ck_assert_int_eq(answer_wait(&code, text, mine, deadline_in(10000), &e), 0);
	ck_assert_int_eq(code, 250);
	close(mine);
	close(body);
	ck_assert_msg(!r->told || until(sender_told, &h), "%s", r->header);
	ck_assert(until(empty, &h));
	usleep(RESULT_MSEC * 2000); /* a report is in the list when it is durable */
	ck_assert(until(empty, &h));
	ck_assert_msg(sender_told(&h) == r->told, "%s", r->header);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

UNIT_MAIN("queue-told", tcase_add_loop_test(t, nobody_of_marked_mail, 0, sizeof marked_rows / sizeof *marked_rows); tcase_add_loop_test(t, told_after_stop, 0, 2); tcase_add_loop_test(t, told_at_every_call, 0, 3);)
