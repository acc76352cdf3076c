/* queue: the real program over socket pairs with many messages on disk: how long it takes to start, and with how much memory (make queue-scale). */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deliver/delivery.h"
#include "queue/note.h"
#include "queue/queue.h"
#include "queue/store.h"
#include "queue/verify.h"
#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/harness/process.h"
#include "tests/unit/unit.h"

/* SCALE messages wait; the queue is killed and starts again: memory for each, and how long until the first of them is delivered. */
static void restart_with(struct harness *h, bool killed)
{
	char text[ANSWER_MAX + 1];
	memset(h->shared->delivered, 0, 100);
	kill(h->route_pid, SIGSTOP);
	ck_assert_int_eq(send_one(h, "a@far.test", (const char *[]){"u@here.test"}, 1, 7, text), 250);
	if (killed)
		queue_end(h, SIGKILL);
	else
		queue_end(h, SIGTERM);
	kill(h->route_pid, SIGCONT);
	usleep(100000);
	ck_assert(!h->shared->delivered[7]);
	int64_t began = clock_msec();
	queue_start(h);
	int64_t ready = clock_msec() - began;
	while (!h->shared->delivered[7] && clock_msec() - began < 60000)
		usleep(1000);
	int64_t first = clock_msec() - began;
	long long count = status_of(h, "messages"), octets = status_of(h, "index_octets");
	printf("%lld messages wait, %s: ready after %.2f s, first delivery after %.2f s; index %.0f octets a message, %.0f MiB resident\n", count,
		killed ? "killed" : "stopped in order", (double)ready / 1000, (double)first / 1000, (double)octets / (double)count,
		(double)resident_octets(h->queue) / 1048576);
	ck_assert_int_lt(first, 10000);
	ck_assert_int_lt(octets / count, 200);
}

START_TEST(scaled)
{
	unsigned count = (unsigned)number_set("SCALE", 3000);
	struct harness h;
	harness_quiet = true;
	harness_open(&h, NULL);
	int64_t began = clock_msec();
	send_many(&h, count);
	for (int i = 0; i < 100000 && (status_of(&h, "fresh") || status_of(&h, "delivering")); i++)
		usleep(20000);
	printf("%u messages taken in, tried and waiting after %.1f s\n", count, (double)(clock_msec() - began) / 1000);
	restart_with(&h, true);
	restart_with(&h, false);
	ck_assert_int_eq(status_of(&h, "messages"), count);
	queue_end(&h, SIGKILL);
	harness_close(&h);
}
END_TEST

/* A log with KINDS records of every kind, as a queue that was killed leaves it: messages that wait, each with a STATE, an EXPAND and a RESULT after it;
 * messages that are finished; CLEAN and VOID.  How long `postern queue verify` and the start take, and with how much memory. */
struct making {
	struct store *store;
	uint32_t seq; /* of the segment that took the last message */
};

static void made(void *ctx, const struct store_found *f)
{
	struct making *m = ctx;
	if (f->kind == RECORD_MESSAGE)
		m->seq = f->at.seq;
}

static void ignore_found(void *ctx, const struct store_found *f)
{
	(void)ctx;
	(void)f;
}

static void add_note(struct making *m, enum record_kind kind, const char *id, struct slice payload)
{
	struct err e;
	ck_assert_int_eq(store_add(m->store, &(struct store_record){.kind = kind, .id = id, .target = m->seq,
		.piece[0] = {.p = payload.p, .n = payload.n}, .pieces = payload.n > 0}, 1, false, &e), 0);
}

static void add_message(struct making *m, char id[ID_LEN + 1], const char *const *to, size_t count, long long mark, int body)
{
	struct job job;
	struct err e;
	unsigned char prologue[PROLOGUE];
	job_make(&job, "sender@here.test", to, count, mark, body);
	memcpy(id, job.id, ID_LEN + 1);
	prologue_put(prologue, &(struct prologue){.body_octets = job.body.octets, .head_octets = (uint32_t)job.head.octets, .rcpts = (uint32_t)count});
	ck_assert_int_eq(store_add(m->store, &(struct store_record){.kind = RECORD_MESSAGE, .id = id, .pieces = 3, .piece = {
		{.p = prologue, .n = PROLOGUE}, {.p = job.head.p, .n = job.head.octets}, {.fd = body, .n = job.body.octets}}}, 1, false, &e), 0);
	ck_assert_int_eq(store_commit(m->store, &e), 0);
	job_close(&job);
}

