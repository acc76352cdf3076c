/* queue: the real program over socket pairs: killed under load, and a mishap at each of the store's calls, while all goes on or is paused: what was acknowledged is
 * delivered, once.  KILLS and MISHAPS in the environment say how many. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/harness/mishap.h"
#include "tests/harness/process.h"
#include "tests/unit/unit.h"

/* Clients that send as fast as answers come, WINDOW at a time, while the queue is killed.  Marks count up; an answer that does not come is a new mark. */
struct client {
	int fd[64];
	long long mark[64];
};

static void take_answer(struct harness *h, struct client *c, int i)
{
	struct err e;
	int code;
	char text[ANSWER_MAX + 1];
	if (answer_wait(&code, text, c->fd[i], deadline_in(20000), &e) == 0 && code == 250)
		h->shared->acked[c->mark[i]] = 1;
	h->shared->answers++;
	close(c->fd[i]);
}

static pid_t start_client(struct harness *h, long long from, unsigned window, size_t octets)
{
	static struct client c;
	int body = body_of(octets);
	pid_t pid = fork();
	if (pid) {
		close(body);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bool stop = false;
	long long mark = from;
	while (!stop) {
		unsigned n = 0;
		for (; n < window; n++) {
			struct job job;
			char to[40];
			snprintf(to, sizeof to, "u%lld@here.test", mark);
			job_make(&job, "a@far.test", (const char *[]){to}, 1, mark, body);
			c.mark[n] = mark++;
			c.fd[n] = job_offer(h, &job);
		}
		for (unsigned i = 0; i < n; i++)
			take_answer(h, &c, (int)i);
		stop = h->shared->stop;
	}
	_exit(0);
}

static unsigned lost(struct harness *h)
{
	unsigned n = 0;
	for (size_t i = 0; i < MESSAGES_MOST; i++)
		n += h->shared->acked[i] && !h->shared->delivered[i];
	return n;
}

static unsigned doubled(struct harness *h)
{
	unsigned n = 0;
	for (size_t i = 0; i < MESSAGES_MOST; i++)
		n += h->shared->twice[i] > 0;
	return n;
}

static bool none_lost(struct harness *h)
{
	return lost(h) == 0;
}

START_TEST(killed_under_load)
{
	static const char *const settings[][2] = {{"queuesegment", "1048576\n"}, {NULL, NULL}};
	struct harness h;
	int kills = 0, wanted = number_set("KILLS", 200);
	harness_quiet = true;
	harness_open(&h, settings);
	pid_t client[2] = {start_client(&h, 0, 16, 3000), start_client(&h, MESSAGES_MOST / 2, 1, 200)};
	srandom(1);
	for (; kills < wanted; kills++) {
		usleep((useconds_t)(random() % 12000));
		queue_end(&h, SIGKILL);
		queue_start(&h);
	}
	h.shared->stop = true;
	for (int i = 0; i < 2; i++)
		waitpid(client[i], NULL, 0);
	bool all = until(none_lost, &h);
	bool nothing_left = until(empty, &h);
	unsigned acked = 0;
	for (size_t i = 0; i < MESSAGES_MOST; i++)
		acked += h.shared->acked[i];
	printf("%d kills: %u answers, %u acknowledged, %u deliveries (%u in doubt), lost %u, twice %u\n", kills, h.shared->answers, acked, h.shared->deliveries,
		h.shared->doubtful, lost(&h), doubled(&h));
	ck_assert(all);
	ck_assert(nothing_left);
	ck_assert_uint_eq(doubled(&h), 0);
	ck_assert_uint_gt(acked, 100);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* A few messages of every kind while a mishap happens somewhere in the store, then a start without it: what was acknowledged is delivered, once. */
static void offer_some(struct harness *h, long long *mark, int body)
{
	static const char *const to[][3] = {{"u1@here.test", "u2@here.test", "u3@here.test"}, {"group@here.test", "u4@here.test", "unknown@here.test"}};
	for (int round = 0; round < 3; round++) {
		int mine[4];
		for (int i = 0; i < 4; i++) {
			struct job job;
			job_make(&job, "sender@here.test", to[i % 2], i % 2 ? 3 : 1, *mark + i, body);
			mine[i] = job_offer(h, &job);
		}
		for (int i = 0; i < 4; i++)
			take_one(h, mine[i], *mark + i);
		*mark += 4;
	}
}

static bool only_waiting(struct harness *h)
{
	/* The far member of each group waits for ever; nothing else may. */
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && !strstr(rows, "state=delivering") && !strstr(rows, "attempts=0;") &&
	       !strstr(rows, "ended without") && !strstr(rows, "u1@") && !strstr(rows, "u4@") && !strstr(rows, "sender@here.test;state");
}

static void one_mishap(struct harness *h, long long *mark, int body)
{
	queue_start(h);
	offer_some(h, mark, body);
	queue_end(h, SIGKILL);
	enum mishap what = harness_mishap.what;
	const char *trace = harness_mishap.trace;
	harness_mishap.what = MISHAP_NONE;
	harness_mishap.trace = NULL;
	queue_start(h);
	harness_mishap.what = what;
	harness_mishap.trace = trace;
	bool ok = until(none_lost, h) && until(only_waiting, h);
	command(h, rows, sizeof rows, "list", NULL, NULL);
	if (!ok)
		fprintf(stderr, "mishap %d at call %ld (error %d): lost %u\n%s", what, harness_mishap.at, harness_mishap.error, lost(h), rows);
	ck_assert(ok);
	ck_assert_uint_eq(doubled(h), 0);
	command(h, rows, sizeof rows, "delete", "all", NULL);
	queue_end(h, SIGTERM);
}

START_TEST(mishap_at_every_call)
{
	static const struct {
		enum mishap what;
		int error;
	} kinds[] = {{KILL_BEFORE, 0}, {KILL_HALF, 0}, {KILL_AFTER, 0}, {FAIL_ONCE, EIO}, {FAIL_ONCE, ENOSPC}, {FAIL_LASTING, EIO}, {FAIL_LASTING, ENOSPC}};
	static const char *const settings[][2] = {{"queuesegment", "1048576\n"}, {"doublebounceto", "u9\n"}, {NULL, NULL}};
	struct harness h;
	long long mark = 0;
	int body = body_of(3000);
	harness_quiet = true;
	harness_open(&h, settings);
	queue_end(&h, SIGKILL);
	for (harness_mishap.at = 1; harness_mishap.at <= number_set("MISHAPS", 25); harness_mishap.at++) {
		harness_mishap.what = kinds[_i].what;
		harness_mishap.error = kinds[_i].error;
		harness_mishap.calls = 0;
		one_mishap(&h, &mark, body);
	}
	harness_mishap.what = MISHAP_NONE;
	queue_start(&h);
	queue_end(&h, SIGTERM);
	close(body);
	harness_close(&h);
}
END_TEST

/* Killed, or a failing disk, at each of the first calls of the store while a message is parked and let go again: what was acknowledged arrives, once; nothing is begun before
 * the pause that the next start finds is over. */
START_TEST(paused_at_every_call)
{
	static const enum mishap kinds[] = {KILL_BEFORE, KILL_HALF, KILL_AFTER, FAIL_ONCE};
	static const char *const settings[][2] = {{"holdlocal", "1\n"}, {NULL, NULL}};
	struct harness h;
	int body = body_of(3000), killed = 0;
	harness_quiet = true;
	harness_open(&h, settings);
	queue_end(&h, SIGKILL);
	for (harness_mishap.at = 1; harness_mishap.at <= 16; harness_mishap.at++) {
		struct job job;
		struct err e;
		char text[ANSWER_MAX + 1];
		long mark = harness_mishap.at;
		int code = 0;
		harness_mishap.what = kinds[_i];
		harness_mishap.error = EIO;
		harness_mishap.calls = 0;
		queue_start(&h);
		job_make(&job, "a@far.test", (const char *[]){"u1@here.test", "u2@here.test"}, 2, mark, body);
		int mine = job_offer(&h, &job);
		bool acked = answer_wait(&code, text, mine, deadline_in(_i == 3 || mark > 8 ? 5000 : 300), &e) == 0 && code == 250;
		usleep(80000); /* its STATE is committed, or not */
		harness_reload(&h, "holdlocal", "0\n");
		usleep(120000); /* and its FINISH */
		siginfo_t died = {0};
		waitid(P_PID, (id_t)h.queue, &died, WEXITED | WNOHANG | WNOWAIT);
		killed += died.si_pid != 0;
		queue_end(&h, SIGKILL);
		close(mine);
		harness_mishap.what = MISHAP_NONE;
		harness_reload(&h, "holdlocal", "1\n");
		neighbour_wait(h.local[0]);
		unsigned deliveries = h.shared->deliveries;
		queue_start(&h);
		ck_assert(until(idle, &h));
		ck_assert_uint_eq(h.shared->deliveries, deliveries);
		ck_assert(harness_reload(&h, "holdlocal", "0\n"));
		ck_assert(until(all_gone, &h));
		ck_assert_msg(!acked || h.shared->delivered[mark] == 3, "call %ld: %d", mark, h.shared->delivered[mark]);
		ck_assert_msg(h.shared->twice[mark] == 0, "call %ld", mark);
		queue_end(&h, SIGTERM);
		harness_reload(&h, "holdlocal", "1\n");
	}
	printf("mishap %d: killed %d times\n", kinds[_i], killed);
	ck_assert_int_ge(killed, _i < 3 ? 6 : 0);
	close(body);
	harness_close(&h);
}
END_TEST

/* By hand (tests/crash/calls does more): SIGKILL at the Nth call of every kind, injected by strace (KILL_CALL=sendmsg:3). */
START_TEST(killed_at_call)
{
	const char *call = getenv("KILL_CALL");
	static const char *const settings[][2] = {{"queuesegment", "1048576\n"}, {NULL, NULL}};
	struct harness h;
	char inject[80], name[40];
	long long mark = 0;
	int body = body_of(3000), least = 0, most = 0;
	if (!call || sscanf(call, "%39[a-z0-9_]:%d-%d", name, &least, &most) != 3) {
		close(body);
		return;
	}
	harness_quiet = true;
	harness_open(&h, settings);
	queue_end(&h, SIGKILL);
	for (int n = least; n <= most; n++) {
		snprintf(inject, sizeof inject, "inject=%s:signal=KILL:when=%d", name, n);
		harness_mishap.trace = inject;
		harness_mishap.what = KILL_BEFORE;
		harness_mishap.at = -n;
		one_mishap(&h, &mark, body);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	harness_mishap.what = MISHAP_NONE;
	harness_mishap.trace = NULL;
	printf("%s killed at calls %d to %d: lost %u, twice %u\n", name, least, most, lost(&h), doubled(&h));
	queue_start(&h);
	queue_end(&h, SIGTERM);
	close(body);
	harness_close(&h);
}
END_TEST

UNIT_MAIN("queue-killed", if (getenv("KILL_CALL")) tcase_add_test(t, killed_at_call); else {
	tcase_add_test(t, killed_under_load); tcase_add_loop_test(t, mishap_at_every_call, 0, 7); tcase_add_loop_test(t, paused_at_every_call, 0, 4);
})
