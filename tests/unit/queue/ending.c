/* queue/ending, notes, recover: what the queue has to write down of a message cannot be made or added: no memory, or more waits for the disk than memory may
 * hold.  Nothing is lost, nothing is done twice, somebody is told, the rest of the mail goes on, and the operator is not told that it is done.
 *
 * The real program, with the real log; where it takes its memory is wrapped by the linker (Makefile). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "queue/dispatch.h"
#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/harness/mishap.h"
#include "tests/harness/process.h"
#include "tests/unit/unit.h"

enum {
	NO_STATE = 1,  /* its octets find no memory */
	NO_ADD,        /* the store takes no note */
	NO_COPY,       /* what is moved to another segment cannot be read for want of memory */
	NO_MEMBER,     /* the second of the members of a group finds no memory */
	NO_RESULT,     /* what is noted of a delivery finds memory for half of it */
};
static int in; /* what of these goes on now */
static unsigned mallocs;

static bool refused(int place)
{
	if (!mishap_shared || in != place || mishap_shared->no_ending != place)
		return false;
	mishap_shared->no_endings++;
	errno = ENOMEM;
	return true;
}

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n)
{
	return refused(NO_STATE) || refused(NO_COPY) || (in == NO_RESULT && n > 256 && refused(NO_RESULT)) ? NULL : __real_realloc(p, n);
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n)
{
	return in == NO_MEMBER && ++mallocs == 3 && refused(NO_MEMBER) ? NULL : __real_malloc(n);
}

int __real_work_state(struct buf *b, const struct work *w, int64_t next_sec, bool told);
int __wrap_work_state(struct buf *b, const struct work *w, int64_t next_sec, bool told);
int __wrap_work_state(struct buf *b, const struct work *w, int64_t next_sec, bool told)
{
	const int before = in;
	in = NO_STATE;
	int rc = __real_work_state(b, w, next_sec, told);
	in = before;
	return rc;
}

int __real_work_expand(struct work *w, uint32_t rcpt, struct slice targets, const struct note_expand *x, struct err *e);
int __wrap_work_expand(struct work *w, uint32_t rcpt, struct slice targets, const struct note_expand *x, struct err *e);
int __wrap_work_expand(struct work *w, uint32_t rcpt, struct slice targets, const struct note_expand *x, struct err *e)
{
	in = NO_MEMBER;
	mallocs = 0;
	int rc = __real_work_expand(w, rcpt, targets, x, e);
	in = 0;
	return rc;
}

void __real_results_end(struct queue *q, struct unit *u, const char *unknown);
void __wrap_results_end(struct queue *q, struct unit *u, const char *unknown);
void __wrap_results_end(struct queue *q, struct unit *u, const char *unknown)
{
	in = NO_RESULT;
	__real_results_end(q, u, unknown);
	in = 0;
}

/* As where the list of what is pending cannot grow, and neither can the commit make room. */
int __real_store_add(struct store *s, const struct store_record *group, size_t n, bool droppable, struct err *e);
int __wrap_store_add(struct store *s, const struct store_record *group, size_t n, bool droppable, struct err *e);
int __wrap_store_add(struct store *s, const struct store_record *group, size_t n, bool droppable, struct err *e)
{
	const int before = in;
	in = droppable || group->kind == RECORD_CLEAN || group->kind == RECORD_VOID ? before : NO_ADD;
	const bool no = refused(NO_ADD);
	in = before;
	return no ? err_sys(e, "pending records") : __real_store_add(s, group, n, droppable, e);
}

bool __real_store_tend(struct store *s, struct err *e);
bool __wrap_store_tend(struct store *s, struct err *e);
bool __wrap_store_tend(struct store *s, struct err *e)
{
	in = NO_COPY;
	const bool more = __real_store_tend(s, e);
	in = 0;
	return more;
}

/* With ASan: a start that fails ends by exit(), where LeakSanitizer wants what the queue's confinement forbids. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* ---- what the queue says ---- */

static char folder[] = "/tmp/postern-ending.XXXXXX", log_file[64];

