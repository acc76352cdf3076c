/* queue: the real program over socket pairs: taken in, delivered, deferred, bounced, killed. */
#include "tests/unit/queue/harness.h"
#include "tests/unit/unit.h"

static int send_one(struct harness *h, const char *sender, const char *const *rcpts, size_t count, long long mark, char text[ANSWER_MAX + 1])
{
	struct job job;
	struct err e;
	int code = 0, body = body_of(4000);
	job_make(&job, sender, rcpts, count, mark, body);
	int mine = job_offer(h, &job);
	if (answer_wait(&code, text, mine, deadline_in(10000), &e) < 0)
		code = 0;
	close(mine);
	close(body);
	return code;
}

static bool until(bool (*yes)(struct harness *h), struct harness *h)
{
	for (int i = 0; i < 2000; i++) {
		if (yes(h))
			return true;
		usleep(5000);
	}
	return false;
}

static bool first_delivered(struct harness *h)
{
	return h->shared->delivered[1];
}


/* Rows of one command, flattened to "key=value;…\n". */
static int command(struct harness *h, char *out, size_t size, const char *verb, const char *arg, const char *arg2)
{
	static char space[COMMAND_MAX];
	char path[96];
	struct err e;
	struct slice args[3] = {slice_str(verb), slice_str(arg), slice_str(arg2)}, row[64];
	struct buf b = {out, 0, size - 1, size - 1, false};
	int fd, code = -1, rc = 0;
	size_t n;
	snprintf(path, sizeof path, "%s/queue.sock", h->spool);
	if (command_call(&fd, path, args, arg2 ? 3 : arg ? 2 : 1, &e) < 0)
		return -1;
	while (rc == 0 && (rc = command_next(fd, space, row, 64, &n, &code, deadline_in(5000), &e)) == 0) {
		for (size_t i = 0; i + 1 < n; i += 2)
			buf_add_format(&b, "%.*s=%.*s;", SLICE_FMT(row[i]), SLICE_FMT(row[i + 1]));
		buf_add_char(&b, '\n');
	}
	close(fd);
	out[b.n] = 0;
	return rc == 1 ? code : -1;
}

static char rows[1 << 20];

static bool empty(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && !rows[0];
}

static bool has_reason(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && strstr(rows, "reason=") && !strstr(rows, "reason=;\n");
}

static bool saw(struct harness *h, const char *address)
{
	for (size_t i = 0; i < 64; i++)
		if (strcmp(h->shared->recipients[i], address) == 0)
			return true;
	return false;
}

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

static bool sender_told(struct harness *h)
{
	return saw(h, "sender@here.test");
}

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

START_TEST(hold_and_release)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"slow@here.test"}, 1, 1, text), 250);
	ck_assert(until(has_reason, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text + 9, "looks phished"), 0);
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

/* Older than queuelifetime: one attempt more, then a bounce that says why. */
START_TEST(too_old)
{
	struct harness h;
	struct job job;
	struct err e;
	char text[ANSWER_MAX + 1];
	int code = 0, body = body_of(100);
	harness_open(&h, NULL);
	harness_age_sec = 700000;
	job_make(&job, "sender@here.test", (const char *[]){"far@far.test", "u@here.test"}, 2, 1, body);
	harness_age_sec = 0;
	int mine = job_offer(&h, &job);
	ck_assert_int_eq(answer_wait(&code, text, mine, deadline_in(10000), &e), 0);
	ck_assert(until(sender_told, &h));
	ck_assert(until(empty, &h));
	ck_assert(saw(&h, "u@here.test"));
	close(mine);
	close(body);
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
		stop = h->shared->refused;
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
	int kills = 0;
	const char *set = getenv("KILLS");
	int wanted = set ? atoi(set) : 200;
	harness_quiet = true;
	harness_open(&h, settings);
	pid_t client[2] = {start_client(&h, 0, 16, 3000), start_client(&h, MESSAGES_MOST / 2, 1, 200)};
	srandom(1);
	for (; kills < wanted; kills++) {
		usleep((useconds_t)(random() % 12000));
		queue_end(&h, SIGKILL);
		queue_start(&h);
	}
	h.shared->refused = 1; /* tells the clients to stop */
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

/* How fast: COUNT messages of 4 KiB, WINDOW of them waiting for their answers at a time.  Printed, not asserted (MEASURE=20000). */
static long long status_of(struct harness *h, const char *key)
{
	char find[40];
	snprintf(find, sizeof find, "%s=", key);
	const char *at = command(h, rows, sizeof rows, "status", NULL, NULL) == 0 ? strstr(rows, find) : NULL;
	return at ? atoll(at + strlen(find)) : -1;
}

static double cpu_sec(pid_t pid)
{
	char path[40], text[1024];
	unsigned long user = 0, sys = 0;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	const char *at = strrchr(text, ')');
	if (at)
		sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys);
	return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

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
	const char *set = getenv("MEASURE");
	unsigned count = set ? (unsigned)atoi(set) : 500;
	measure(count, 1, true);
	measure(count, 16, true);
	measure(count, 64, true);
	measure(count, 64, false);
}
END_TEST

UNIT_MAIN("queue-program", tcase_add_test(t, one_message); tcase_add_test(t, every_fate); tcase_add_loop_test(t, double_bounce, 0, 2);
	tcase_add_test(t, hold_and_release); tcase_add_test(t, too_old); tcase_add_test(t, abandoned); tcase_add_test(t, full_disk_is_452); tcase_add_test(t, killed_under_load); tcase_add_test(t, measured);)
