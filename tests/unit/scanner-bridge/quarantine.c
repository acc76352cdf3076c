/* The quarantine's storage: round trips, limits, damage, the steps of a release with every answer of the queue, kills between the steps. */
#include "scanner-bridge/quarantine.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char folder[64], file[96];
static const struct quarantine_note note = {.cause = CAUSE_SPAM, .scored = true, .milli = -2500, .reason = "it looks like spam, score -2.5"};

static void open_store(struct quarantine *q, long long most)
{
	struct err e = {0};
	if (!folder[0]) {
		snprintf(folder, sizeof folder, "/tmp/postern-quarantine-XXXXXX");
		ck_assert_ptr_nonnull(mkdtemp(folder));
		snprintf(file, sizeof file, "%s/x.sqlite", folder);
	}
	ck_assert_msg(quarantine_open(q, file, most, 30, &e) == 0, "%s", e.text);
}

static void end_store(struct quarantine *q)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	quarantine_close(q);
	for (int i = 0; i < 3; i++) {
		char path[128];
		snprintf(path, sizeof path, "%s%s", file, ends[i]);
		unlink(path);
	}
	ck_assert_int_eq(rmdir(folder), 0);
	folder[0] = 0;
}

#define HEADER "Subject: hello\nFrom: a@far.test\n\n"

/* A body that does not compress, the same for the same seed. */
static void fill(char *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1103515245u + 12345u;
		p[i] = (char)(seed >> 16);
	}
}

static void make_job(struct job *job, size_t body_octets, unsigned seed)
{
	static struct recipient rcpt[2] = {{.address = {"U1@campus.test", 14}}, {.address = {"u2@campus.test", 14}, .orcpt = {"rfc822;x@y", 10}}};
	struct err e;
	char *body = malloc(body_octets + 1);
	*job = JOB_INIT;
	id_make(job->id);
	job->env = (struct envelope){.id = slice_str(job->id), .class = CLASS_OUTSIDE, .wall_usec = 5, .sender = slice_str("a@far.test"),
		.rcpt = rcpt, .rcpts = 2};
	job->header = slice_str(HEADER);
	fill(body, body_octets, seed);
	ck_assert_int_eq(content_of_file(&job->body, memfd_with("body", slice_make(body, body_octets), &e), BODY_MAX, &e), 0);
	free(body);
}

static void end_job(struct job *job)
{
	job->env = (struct envelope){0};
	job_close(job);
}

static const size_t sizes[] = {0, 1, QUARANTINE_PIECE - 1, QUARANTINE_PIECE, QUARANTINE_PIECE + 1, 3 * QUARANTINE_PIECE + 17};

START_TEST(round_trip)
{
	struct quarantine q;
	struct job job;
	struct kept k;
	struct err e = {0};
	struct envelope env;
	struct slice header;
	struct buf head = BUF_INIT(HEAD_MAX);
	struct content body = CONTENT_INIT;
	size_t n = sizes[_i];
	open_store(&q, 1 << 30);
	make_job(&job, n, 7);
	ck_assert_msg(quarantine_keep(&q, &job, slice_str(HEADER), &note, &e) == 0, "%s", e.text);
	ck_assert_int_eq(quarantine_keep(&q, &job, slice_str(HEADER), &note, &e), E_SYS); /* one id, one message */
	quarantine_close(&q);
	open_store(&q, 1 << 30);
	ck_assert_int_eq(quarantine_find(&q, &k, slice_str(job.id), &e), 0);
	ck_assert(strcmp(k.state, "kept") == 0 && !k.malware && k.body_octets == (long long)n);
	ck_assert_msg(quarantine_restore(&q, &k, &head, &body, &e) == 0, "%s", e.text);
	ck_assert_int_eq(envelope_decode(&env, &header, buf_slice(&head), &e), 0);
	ck_assert(slice_eq_str(header, HEADER) && env.rcpts == 2 && slice_eq_str(env.rcpt[1].orcpt, "rfc822;x@y") && env.wall_usec == 5);
	envelope_free(&env);
	size_t size;
	ck_assert_int_eq(memfd_check(&size, body.fd, BODY_MAX, &e), 0);
	ck_assert(size == n && body.octets == n && content_look(&body, &e) == 0);
	char *was = malloc(n + 1);
	fill(was, n, 7);
	ck_assert(slice_eq(content_slice(&body), slice_make(was, n)));
	free(was);
	content_close(&body);
	buf_free(&head);
	/* A piece lost or changed is damage, and nothing is handed out. */
	head = BUF_INIT(HEAD_MAX);
	ck_assert_int_eq(db_do(q.db, NULL, "delete from piece where number = (select max(number) from piece)", NULL, 0, &e), 0);
	ck_assert_int_eq(quarantine_restore(&q, &k, &head, &body, &e), E_PEER);
	ck_assert_int_eq(body.fd, -1);
	buf_free(&head);
	ck_assert_int_eq(quarantine_delete(&q, slice_str(job.id), &e), 0);
	ck_assert_int_eq(quarantine_delete(&q, slice_str(job.id), &e), E_REFUSED);
	ck_assert_int_eq(quarantine_delete(&q, slice_str("0123456789abc"), &e), E_NOT_FOUND);
	ck_assert_int_eq(quarantine_delete(&q, slice_str("' or 1=1 --"), &e), E_NOT_FOUND);
	end_job(&job);
	end_store(&q);
}
END_TEST

