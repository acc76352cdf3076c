/* queue: the real program over socket pairs with mail in bulk: commands for all of them, mass mail before somebody else's, and how fast (MEASURE=20000 by hand).
 * MANY and MASS in the environment say how many. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/command.h"
#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/harness/process.h"
#include "tests/unit/unit.h"

/* The command as a process of its own; its exit code. */
static pid_t command_beside(struct harness *h, const char *verb, const char *arg)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(command(h, rows, sizeof rows, verb, arg, NULL) == 0 ? (number_of("done") > 0 ? 0 : 2) : 1);
	return pid;
}

/* Many at once, in slices: mail is accepted within a moment all the while. */
START_TEST(many_at_once)
{
	static const struct {
		const char *verb, *arg;
		int of_three; /* thirds that remain */
	} step[] = {{"hold", "sender=s1@far.test", 3}, {"retry", "all", 3}, {"release", "all", 3}, {"hold", "domain=far.test", 3}, {"delete", "sender=s0@far.test", 2}, {"delete", "all", 0}};
	unsigned count = (unsigned)number_set("MANY", 1500);
	struct harness h;
	harness_quiet = true;
	harness_open(&h, NULL);
	send_many(&h, count);
	for (size_t i = 0; i < sizeof step / sizeof *step; i++) {
		char text[ANSWER_MAX + 1];
		int status = 0, sent = 0;
		int64_t began = clock_msec(), slowest = 0;
		pid_t pid = command_beside(&h, step[i].verb, step[i].arg);
		do {
			int64_t at = clock_msec();
			ck_assert_int_eq(send_one(&h, "x@far.test", (const char *[]){"u@here.test"}, 1, 1 + sent++, text), 250);
			slowest = clock_msec() - at > slowest ? clock_msec() - at : slowest;
			usleep(2000);
		} while (waitpid(pid, &status, WNOHANG) == 0);
		ck_assert_int_eq(status, 0);
		printf("%s %s of %u: %lld ms; meanwhile %d messages accepted, the slowest in %lld ms\n", step[i].verb, step[i].arg, count,
			(long long)(clock_msec() - began), sent, (long long)slowest);
		ck_assert_int_lt(slowest, 1000);
	}
	ck_assert(until(empty, &h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* A caller that is stopped while it is answered (Ctrl-Z), or reads slowly: mail is taken as if it were not there, and it gets its whole answer when it goes on. */
static const struct stopped_row {
	const char *verb, *arg;
	unsigned messages, rcpts;
	unsigned rows; /* of messages and recipients */
} stopped_rows[] = {{"show", "", 1, 3000, 3001}, {"list", "recipients=all", 2, 2000, 4002}, {"list", "all", 300, 30, 300 * 21}};

static int answer_of(const char *folder, unsigned *messages, const struct slice *args, size_t count, struct harness *h)
{
	static char space[COMMAND_MAX], name[100], text[ANSWER_MAX + 1];
	struct slice row[64];
	struct err e;
	int fd, code = -1, rc;
	size_t n;
	snprintf(name, sizeof name, "%s/queue.sock", folder);
	ck_assert_int_eq(command_call(&fd, name, args, count, &e), 0);
	for (int i = 0; i < 5; i++) { /* nothing is read */
		int64_t at = clock_msec();
		ck_assert_int_eq(send_one(h, "x@far.test", (const char *[]){"u@here.test"}, 1, 1, text), 250);
		ck_assert_msg(clock_msec() - at < 1000, "accepted after %lld ms", (long long)(clock_msec() - at));
		usleep(20000);
	}
	*messages = 0;
	while ((rc = command_next(fd, space, row, 64, &n, &code, deadline_in(5000), &e)) == 0)
		*messages += n > 1 && slice_eq_str(row[0], "kind") && (slice_eq_str(row[1], "message") || slice_eq_str(row[1], "recipient"));
	ck_assert_int_eq(rc, 1);
	close(fd);
	return code;
}

START_TEST(caller_stands_still)
{
	static char name[3000][24];
	static const char *to[3000];
	const struct stopped_row *r = &stopped_rows[_i];
	struct harness h;
	unsigned found;
	char text[ANSWER_MAX + 1];
	harness_quiet = true;
	harness_open(&h, NULL);
	kill(h.route_pid, SIGSTOP);
	for (unsigned i = 0; i < r->rcpts; i++) {
		snprintf(name[i], sizeof name[i], "m%u@here.test", i);
		to[i] = name[i];
	}
	for (unsigned i = 0; i < r->messages; i++)
		ck_assert_int_eq(send_one(&h, "list@far.test", to, r->rcpts, 2 + (long long)i, text), 250);
	const struct slice args[] = {slice_str(r->verb), slice_str(r->arg[0] ? r->arg : text + 9)};
	ck_assert_int_eq(answer_of(h.spool, &found, args, 2, &h), 0);
	ck_assert_uint_ge(found, r->rows); /* and those that came meanwhile */
	kill(h.route_pid, SIGCONT);
	queue_end(&h, SIGKILL);
	harness_close(&h);
}
END_TEST

/* Mass mail first, then one message of somebody else: it does not wait.  The small local takes 1 ms (5 ms) for a recipient, one after the other. */
static unsigned one_after(struct harness *h, long long mark)
{
	char text[ANSWER_MAX + 1];
	ck_assert_int_eq(send_one(h, "prof@far.test", (const char *[]){"u@here.test"}, 1, mark, text), 250);
	unsigned before = h->shared->recipients_seen;
	for (int64_t began = clock_msec(); !h->shared->delivered[mark] && clock_msec() - began < 60000; )
		usleep(1000);
	ck_assert(h->shared->delivered[mark]);
	return h->shared->recipients_seen - before;
}

START_TEST(mass_mail_yields)
{
	static char name[RECIPIENTS_MAX][24];
	static const char *to[RECIPIENTS_MAX];
	unsigned count = (unsigned)number_set("MASS", _i ? 800 : 3000);
	struct harness h;
	struct job job;
	struct err e;
	char text[ANSWER_MAX + 1];
	int code = 0, body = body_of(1000);
	harness_quiet = true;
	harness_open(&h, NULL);
	h.shared->usec_each = _i ? 5000 : 1000;
	for (unsigned i = 0; i < count; i++) {
		snprintf(name[i], sizeof name[i], "m%u@here.test", i);
		to[i] = name[i];
	}
	if (_i == 0) {
		job_make(&job, "list@far.test", to, count, 1, body);
		int mine = job_offer(&h, &job);
		ck_assert_int_eq(answer_wait(&code, text, mine, deadline_in(10000), &e), 0);
		ck_assert_int_eq(code, 250);
		close(mine);
	} else {
		for (unsigned i = 0; i < count; i++) {
			job_make(&job, "list@far.test", &to[i], 1, 100 + i, body);
			int mine = job_offer(&h, &job);
			ck_assert_int_eq(answer_wait(&code, text, mine, deadline_in(10000), &e), 0);
			close(mine);
		}
	}
	usleep(200000);
	unsigned between = one_after(&h, 2), before = h.shared->deliveries;
	printf("%u %s first: one message of somebody else was delivered when %u others were, from its 250 on\n", count,
		_i ? "messages of one sender" : "recipients of one message", between);
	ck_assert_uint_lt(between, _i ? 200 : 1000); /* those that were with the agent already */
	/* and the mass goes on */
	for (int i = 0; i < 200 && h.shared->deliveries < before + 3; i++)
		usleep(10000);
	ck_assert_uint_ge(h.shared->deliveries, before + 3);
	close(body);
	queue_end(&h, SIGKILL);
	harness_close(&h);
}
END_TEST

/* How fast: COUNT messages of 4 KiB, WINDOW of them waiting for their answers at a time.  Printed, not asserted (MEASURE=20000). */
static void measure(unsigned count, unsigned window, bool hold)
{
	struct harness h;
	struct err e;
	int body = body_of(4000), code;
	struct job *job = calloc(count, sizeof *job);
	int *mine = calloc(count, sizeof *mine);
	char text[ANSWER_MAX + 1];
	harness_quiet = true;
	harness_open(&h, NULL);
	for (unsigned i = 0; i < count; i++)
		job_make(&job[i], "a@far.test", (const char *[]){hold ? "far@far.test" : "u@here.test"}, 1, i, body);
	if (hold)
		kill(h.route_pid, SIGSTOP);
	double cpu = cpu_sec(h.queue);
	int64_t begin = clock_msec();
	for (unsigned i = 0, answered = 0; answered < count; answered++) {
		for (; i < count && i < answered + window; i++)
			mine[i] = job_offer(&h, &job[i]);
		ck_assert_int_eq(answer_wait(&code, text, mine[answered], deadline_in(60000), &e), 0);
		ck_assert_int_eq(code, 250);
		close(mine[answered]);
	}
	double sec = (double)(clock_msec() - begin) / 1000, used = cpu_sec(h.queue) - cpu;
	long long commits = status_of(&h, "commits");
	if (!hold)
		until(empty, &h);
	double all = (double)(clock_msec() - begin) / 1000;
	printf("%u messages, %u at a time%s: %.0f accepted/s, %.0f us CPU each, %.1f per commit", count, window, hold ? ", none delivered" : "",
		count / sec, used / count * 1e6, (double)count / (double)commits);
	if (!hold)
		printf("; with delivery %.0f/s, %.0f us CPU each", count / all, (cpu_sec(h.queue) - cpu) / count * 1e6);
	printf("\n");
	kill(h.route_pid, SIGCONT);
	queue_end(&h, SIGKILL);
	harness_close(&h);
	close(body);
	free(job);
	free(mine);
}

START_TEST(measured)
{
	unsigned count = (unsigned)number_set("MEASURE", 500);
	measure(count, 1, true);
	measure(count, 16, true);
	measure(count, 64, true);
	measure(count, 64, false);
}
END_TEST

UNIT_MAIN("queue-bulk", if (getenv("MEASURE")) tcase_add_test(t, measured); else {
	tcase_add_test(t, many_at_once); tcase_add_loop_test(t, caller_stands_still, 0, sizeof stopped_rows / sizeof *stopped_rows); tcase_add_loop_test(t, mass_mail_yields, 0, 2); tcase_add_test(t, measured);
})