static void open_quiet(struct harness *h, const char *const settings[][2])
{
	memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
	if (!mkdtemp(folder) || chmod(folder, 0755) < 0)
		die("log");
	snprintf(log_file, sizeof log_file, "%s/log", folder);
	int fd = open(log_file, O_RDWR | O_CREAT | O_EXCL, 0666);
	if (fd < 0 || fchmod(fd, 0666) < 0)
		die("log");
	close(fd);
	setenv("HARNESS_LOG", log_file, 1);
	harness_quiet = true;
	harness_open(h, settings);
}

static void close_quiet(struct harness *h)
{
	harness_close(h);
	unlink(log_file);
	rmdir(folder);
}

static unsigned lines_with(const char *a, const char *b)
{
	static char line[8192];
	FILE *f = fopen(log_file, "r");
	unsigned n = 0;
	while (f && fgets(line, sizeof line, f))
		n += strstr(line, a) && strstr(line, b);
	if (f)
		fclose(f);
	return n;
}

static bool listed(struct harness *h, const char *with)
{
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && strstr(rows, with);
}

static const char *id;
static bool two_faults(struct harness *h) { return h->shared->no_endings > 1 && lines_with(" fault ", id) >= 2; }
/* Of the message; its recipients have rows of their own. */
static bool is_waiting(struct harness *h) { return listed(h, "state=waiting;hold="); }
static const char *row;
static bool shown(struct harness *h) { return row ? listed(h, row) : empty(h); }
static bool two_tries(struct harness *h) { return h->shared->no_endings >= 3; }
static bool refused_once(struct harness *h) { return h->shared->no_endings > 0; }
static bool other_delivered(struct harness *h) { return h->shared->delivered[2] != 0; }
static bool reported(struct harness *h) { return h->shared->reports > 0; }

static void send_first(struct harness *h, const char *const *to, size_t count, char text[ANSWER_MAX + 1])
{
	ck_assert_int_eq(send_one(h, "sender@here.test", to, count, 1, text), 250);
}

/* ---- the end of an attempt ---- */

static const struct end {
	const char *to[3];
	size_t rcpts;
	int place;
	const char *notify;
	unsigned delivered, failed; /* that the sender is told of */
	bool stays;                 /* somebody is still to be tried */
} ends[] = {
	{{"u1@here.test", "far@far.test"}, 2, NO_STATE, "", 0, 0, true},
	{{"u1@here.test", "far@far.test"}, 2, NO_ADD, "", 0, 0, true},
	{{"u1@here.test", "bad@here.test", "far@far.test"}, 3, NO_STATE, "", 0, 1, true},
	{{"u1@here.test", "bad@here.test", "far@far.test"}, 3, NO_ADD, "SF", 1, 1, true},
	{{"u1@here.test", "unknown@here.test"}, 2, NO_ADD, "", 0, 1, false},
	{{"u1@here.test", "u2@here.test"}, 2, NO_ADD, "SF", 2, 0, false},
};
#define ENDS (int)(sizeof ends / sizeof *ends)
enum { RETURNS, KILLED, STOPPED, MEANS }; /* how the want of memory ends */

static const struct end *end;

static bool settled(struct harness *h)
{
	return end->stays ? is_waiting(h) : empty(h);
}

/* By the operator, so that nothing waits for the curve. */
static void try_again(struct harness *h)
{
	const unsigned questions = h->shared->questions;
	ck_assert_int_eq(command(h, rows, sizeof rows, "retry", "all", NULL), 0);
	for (int i = 0; i < 2000 && h->shared->questions == questions; i++)
		usleep(5000);
	ck_assert(until(is_waiting, h));
}

static long long messages(struct harness *h)
{
	const char *at = command(h, rows, sizeof rows, "status", NULL, NULL) == 0 ? strstr(rows, "messages=") : NULL;
	return at ? atoll(at + 9) : -1;
}

static bool no_more_than(struct harness *h, long long most)
{
	for (int i = 0; i < 2000 && messages(h) != most; i++)
		usleep(1000);
	return messages(h) == most;
}