static long long number(struct quarantine *q, const char *sql)
{
	long long v;
	ck_assert_int_eq(db_number(q->db, &v, -7, sql, NULL, 0, NULL), 0);
	return v;
}

START_TEST(limits)
{
	struct quarantine q;
	struct job job[3];
	struct err e = {0};
	long long gone;
	open_store(&q, 150000);
	for (unsigned i = 0; i < 3; i++)
		make_job(&job[i], 100000, i);
	ck_assert_int_eq(quarantine_keep(&q, &job[0], slice_str(HEADER), &note, &e), 0);
	ck_assert_int_eq(quarantine_keep(&q, &job[1], slice_str(HEADER), &note, &e), E_TOO_LONG);
	ck_assert_int_eq(number(&q, "select count(*) from message"), 1);
	ck_assert_int_eq(number(&q, "select count(*) from recipient"), 2);
	ck_assert_int_eq(quarantine_delete(&q, slice_str(job[0].id), &e), 0);
	ck_assert_int_eq(number(&q, "select count(*) from piece"), 0);
	ck_assert_int_eq(quarantine_keep(&q, &job[1], slice_str(HEADER), &note, &e), 0);
	ck_assert_int_eq(quarantine_forget(&q, job[1].id, &e), 0);
	ck_assert_int_eq(quarantine_keep(&q, &job[2], slice_str(HEADER), &note, &e), 0);
	/* Just old enough, and not quite. */
	ck_assert_int_eq(quarantine_tend(&q, clock_wall_usec() + 29LL * 86400 * 1000000, &gone, &e), 0);
	ck_assert_int_eq(gone, 0);
	ck_assert_int_eq(quarantine_tend(&q, clock_wall_usec() + 30LL * 86400 * 1000000 + 1, &gone, &e), 0);
	ck_assert_int_eq(gone, 2);
	ck_assert_int_eq(number(&q, "select count(*) from piece") + number(&q, "select count(*) from recipient"), 0);
	ck_assert_int_eq(q.stored, 0);
	for (int i = 0; i < 3; i++)
		end_job(&job[i]);
	end_store(&q);
}
END_TEST

/* The queue's part in a process of its own: answers ANSWER; "": takes the job and ends without a word. */
static pid_t queue_saying(int sock[2], const char *answer)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, sock), 0);
	pid_t pid = fork();
	if (pid)
		return pid;
	struct job job;
	struct err e;
	int rc = job_receive(&job, sock[1], deadline_in(5000), &e);
	if (rc == 0 && answer[0])
		job_answer(&job, "%s", answer);
	_exit(rc == 0 && job.env.rcpts == 2 && job.body.octets == 100 && slice_eq_str(job.header, HEADER) && job.env.wall_usec > 5 ? 0 : 1);
}

