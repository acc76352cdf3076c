/* queue: the real program over socket pairs: what becomes of a message, and what is refused. */
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/unit/unit.h"

START_TEST(one_message)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"u1@here.test"}, 1, 1, text), 250);
	ck_assert(strncmp(text, "2.0.0 ok ", 9) == 0);
	ck_assert(until(first_delivered, &h));
	ck_assert(until(empty, &h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

static bool postmaster_told(struct harness *h)
{
	return saw(h, "postmaster@mx.here.test");
}

/* One delivered, one unknown, one that the agent refuses with an ugly text, one that waits, one group: one bounce, the rest waits, and all that is known
 * survives a kill. */
START_TEST(every_fate)
{
	static const char *const to[] = {"ok@here.test", "unknown@here.test", "bad@here.test", "slow@here.test", "group@here.test"};
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	ck_assert_int_eq(send_one(&h, "sender@here.test", to, 5, 1, text), 250);
	ck_assert(until(sender_told, &h));
	ck_assert(until(has_reason, &h));
	for (int killed = 0; killed < 2; killed++) {
		ck_assert_int_eq(command(&h, rows, sizeof rows, "show", text + 9, NULL), 0);
		ck_assert_ptr_nonnull(strstr(rows, "address=slow@here.test;state=waiting"));
		ck_assert_ptr_nonnull(strstr(rows, "address=far-member@far.test;state=waiting"));
		ck_assert_ptr_nonnull(strstr(rows, "no program for delivery by SMTP to far.test yet"));
		ck_assert_ptr_nonnull(strstr(rows, "waiting=2;"));
		ck_assert_ptr_null(strstr(rows, "ok@here.test;state=waiting"));
		ck_assert_ptr_null(strstr(rows, "bad-member@here.test;state=waiting"));
		ck_assert_ptr_nonnull(strstr(rows, "text=Subject: 1;"));
		ck_assert(saw(&h, "ok@here.test") && saw(&h, "member-a@here.test") && !saw(&h, "far-member@far.test"));
		memset(h.shared->recipients, 0, sizeof h.shared->recipients);
		usleep(100000);
		queue_end(&h, SIGKILL);
		queue_start(&h);
		memcpy(h.shared->recipients, "ok@here.test", 13);
		memcpy(h.shared->recipients[1], "member-a@here.test", 19);
	}
	/* Another attempt does not repeat what was done. */
	memset(h.shared->recipients, 0, sizeof h.shared->recipients);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "retry", text + 9, NULL), 0);
	usleep(200000);
	ck_assert(!saw(&h, "ok@here.test") && !saw(&h, "member-a@here.test") && !saw(&h, "sender@here.test"));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "delete", text + 9, NULL), 0);
	ck_assert(until(empty, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "delete", text + 9, NULL), 1);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* A null sender is never bounced to; the postmaster hears once, and nobody when that fails too. */
START_TEST(double_bounce)
{
	static const char *const settings[][2] = {{"doublebounceto", "unknown-postmaster\n"}, {NULL, NULL}};
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, _i ? settings : NULL);
	ck_assert_int_eq(send_one(&h, "", (const char *[]){"unknown@here.test"}, 1, 1, text), 250);
	if (!_i)
		ck_assert(until(postmaster_told, &h));
	ck_assert(until(empty, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "status", NULL, NULL), 0);
	ck_assert_ptr_nonnull(strstr(rows, "bounced=1;"));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* A session that does not wait for the answer any more: nothing is kept, nothing delivered. */
START_TEST(abandoned)
{
	struct harness h;
	int body = body_of(100);
	harness_open(&h, NULL);
	kill(h.queue, SIGSTOP);
	for (int i = 0; i < 5; i++) {
		struct job job;
		job_make(&job, "a@far.test", (const char *[]){"u@here.test"}, 1, 10 + i, body);
		close(job_offer(&h, &job));
	}
	kill(h.queue, SIGCONT);
	char text[ANSWER_MAX + 1];
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"u@here.test"}, 1, 1, text), 250);
	ck_assert(until(first_delivered, &h));
	for (int i = 0; i < 5; i++)
		ck_assert(!h.shared->delivered[10 + i]);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close(body);
	harness_close(&h);
}
END_TEST

START_TEST(full_disk_is_452)
{
	static const char *const settings[][2] = {{"queuereserve", "1099511627776\n"}, {NULL, NULL}};
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, settings);
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"u@here.test"}, 1, 1, text), 452);
	ck_assert(strncmp(text, "4.3.1 ", 6) == 0);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* What a taken-over neighbour could send: dropped, and the next job is served. */
START_TEST(bad_jobs)
{
	struct harness h;
	struct err e;
	char text[ANSWER_MAX + 1], id[ID_LEN + 1];
	int body = body_of(100), pair[2], open_fd = memfd_make("unsealed", &e), empty_fd = memfd_with("empty", slice_make("", 0), &e);
	harness_open(&h, NULL);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	id_make(id);
	const struct {
		struct slice text;
		int fds[PASS_FDS_MAX];
		size_t count;
	} bad[] = {
		{{"", 0}, {0}, 0}, {{"x", 1}, {0}, 0}, {slice_str(id), {0}, 0}, {slice_str(id), {body, body}, 2}, {slice_str(id), {body, body, body, body}, 4},
		{slice_str("not-an-id-at-"), {body, body, pair[0]}, 3}, {slice_str(id), {open_fd, body, pair[0]}, 3}, {slice_str(id), {body, open_fd, pair[0]}, 3},
		{slice_str(id), {empty_fd, body, pair[0]}, 3}, {slice_str(id), {body, body, pair[0]}, 3}, {slice_str(id), {pair[0], pair[0], pair[0]}, 3},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_int_eq(pass_send(h.jobs[0], bad[i].text, bad[i].fds, bad[i].count, deadline_in(1000), &e), 0);
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"u@here.test"}, 1, 1, text), 250);
	ck_assert(until(first_delivered, &h));
	ck_assert(until(empty, &h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
	close(body);
	close(open_fd);
	close(empty_fd);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

/* Answers of route and agent that break their grammar or speak of others: unknown, tried again, nobody else is touched. */
START_TEST(bad_answers)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"garbage@here.test", "liar@here.test", "u@here.test"}, 3, 1, text), 250);
	ck_assert(until(first_delivered, &h));
	ck_assert(until(has_reason, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "show", text + 9, NULL), 0);
	ck_assert_ptr_nonnull(strstr(rows, "waiting=2;"));
	ck_assert_ptr_nonnull(strstr(rows, "route's answer breaks its grammar"));
	ck_assert_ptr_nonnull(strstr(rows, "the agent's answer left this recipient out"));
	ck_assert_ptr_nonnull(strstr(rows, "address=u@here.test;state=done"));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

UNIT_MAIN("queue-program", tcase_add_test(t, one_message); tcase_add_test(t, every_fate); tcase_add_loop_test(t, double_bounce, 0, 2);
	tcase_add_test(t, abandoned); tcase_add_test(t, full_disk_is_452); tcase_add_test(t, bad_jobs); tcase_add_test(t, bad_answers);)