START_TEST(attempt)
{
	const int how = _i % MEANS;
	struct harness h;
	char text[ANSWER_MAX + 1], other[ANSWER_MAX + 1];
	end = &ends[_i / MEANS];
	open_quiet(&h, NULL);
	harness_notify = end->notify;
	h.shared->no_ending = end->place;
	send_first(&h, end->to, end->rcpts, text);
	id = text + 9;
	/* the operator sees it, and that it is not over; the other mail goes on; nobody is told of what is not written */
	ck_assert(until(two_faults, &h));
	ck_assert(listed(&h, text + 9));
	harness_notify = "";
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"u9@here.test"}, 1, 2, other), 250);
	ck_assert(until(other_delivered, &h));
	ck_assert_uint_eq(h.shared->reports, 0);
	ck_assert_uint_eq(lines_with(" queue-bounced ", ""), 0);
	ck_assert(no_more_than(&h, end->place == NO_STATE ? 1 : 2)); /* the report that was made has no place in the index */
	ck_assert_uint_eq(h.shared->deliveries, 2);
	if (how != RETURNS) {
		usleep(RESULT_MSEC * 1000 * 4);
		queue_end(&h, how == KILLED ? SIGKILL : SIGTERM);
		h.shared->no_ending = 0;
		queue_start(&h);
		if (end->stays)
			ck_assert_int_eq(command(&h, rows, sizeof rows, "retry", "all", NULL), 0);
	}
	h.shared->no_ending = 0;
	ck_assert(until(settled, &h));
	if (end->delivered + end->failed)
		ck_assert(until(reported, &h));
	ck_assert(until(settled, &h));
	if (end->stays)
		try_again(&h);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	queue_start(&h);
	ck_assert(until(settled, &h));
	if (end->stays)
		try_again(&h);
	ck_assert_uint_eq(h.shared->told[0][1], end->delivered);
	ck_assert_uint_eq(h.shared->told[2][1], end->failed);
	ck_assert_uint_eq(h.shared->reports, end->delivered + end->failed > 0);
	ck_assert_uint_eq(h.shared->twice[1] + h.shared->twice[2], 0);
	/* who is done is not tried again, but where a kill or a stop came before even that could be written: then in doubt, so that the agent finds its own copy */
	if (how == RETURNS)
		ck_assert_uint_eq(h.shared->doubtful, 0);
	if (end->place == NO_STATE)
		ck_assert(strcmp(h.shared->recipients[0], "u1@here.test") == 0 && lines_with(" queue-delivered ", "rcpt=u1@here.test") == 1);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

/* ---- what an operator says ---- */

static const struct order {
	const char *verb, *arg;
	bool held;     /* before */
	int place;
	const char *before, *after; /* in the list */
} orders[] = {
	{"hold", "because=looks odd", false, NO_STATE, "state=waiting;hold=;", "state=held;hold=looks odd;"},
	{"hold", "because=looks odd", false, NO_ADD, "state=waiting;hold=;", "state=held;hold=looks odd;"},
	{"release", NULL, true, NO_STATE, "state=held;hold=before;", "state=waiting;hold=;"},
	{"release", NULL, true, NO_ADD, "state=held;hold=before;", "state=waiting;hold=;"},
	{"delete", NULL, false, NO_ADD, "state=waiting;hold=;", NULL},
	{"delete", NULL, true, NO_ADD, "state=held;hold=before;", NULL},
};
#define ORDERS (int)(sizeof orders / sizeof *orders)