static void add_notes(struct making *m, const char *id)
{
	struct buf b = BUF_INIT(4000);
	const struct target t[2] = {
		{.agent = AGENT_LOCAL, .address = slice_str("a@here.test"), .destination = slice_str("a"), .maildir = slice_str("/a"), .uid_number = -1, .gid_number = -1},
		{.agent = AGENT_REMOTE, .address = slice_str("b@far.test"), .destination = slice_str("far.test"), .uid_number = -1, .gid_number = -1}};
	note_state_put(&b, &(struct note_state){.attempts = 1, .next_sec = queue_now_sec() + 86400, .next_number = 3, .open = 3});
	for (long long i = 0; i < 3; i++)
		note_recipient_put(&b, &(struct note_recipient){.number = i, .kind = NOTE_OPEN, .origin = i, .enhanced = "4.2.1", .text = slice_str("try later")});
	add_note(m, RECORD_STATE, id, buf_slice(&b));
	buf_reset(&b);
	note_expand_put(&b, &(struct note_expand){.number = 1, .origin = 1, .first = 3, .count = 2, .kept = -1});
	target_encode(&b, &t[0]);
	target_encode(&b, &t[1]);
	add_note(m, RECORD_EXPAND, id, buf_slice(&b));
	buf_reset(&b);
	note_done_put(&b, &(struct note_done){.number = 2, .kind = NOTE_DELIVERED, .enhanced = "2.0.0", .text = slice_str("delivered")});
	add_note(m, RECORD_RESULT, id, buf_slice(&b));
	buf_free(&b);
}

static struct store_sys unsynced;

static int no_sync(int fd)
{
	return fd < 0;
}

static void make_log(const char *folder, unsigned count)
{
	static const char *const to[] = {"slow@here.test", "group@here.test", "u2@here.test"};
	struct making m = {0};
	struct store_options o = {.segment_octets = 64u << 20, .spares_most = 2, .sys = &unsynced, .on = {.ctx = &m, .found = ignore_found, .placed = made}};
	struct store_report report;
	struct err e;
	char id[ID_LEN + 1];
	int dir = open(folder, O_RDONLY | O_DIRECTORY), body = body_of(1000);
	unsynced = store_sys_real;
	unsynced.fdatasync = unsynced.fsync = no_sync;
	ck_assert_int_eq(store_open(&m.store, dir, &o, &report, &e), 0);
	for (unsigned i = 0; i < count; i++) {
		add_message(&m, id, to, 3, -1, body);
		add_notes(&m, id);
		add_message(&m, id, to, 1, -1, body);
		add_note(&m, RECORD_FINISH, id, slice_make("", 0));
		add_note(&m, RECORD_CLEAN, "0000000000000", slice_make("", 0));
		add_note(&m, RECORD_VOID, "0000000000000", slice_make("", 0));
	}
	add_message(&m, id, &to[2], 1, 7, body);
	store_close(m.store);
	close(dir);
	close(body);
}

/* As `postern queue verify`, in a process of its own. */
static void verify_log(const char *folder, unsigned count)
{
	struct rusage used;
	int status;
	int64_t began = clock_msec();
	pid_t pid = fork();
	if (pid == 0) {
		struct verify v = {0};
		struct err e;
		int dir = open(folder, O_RDONLY | O_DIRECTORY);
		_exit(verify_folder(&v, dir, &e) == 0 && !v.faults && v.messages == count + 1 ? 0 : 1);
	}
	ck_assert(wait4(pid, &status, 0, &used) == pid && status == 0);
	printf("%u records of every kind: verify takes %.2f s (%.2f s of CPU) and %.0f MiB\n", count, (double)(clock_msec() - began) / 1000,
		(double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6, (double)used.ru_maxrss / 1024);
}

static void give_to_queue(const char *folder)
{
	char path[200];
	for (uint32_t i = 0; i < 10000; i++) {
		snprintf(path, sizeof path, "%s/segment.%08x", folder, i);
		if (chown(path, PLAIN_USER, PLAIN_USER) < 0 && i > 100)
			break;
	}
	snprintf(path, sizeof path, "%s/lock", folder);
	ck_assert(chown(path, PLAIN_USER, PLAIN_USER) == 0 || geteuid() != 0);
}

START_TEST(every_kind)
{
	unsigned count = (unsigned)number_set("KINDS", 1000);
	struct harness h;
	char folder[80];
	harness_quiet = true;
	harness_open(&h, NULL);
	queue_end(&h, SIGTERM);
	snprintf(folder, sizeof folder, "%s/queue", h.spool);
	make_log(folder, count);
	verify_log(folder, count);
	give_to_queue(folder);
	int64_t began = clock_msec();
	queue_start(&h);
	int64_t ready = clock_msec() - began;
	while (!h.shared->delivered[7] && clock_msec() - began < 60000)
		usleep(1000);
	int64_t first = clock_msec() - began;
	printf("%u records of every kind, killed: ready after %.2f s, first delivery after %.2f s; %.0f MiB resident\n", count, (double)ready / 1000, (double)first / 1000,
		(double)resident_octets(h.queue) / 1048576);
	ck_assert_int_lt(first, 10000);
	for (int i = 0; i < 500 && status_of(&h, "messages") != count; i++)
		usleep(10000);
	ck_assert_int_eq(status_of(&h, "messages"), count);
	ck_assert_int_eq(status_of(&h, "recipients"), 3 * count);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

UNIT_MAIN("queue-scale", tcase_set_timeout(t, getenv("SCALE") || getenv("KINDS") ? 3600 : 120);
	if (getenv("SCALE") || !getenv("KINDS"))
		tcase_add_test(t, scaled);
	if (getenv("KINDS") || !getenv("SCALE"))
		tcase_add_test(t, every_kind);
)