static const struct {
	const char *answer;
	int rc;
	const char *state;
	int again; /* without, and then with force */
} answers[] = {
	{"250 2.0.0 ok", 0, "released", E_REFUSED},
	{"451 4.3.0 not now", E_PEER, "kept", 0},
	{"554 5.6.0 never", E_PEER, "kept", 0},
	{"", E_EOF, "doubt", E_REFUSED},
	{"nonsense", E_EOF, "doubt", E_REFUSED},
};

START_TEST(release)
{
	struct quarantine q;
	struct job job;
	struct kept k;
	struct err e = {0};
	char new_id[ID_LEN + 1];
	int sock[2], status;
	open_store(&q, 1 << 30);
	make_job(&job, 100, 1);
	ck_assert_int_eq(quarantine_keep(&q, &job, slice_str(HEADER), &note, &e), 0);
	pid_t pid = queue_saying(sock, answers[_i].answer);
	close(sock[1]);
	ck_assert_msg(quarantine_release(&q, new_id, slice_str(job.id), false, sock[0], &e) == answers[_i].rc, "%s: %s", answers[_i].answer, e.text);
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	close(sock[0]);
	ck_assert_int_eq(quarantine_find(&q, &k, slice_str(job.id), &e), 0);
	ck_assert_str_eq(k.state, answers[_i].state);
	ck_assert_int_eq(k.release_id[0] != 0, strcmp(k.state, "kept") != 0);
	ck_assert(!k.release_id[0] || strcmp(k.release_id, new_id) == 0);
	ck_assert_int_eq(number(&q, "select count(*) from piece") > 0, strcmp(k.state, "released") != 0);
	for (int force = 0; force < 2; force++) {
		pid = queue_saying(sock, "250 2.0.0 ok");
		close(sock[1]);
		int rc = quarantine_release(&q, new_id, slice_str(job.id), force, sock[0], &e);
		if (rc == 0)
			ck_assert_int_eq(quarantine_find(&q, &k, slice_str(job.id), &e), 0);
		ck_assert_int_eq(rc, !force ? answers[_i].again : _i == 0 || answers[_i].again == 0 ? E_REFUSED : 0);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(sock[0]);
	}
	ck_assert_str_eq(k.state, "released");
	end_job(&job);
	end_store(&q);
}
END_TEST

START_TEST(malware)
{
	struct quarantine q;
	struct job job;
	struct err e = {0};
	struct quarantine_note bad = {.cause = CAUSE_SPAM, .malware = true, .reason = "x"};
	char new_id[ID_LEN + 1];
	open_store(&q, 1 << 30);
	make_job(&job, 100, 1);
	ck_assert_int_eq(quarantine_keep(&q, &job, slice_str(HEADER), &bad, &e), 0);
	ck_assert_int_eq(quarantine_release(&q, new_id, slice_str(job.id), false, -1, &e), E_REFUSED);
	ck_assert_msg(strstr(e.text, "malware"), "%s", e.text);
	ck_assert_int_eq(number(&q, "select count(*) from message where state = 'kept'"), 1);
	end_job(&job);
	end_store(&q);
}
END_TEST

/* A process keeps and releases without end and is killed; a queue in another process counts what it got. */
static _Noreturn void toil(int sock, volatile long long *acked)
{
	struct quarantine q;
	struct err e;
	struct job job;
	char new_id[ID_LEN + 1];
	open_store(&q, 1 << 30);
	for (;;) {
		make_job(&job, 100, 1);
		if (quarantine_keep(&q, &job, slice_str(HEADER), &note, &e) < 0)
			_exit(1);
		++acked[0];
		if (quarantine_release(&q, new_id, slice_str(job.id), false, sock, &e) < 0)
			_exit(1);
		++acked[1];
		end_job(&job);
	}
}

static _Noreturn void count_jobs(int sock, volatile long long *got)
{
	struct job job;
	struct err e;
	for (;;) {
		if (job_receive(&job, sock, DEADLINE_NEVER, &e) < 0)
			continue;
		++*got;
		job_answer(&job, "250 2.0.0 ok");
		job_close(&job);
	}
}