START_TEST(operator)
{
	const struct order *o = &orders[_i / 2];
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_notify = "";
	open_quiet(&h, NULL);
	send_first(&h, (const char *[]){"far@far.test"}, 1, text);
	ck_assert(until(is_waiting, &h));
	if (o->held)
		ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text + 9, "because=before"), 0);
	h.shared->no_ending = o->place;
	ck_assert_int_eq(command(&h, rows, sizeof rows, o->verb, text + 9, o->arg), 1);
	ck_assert_msg(strstr(rows, "matched=1;done=0;") != NULL, "%s", rows);
	ck_assert_uint_ge(lines_with(" fault ", text + 9), 1);
	row = o->before;
	ck_assert(shown(&h));
	h.shared->no_ending = 0;
	if (_i % 2) {
		queue_end(&h, SIGKILL);
		queue_start(&h);
	}
	row = o->before;
	ck_assert(until(shown, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, o->verb, text + 9, o->arg), 0);
	queue_end(&h, SIGKILL);
	queue_start(&h);
	row = o->after;
	ck_assert(until(shown, &h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

static bool stalls(struct harness *h) { return listed(h, "state=delivering;destination="); } /* the agent has it */

/* Held or bounced while it is being delivered: not noted, so not done, and it is delivered. */
START_TEST(operator_while_delivered)
{
	const char *verb = _i % 2 ? "bounce" : "hold";
	struct harness h;
	char text[ANSWER_MAX + 1];
	open_quiet(&h, NULL);
	h.shared->stall_from = 1;
	send_first(&h, (const char *[]){"u1@here.test", "slow@here.test"}, 2, text);
	ck_assert(until(stalls, &h));
	h.shared->no_ending = _i / 2 ? NO_ADD : NO_STATE;
	ck_assert_int_eq(command(&h, rows, sizeof rows, verb, text + 9, "because=looks odd"), 1);
	h.shared->no_ending = 0;
	h.shared->stall_from = 0;
	ck_assert(until(is_waiting, &h));
	ck_assert(h.shared->recipients_seen == 1 && strcmp(h.shared->recipients[0], "u1@here.test") == 0);
	ck_assert_uint_eq(h.shared->reports, 0);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

/* Bounced: what was begun is kept, and the operator hears that it is not on disk; a kill leaves it as it was. */
START_TEST(bounced)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	open_quiet(&h, NULL);
	send_first(&h, (const char *[]){"slow@here.test"}, 1, text);
	ck_assert(until(is_waiting, &h));
	h.shared->no_ending = NO_ADD;
	ck_assert_int_eq(command(&h, rows, sizeof rows, "bounce", text + 9, "because=no longer wanted"), 1);
	ck_assert_msg(strstr(rows, "matched=1;done=1;") != NULL, "%s", rows);
	ck_assert(until(two_tries, &h));
	ck_assert_uint_eq(h.shared->deliveries, 1);
	h.shared->no_ending = 0;
	if (_i) {
		queue_end(&h, SIGKILL);
		queue_start(&h);
		ck_assert(until(is_waiting, &h));
		ck_assert_int_eq(command(&h, rows, sizeof rows, "bounce", text + 9, "because=no longer wanted"), 0);
	}
	ck_assert(until(reported, &h));
	ck_assert(until(empty, &h));
	ck_assert_uint_eq(h.shared->told[2][1], 1);
	ck_assert_uint_eq(h.shared->reports, 1);
	ck_assert_uint_eq(lines_with(" queue-bounced ", text + 9), 1);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

static bool hold_was_over(struct harness *h) { return lines_with(" queue-hold-over ", "") >= 2 && h->shared->no_endings; }

/* A hold's deadline that deletes: it is over again until it can be. */
START_TEST(deadline)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	const struct slice args[] = {slice_str("hold"), slice_str("all"), slice_str("until=1s"), slice_str("then=delete")};
	open_quiet(&h, NULL);
	send_first(&h, (const char *[]){"far@far.test"}, 1, text);
	ck_assert(until(is_waiting, &h));
	ck_assert_int_eq(command_of(&h, rows, sizeof rows, args, 4), 0);
	h.shared->no_ending = NO_ADD;
	ck_assert(until(hold_was_over, &h));
	ck_assert(listed(&h, "state=held;"));
	h.shared->no_ending = 0;
	ck_assert(until(empty, &h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	queue_start(&h);
	ck_assert(empty(&h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

/* ---- a stop ---- */

/* The state of what is under way cannot be written: the log is not said to be clean, so the next start has it in doubt. */
START_TEST(stopped_under_way)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	open_quiet(&h, NULL);
	h.shared->stall_from = 1;
	send_first(&h, (const char *[]){"u1@here.test"}, 1, text);
	ck_assert(until(stalls, &h));
	h.shared->no_ending = _i ? NO_ADD : NO_STATE;
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0); /* it waits 10 s for the agent */
	h.shared->stall_from = 0;
	h.shared->no_ending = 0;
	queue_start(&h);
	ck_assert(until(empty, &h));
	ck_assert_uint_eq(h.shared->deliveries, 2);
	ck_assert_uint_eq(h.shared->doubtful, 1);
	ck_assert_uint_eq(h.shared->twice[1], 0);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

/* One has failed and another is under way when the queue stops, or is killed after the state of both was written: the sender is told of the failure. */
START_TEST(failed_before_stop)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	open_quiet(&h, NULL);
	h.shared->stall_from = 1;
	send_first(&h, (const char *[]){"unknown@here.test", "u1@here.test"}, 2, text);
	ck_assert(until(stalls, &h));
	if (_i)
		ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text + 9, NULL), 0);
	queue_end(&h, _i ? SIGKILL : SIGTERM);
	h.shared->stall_from = 0;
	queue_start(&h);
	if (_i)
		ck_assert_int_eq(command(&h, rows, sizeof rows, "release", text + 9, NULL), 0);
	ck_assert(until(reported, &h));
	ck_assert(until(empty, &h));
	ck_assert_uint_eq(h.shared->told[2][1], 1);
	ck_assert_uint_eq(h.shared->twice[1], 0);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

/* What an operator gave up while it was being delivered is not delivered after a stop. */
START_TEST(given_up_before_stop)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	open_quiet(&h, NULL);
	h.shared->stall_from = 1;
	send_first(&h, (const char *[]){"u1@here.test"}, 1, text);
	ck_assert(until(stalls, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "bounce", text + 9, NULL), 0);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	h.shared->stall_from = 0;
	queue_start(&h);
	ck_assert(until(reported, &h));
	ck_assert(until(empty, &h));
	ck_assert_uint_eq(h.shared->deliveries, 2); /* the one before the stop, and the report */
	ck_assert_uint_eq(h.shared->told[2][1], 1);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

/* ---- a start ---- */

static bool second_stalls(struct harness *h) { return h->shared->deliveries == 1 && stalls(h) && lines_with(" queue-delivered ", "u1@here.test") == 1; }

/* What was noted after the last STATE cannot be made one: nothing starts, as who has had the message would be known no more. */
START_TEST(started)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	open_quiet(&h, NULL);
	h.shared->stall_from = 2;
	/* each has a sender of his own, and so a delivery */
	ck_assert_int_eq(send_one(&h, "list-@here.test-@[]", (const char *[]){"u1@here.test", "u2@here.test"}, 2, 1, text), 250);
	ck_assert(until(second_stalls, &h));
	usleep(RESULT_MSEC * 1000 * 4);
	queue_end(&h, SIGKILL);
	h.shared->stall_from = 0;
	h.shared->no_ending = _i ? NO_ADD : NO_STATE;
	harness_mishap.what = FAIL_ONCE; /* it may fail to start */
	harness_mishap.at = -1;
	queue_start(&h);
	int status = 0;
	ck_assert_int_eq(waitpid(h.queue, &status, 0), h.queue);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 111);
	ck_assert_uint_ge(lines_with("what is known of message", text + 9), 1);
	close(h.lifeline);
	harness_mishap.what = MISHAP_NONE;
	h.shared->no_ending = 0;
	queue_start(&h);
	ck_assert(until(empty, &h));
	ck_assert_uint_eq(h.shared->deliveries, 3); /* u1; u2 before the kill; u2 in doubt */
	ck_assert_uint_eq(h.shared->doubtful, 1);
	ck_assert_uint_eq(h.shared->twice[1], 0);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

#define WINDOW (DELIVERY_RECIPIENTS_MAX + 1)

static bool window_stalls(struct harness *h) { return h->shared->deliveries == 1 && h->shared->no_endings && stalls(h); }

/* Half a RESULT is none: who was delivered to is in doubt after a kill, and the log can be read. */
START_TEST(half_a_result)
{
	static char address[WINDOW][20];
	const char *to[WINDOW];
	struct harness h;
	char text[ANSWER_MAX + 1];
	for (int i = 0; i < WINDOW; i++) {
		snprintf(address[i], sizeof address[i], "u%d@here.test", i);
		to[i] = address[i];
	}
	open_quiet(&h, NULL);
	h.shared->stall_from = 2;
	h.shared->no_ending = NO_RESULT;
	harness_notify = "SF";
	send_first(&h, to, WINDOW, text);
	harness_notify = "";
	ck_assert(until(window_stalls, &h));
	usleep(RESULT_MSEC * 1000 * 4);
	queue_end(&h, SIGKILL);
	h.shared->stall_from = 0;
	h.shared->no_ending = 0;
	queue_start(&h);
	ck_assert(until(reported, &h));
	ck_assert(until(empty, &h));
	ck_assert_uint_eq(lines_with("grammar", ""), 0);
	ck_assert_uint_eq(h.shared->told[0][1], WINDOW);
	ck_assert_uint_eq(h.shared->deliveries, 5); /* two, both again in doubt, and the report */
	ck_assert_uint_eq(h.shared->doubtful, 2);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

/* ---- cleaning ---- */

#define SEGMENTS 7
static const char *const small[][2] = {{"queuesegment", "1048576\n"}, {NULL, NULL}};

/* So much that does not stay that the next lies in another segment. */
static void next_segment(struct harness *h, long long mark)
{
	char text[ANSWER_MAX + 1];
	int body = body_of(900000);
	struct job job;
	struct err e;
	int code = 0;
	job_make(&job, "a@far.test", (const char *[]){"u9@here.test"}, 1, 100 + mark, body);
	int mine = job_offer(h, &job);
	ck_assert(answer_wait(&code, text, mine, deadline_in(10000), &e) == 0 && code == 250);
	for (int i = 0; i < 2000 && !h->shared->delivered[100 + mark]; i++)
		usleep(1000);
	close(mine);
	close(body);
}

/* A message that waits, in a segment of its own. */
static void fill(struct harness *h, long long mark)
{
	char text[ANSWER_MAX + 1];
	ck_assert_int_eq(send_one(h, "sender@here.test", (const char *[]){"u1@here.test", "far@far.test"}, 2, mark, text), 250);
	for (int i = 0; i < 2000 && !h->shared->delivered[mark]; i++)
		usleep(1000);
	next_segment(h, mark);
}

static unsigned segments(struct harness *h)
{
	const char *at = command(h, rows, sizeof rows, "status", NULL, NULL) == 0 ? strstr(rows, "segments=") : NULL;
	return at ? (unsigned)strtoul(at + 9, NULL, 10) : 0;
}

static bool was_cleaned(struct harness *h) { return segments(h) < SEGMENTS; }

static void twice_never(struct harness *h)
{
	for (int i = 1; i <= SEGMENTS; i++)
		ck_assert(h->shared->delivered[i] && !h->shared->twice[i]);
	ck_assert_uint_eq(h->shared->doubtful, 0);
	ck_assert_uint_eq(h->shared->deliveries, 2 * SEGMENTS);
}

/* The state of a message cannot be read when its segment is cleaned: both stay where they are. */
START_TEST(cleaned)
{
	struct harness h;
	open_quiet(&h, small);
	h.shared->no_ending = NO_COPY;
	for (int i = 1; i <= SEGMENTS; i++)
		fill(&h, i);
	ck_assert(until(two_tries, &h));
	ck_assert_uint_ge(lines_with(" fault ", "what is known of message"), 2);
	ck_assert_uint_ge(segments(&h), SEGMENTS);
	queue_end(&h, SIGKILL);
	h.shared->no_ending = 0;
	queue_start(&h);
	try_again(&h);
	twice_never(&h);
	/* they are moved when there is memory, with what is known of them */
	ck_assert(until(was_cleaned, &h));
	queue_end(&h, SIGKILL);
	queue_start(&h);
	try_again(&h);
	twice_never(&h);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

static bool is_kept(struct harness *h) { (void)h; return lines_with(" fault ", "its segment is kept until the next start") > 0; }

/* And where it does not come back, the others are cleaned. */
START_TEST(kept)
{
	struct harness h;
	open_quiet(&h, small);
	h.shared->no_ending = NO_COPY;
	for (int i = 1; i <= SEGMENTS; i++)
		fill(&h, i);
	ck_assert(until(is_kept, &h));
	unsigned before = segments(&h);
	h.shared->no_ending = 0;
	ck_assert(until(was_cleaned, &h));
	ck_assert_uint_lt(segments(&h), before);
	queue_end(&h, SIGKILL);
	queue_start(&h);
	try_again(&h);
	twice_never(&h);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

static bool all_held(struct harness *h) { return command(h, rows, sizeof rows, "status", NULL, NULL) == 0 && strstr(rows, "held=7;"); }

/* The same where the state lies in another segment than its message, with nothing else in it: that of a hold, without which it would be delivered.  For a while,
 * or so long that the segment is given up. */
START_TEST(cleaned_of_states)
{
	struct harness h;
	open_quiet(&h, small);
	h.shared->no_ending = NO_COPY;
	for (int i = 1; i <= SEGMENTS; i++)
		fill(&h, i);
	ck_assert(until(is_waiting, &h));
	next_segment(&h, SEGMENTS + 1);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", "all", NULL), 0);
	next_segment(&h, SEGMENTS + 2);
	h.shared->no_endings = 0;
	ck_assert(until(_i ? is_kept : two_tries, &h));
	usleep(RESULT_MSEC * 1000 * 4);
	queue_end(&h, SIGKILL);
	h.shared->no_ending = 0;
	queue_start(&h);
	ck_assert(all_held(&h));
	ck_assert(until(was_cleaned, &h));
	queue_end(&h, SIGKILL);
	queue_start(&h);
	ck_assert(all_held(&h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

/* ---- a group ---- */

static bool members_tried(struct harness *h) { return h->shared->deliveries > 0 && is_waiting(h); }

/* What it becomes cannot be noted, or not all of it is known: nobody of it is tried, and all are later, once. */
START_TEST(group)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	open_quiet(&h, NULL);
	h.shared->no_ending = _i ? NO_ADD : NO_MEMBER;
	send_first(&h, (const char *[]){"group@here.test", "far@far.test"}, 2, text);
	ck_assert(until(refused_once, &h));
	usleep(300000);
	ck_assert_uint_eq(h.shared->deliveries, 0);
	h.shared->no_ending = 0;
	ck_assert(until(is_waiting, &h));
	ck_assert_uint_eq(h.shared->deliveries, 0);
	ck_assert(listed(&h, "address=group@here.test;state=waiting;"));
	ck_assert(!listed(&h, "member"));
	if (_i) {
		queue_end(&h, SIGKILL);
		queue_start(&h);
	}
	ck_assert_int_eq(command(&h, rows, sizeof rows, "retry", "all", NULL), 0);
	ck_assert(until(members_tried, &h));
	ck_assert(until(reported, &h)); /* of bad-member */
	ck_assert(listed(&h, "address=far-member@far.test;state=waiting;"));
	ck_assert_uint_eq(h.shared->deliveries, 2);
	ck_assert_uint_eq(h.shared->twice[1], 0);
	ck_assert_uint_eq(h.shared->told[2][1], 1);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	close_quiet(&h);
}
END_TEST

UNIT_MAIN("queue-ending", tcase_add_loop_test(t, attempt, 0, ENDS * MEANS); tcase_add_loop_test(t, operator, 0, ORDERS * 2);
	tcase_add_loop_test(t, operator_while_delivered, 0, 4); tcase_add_loop_test(t, bounced, 0, 2); tcase_add_test(t, deadline); tcase_add_test(t, half_a_result);
	tcase_add_loop_test(t, stopped_under_way, 0, 2); tcase_add_loop_test(t, failed_before_stop, 0, 2); tcase_add_test(t, given_up_before_stop);
	tcase_add_loop_test(t, started, 0, 2); tcase_add_test(t, cleaned); tcase_add_test(t, kept); tcase_add_loop_test(t, cleaned_of_states, 0, 2); tcase_add_loop_test(t, group, 0, 2);)