START_TEST(killed)
{
	volatile long long *seen = mmap(NULL, 3 * sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct quarantine q;
	int sock[2];
	open_store(&q, 1 << 30);
	quarantine_close(&q);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, sock), 0);
	pid_t counter = fork();
	if (counter == 0)
		count_jobs(sock[1], &seen[2]);
	for (unsigned round = 0; round < 12 || (seen[1] <= 5 && round < 120); round++) {
		pid_t pid = fork();
		if (pid == 0)
			toil(sock[0], seen);
		usleep(30000 + 9000 * (round % 12));
		ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		usleep(20000);
		open_store(&q, 1 << 30);
		long long doubt = number(&q, "select count(*) from message where state = 'doubt'");
		long long released = number(&q, "select count(*) from message where state = 'released'");
		ck_assert_int_ge(number(&q, "select count(*) from message"), seen[0]);
		ck_assert_int_ge(released, seen[1]);
		ck_assert_msg(seen[2] >= released && seen[2] <= released + doubt, "%lld at the queue, %lld released, %lld in doubt", seen[2], released, doubt);
		quarantine_close(&q);
	}
	kill(counter, SIGKILL);
	waitpid(counter, NULL, 0);
	ck_assert_int_gt(seen[1], 5);
	open_store(&q, 1 << 30);
	end_store(&q);
}
END_TEST

static const struct {
	const char *spec, *header;
	const char *rest; /* NULL: refused */
} notes[] = {
	{"whole", "X-Postern-Quarantine: virus 1 - virus X\nSubject: x\n\n", "Subject: x\n\n"},
	{"negative score", "X-Postern-Quarantine: spam 0 -2500 why\n\n", "\n"},
	{"no reason", "X-Postern-Quarantine: spam 0 2500 \n x", " x"},
	{"at its limit", "X-Postern-Quarantine: spam 0 100000000 a\n", ""},
	{"over it", "X-Postern-Quarantine: spam 0 100000001 a\n", NULL},
	{"no line end", "X-Postern-Quarantine: spam 0 1 a", NULL},
	{"no cause", "X-Postern-Quarantine: none 0 1 a\n", NULL},
	{"unknown cause", "X-Postern-Quarantine: worm 0 1 a\n", NULL},
	{"malware 2", "X-Postern-Quarantine: spam 2 1 a\n", NULL},
	{"too short", "X-Postern-Quarantine: spam 0 1\n", NULL},
	{"not printable", "X-Postern-Quarantine: spam 0 1 a\tb\n", NULL},
	{"another field", "Subject: spam 0 1 a\n", NULL},
	{"empty", "", NULL},
};

START_TEST(note_line)
{
	struct quarantine_note n;
	struct slice header = slice_str(notes[_i].header);
	struct err e;
	int rc = quarantine_note_take(&n, &header, &e);
	ck_assert_msg(rc == (notes[_i].rest ? 0 : E_PEER), "%s", notes[_i].spec);
	ck_assert_msg(slice_eq_str(header, notes[_i].rest ? notes[_i].rest : notes[_i].header), "%s", notes[_i].spec);
}
END_TEST

START_TEST(note_round_trip)
{
	struct quarantine_note n = {.cause = CAUSE_BANNED, .malware = true, .scored = true, .milli = 6300}, out;
	struct buf b = BUF_INIT(1000);
	memset(n.reason, 'x', NOTE_REASON_MAX);
	quarantine_note_add(&b, &n);
	struct slice s = buf_slice(&b);
	ck_assert_int_eq(quarantine_note_take(&out, &s, NULL), 0);
	ck_assert(out.cause == n.cause && out.malware && out.scored && out.milli == 6300 && strcmp(out.reason, n.reason) == 0 && s.n == 0);
	buf_free(&b);
}
END_TEST

UNIT_MAIN("quarantine", tcase_add_loop_test(t, round_trip, 0, sizeof sizes / sizeof *sizes); tcase_add_test(t, limits);
	tcase_add_loop_test(t, release, 0, sizeof answers / sizeof *answers); tcase_add_test(t, malware); tcase_add_test(t, killed);
	tcase_add_loop_test(t, note_line, 0, sizeof notes / sizeof *notes); tcase_add_test(t, note_round_trip);)
