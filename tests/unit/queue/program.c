/* queue: the real program over socket pairs: taken in, delivered, deferred, bounced, killed. */
#include <poll.h>
#include <sys/time.h>
#include <sys/stat.h>

#include "queue/verify.h"
#include "tests/unit/queue/harness.h"
#include "tests/unit/unit.h"

static bool first_delivered(struct harness *h)
{
	return h->shared->delivered[1];
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
	ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text + 9, "because=looks phished"), 0);
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

static long long number_of(const char *key)
{
	char find[40];
	snprintf(find, sizeof find, "%s=", key);
	const char *at = strstr(rows, find);
	return at ? atoll(at + strlen(find)) : -1;
}

/* What each condition finds among three messages: u1 with a far and a slow recipient, the null sender, and one that is held. */
static const struct selector_row {
	const char *condition;
	int found; /* -1: refused */
} selector_rows[] = {
	{"all", 3}, {"sender=sender@here.test", 2}, {"sender=SENDER@HERE.test", 2}, {"sender=@here.test", 2}, {"sender=@ere.test", 0}, {"sender=", 1},
	{"recipient=slow@here.test", 2}, {"recipient=@far.test", 2}, {"recipient=ok@here.test", 0}, {"domain=far.test", 2}, {"domain=test", 0},
	{"host=far.test", 2}, {"host=here.test", 0}, {"client=192.0.2.1", 3}, {"client=client.test", 3}, {"client=192.0.2.2", 0}, {"class=outside", 3}, {"class=submission", 0},
	{"class=inside", -1}, {"state=held", 1}, {"state=waiting", 2}, {"state=delivering", 0}, {"state=asleep", -1}, {"hold=", 1}, {"hold=PHISHED", 1}, {"hold=x", 0},
	{"owner=anna", 0}, {"user=", 3}, {"reason=TRY later", 2}, {"reason=no program for", 2}, {"reason=phish", 1}, {"reason=other", 0}, {"reason=", -1},
	{"older=1h", 0}, {"older=0", 3}, {"newer=1h", 3}, {"newer=2d", 3}, {"older=1w", -1}, {"older=-1", -1}, {"newer=", -1}, {"colour=red", -1}, {"id=x", -1},
	{"id=", -1}, {"0000000000000", 0}, {"=", -1}, {"", -1}, {"because=x", -1},
};

static bool three_wait(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", "state=waiting", NULL) == 0 && strstr(rows, "kind=message") && number_of("attempts") == 1 &&
	       command(h, rows, sizeof rows, "status", NULL, NULL) == 0 && number_of("messages") == 3 && number_of("delivering") == 0;
}

static int found(const char *text)
{
	int n = 0;
	while ((text = strstr(text, "kind=message;"))) {
		n++;
		text++;
	}
	return n;
}

START_TEST(selected)
{
	struct harness h;
	char text[3][ANSWER_MAX + 1], both[100];
	harness_open(&h, NULL);
	ck_assert_int_eq(send_one(&h, "sender@here.test", (const char *[]){"slow@here.test", "far@far.test", "ok@here.test"}, 3, 1, text[0]), 250);
	ck_assert_int_eq(send_one(&h, "", (const char *[]){"slow@here.test"}, 1, 2, text[1]), 250);
	ck_assert_int_eq(send_one(&h, "sender@here.test", (const char *[]){"far@far.test"}, 1, 3, text[2]), 250);
	ck_assert(until(three_wait, &h));
	/* a count first, which does nothing */
	ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text[2] + 9, "dry-run"), 0);
	ck_assert_int_eq(number_of("done"), 1);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text[2] + 9, "because=phished"), 0);
	ck_assert_int_eq(number_of("done"), 1);
	for (size_t i = 0; i < sizeof selector_rows / sizeof *selector_rows; i++) {
		const struct selector_row *r = &selector_rows[i];
		int code = command(&h, rows, sizeof rows, "list", r->condition, NULL), n = found(rows);
		ck_assert_msg(code == (r->found < 0 ? 100 : 0) && n == (r->found < 0 ? 0 : r->found), "%s: code %d, %d found", r->condition, code, n);
	}
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", "sender=sender@here.test", "state=waiting"), 0);
	ck_assert_int_eq(found(rows), 1);
	snprintf(both, sizeof both, "id=%.13s,%.13s", text[0] + 9, text[2] + 9);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", both, NULL), 0);
	ck_assert_int_eq(found(rows), 2);
	/* Verbs need to be told which; an id that is not there is said. */
	static const char *const wrong[][2] = {{"delete", NULL}, {"delete", "dry-run"}, {"hold", "because=x"}, {"hold", "then=delete"}, {"retry", "until=1h"}};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ck_assert_int_eq(command(&h, rows, sizeof rows, wrong[i][0], wrong[i][1], NULL), 100);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "delete", "all", "sender="), 100);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "delete", "0000000000000", NULL), 1);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "release", text[0] + 9, NULL), 1);
	/* top: by sender two and one; by domain */
	ck_assert_int_eq(command(&h, rows, sizeof rows, "top", NULL, NULL), 0);
	ck_assert_ptr_nonnull(strstr(rows, "kind=top;key=sender@here.test;messages=2;recipients=3;"));
	ck_assert_ptr_nonnull(strstr(rows, "kind=top;key=;messages=1;recipients=1;"));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "top", "by=domain", "limit=1"), 0);
	ck_assert_ptr_nonnull(strstr(rows, "key=far.test;messages=2;") ? rows : strstr(rows, "key=here.test;messages=2;"));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "top", "by=colour", NULL), 100);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

static bool attempt_over(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", "recipients=all", NULL) == 0 && strstr(rows, "attempts=1;") && strstr(rows, "state=waiting;hold=");
}

/* What an operator sees and does right after an attempt counts with its outcome, though its record is not durable yet: who is done stays done. */
START_TEST(steered_at_once)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"slow@here.test", "ok@here.test"}, 2, 1 + i, text), 250);
		ck_assert(until(attempt_over, &h));
		ck_assert_ptr_nonnull(strstr(rows, "address=ok@here.test;state=done"));
		ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", text + 9, NULL), 0);
		unsigned before = h.shared->deliveries;
		ck_assert_int_eq(command(&h, rows, sizeof rows, "release", text + 9, NULL), 0);
		for (int k = 0; k < 200 && h.shared->deliveries == before; k++)
			usleep(5000);
		usleep(20000);
		ck_assert_uint_eq(h.shared->recipients_seen, (unsigned)i + 1); /* those that were delivered to */
		ck_assert_int_eq(command(&h, rows, sizeof rows, "delete", text + 9, NULL), 0);
		ck_assert(until(empty, &h));
	}
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

static bool is_busy(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", "state=delivering", NULL) == 0 && strstr(rows, "address=u1@here.test;state=delivering;");
}

/* What an operator was told is done while the message was being delivered survives a kill before the delivery has ended. */
static const struct busy_row {
	const char *verb, *because;
	int waits; /* messages there after the start */
	bool told;
} busy_rows[] = {{"delete", NULL, 0, false}, {"hold", "because=let me see", 1, false}, {"bounce", "because=the list is closed", 0, true}};

START_TEST(steered_while_busy)
{
	const struct busy_row *r = &busy_rows[_i];
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	h.shared->stall_from = 1;
	ck_assert_int_eq(send_one(&h, "sender@here.test", (const char *[]){"u1@here.test"}, 1, 1, text), 250);
	ck_assert(until(is_busy, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, r->verb, text + 9, r->because), 0);
	ck_assert_int_eq(number_of("done"), 1);
	queue_end(&h, SIGKILL);
	unsigned before = h.shared->deliveries;
	h.shared->stall_from = 0;
	queue_start(&h);
	ck_assert(!r->told || until(sender_told, &h));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "list", NULL, NULL), 0);
	ck_assert_int_eq(found(rows), r->waits);
	ck_assert(!r->waits || strstr(rows, "state=held;hold=let me see;"));
	for (int i = 0; i < 400 && h.shared->deliveries < before + 1; i++) /* the one that was under way */
		usleep(5000);
	usleep(50000);
	ck_assert_uint_eq(h.shared->deliveries, before + 1 + r->told);
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

static bool only_bounce_wait(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && found(rows) == 1 && strstr(rows, "class=bounce;");
}

/* An operator bounces what waits: the sender hears what is open, in the operator's words; the far recipient as well as the one held. */
START_TEST(bounced_by_operator)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	ck_assert_int_eq(send_one(&h, "slow-sender@here.test", (const char *[]){"slow@here.test", "ok@here.test"}, 2, 1, text), 250);
	ck_assert(until(has_reason, &h));
	if (_i)
		ck_assert_int_eq(command(&h, rows, sizeof rows, "hold", "all", NULL), 0);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "bounce", "all", "because=that list is closed"), 0);
	ck_assert_int_eq(number_of("done"), 1);
	ck_assert(until(only_bounce_wait, &h));
	ck_assert_ptr_nonnull(strstr(rows, "address=slow-sender@here.test;"));
	ck_assert_int_eq(command(&h, rows, sizeof rows, "delete", "class=bounce", NULL), 0);
	ck_assert(until(empty, &h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* Many at once, in slices: mail is accepted within a moment all the while. */
static void fill(struct harness *h, unsigned count)
{
	int body = body_of(200), *mine = calloc(count, sizeof *mine), code;
	char text[ANSWER_MAX + 1], sender[40];
	struct err e;
	for (unsigned i = 0, answered = 0; answered < count; answered++) {
		for (; i < count && i < answered + 64; i++) {
			struct job job;
			snprintf(sender, sizeof sender, "s%u@far.test", i % 3);
			job_make(&job, sender, (const char *[]){"far@far.test"}, 1, -1, body);
			mine[i] = job_offer(h, &job);
		}
		ck_assert_int_eq(answer_wait(&code, text, mine[answered], deadline_in(60000), &e), 0);
		ck_assert_int_eq(code, 250);
		close(mine[answered]);
	}
	free(mine);
	close(body);
}

/* The command as a process of its own; its exit code. */
static pid_t command_beside(struct harness *h, const char *verb, const char *arg)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(command(h, rows, sizeof rows, verb, arg, NULL) == 0 ? (number_of("done") > 0 ? 0 : 2) : 1);
	return pid;
}

START_TEST(many_at_once)
{
	static const struct {
		const char *verb, *arg;
		int of_three; /* thirds that remain */
	} step[] = {{"hold", "sender=s1@far.test", 3}, {"retry", "all", 3}, {"release", "all", 3}, {"hold", "domain=far.test", 3}, {"delete", "sender=s0@far.test", 2}, {"delete", "all", 0}};
	const char *set = getenv("MANY");
	unsigned count = set ? (unsigned)atoi(set) : 1500;
	struct harness h;
	harness_quiet = true;
	harness_open(&h, NULL);
	fill(&h, count);
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

/* What happens at a hold's deadline, set by an operator or by a stage of the line; until then it survives a kill as it was. */
static const struct hold_row {
	const char *then;
	char letter;
	bool delivered, bounced;
} hold_rows[] = {{"release", 'r', true, false}, {"bounce", 'b', false, true}, {"delete", 'd', false, false}, {"release", 0, true, false}};

static bool is_held(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", "state=held", NULL) == 0 && found(rows) == 1;
}

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
	close_fd(&job.head_fd);
	job.head_fd = job_make_head(&env, &(struct slice){"Subject: 1\n\n", 12}, 1, &e);
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

/* Mass mail first, then one message of somebody else: it does not wait.  The small local takes 1 ms (5 ms) for a recipient, one after the other. */
static int64_t one_after(struct harness *h, long long mark)
{
	char text[ANSWER_MAX + 1];
	int64_t began = clock_msec();
	ck_assert_int_eq(send_one(h, "prof@far.test", (const char *[]){"u@here.test"}, 1, mark, text), 250);
	while (!h->shared->delivered[mark] && clock_msec() - began < 60000)
		usleep(1000);
	return clock_msec() - began;
}

START_TEST(mass_mail_yields)
{
	static char name[RECIPIENTS_MAX][24];
	static const char *to[RECIPIENTS_MAX];
	const char *set = getenv("MASS");
	unsigned count = set ? (unsigned)atoi(set) : _i ? 800 : 3000;
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
	int64_t msec = one_after(&h, 2);
	unsigned before = h.shared->deliveries;
	printf("%u %s first: one message of somebody else delivered after %lld ms, %u deliveries before it\n", count, _i ? "messages of one sender" : "recipients of one message",
		(long long)msec, before);
	ck_assert_int_lt(msec, 1000);
	/* and the mass goes on */
	for (int i = 0; i < 200 && h.shared->deliveries < before + 3; i++)
		usleep(10000);
	ck_assert_uint_ge(h.shared->deliveries, before + 3);
	close(body);
	queue_end(&h, SIGKILL);
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
	close_fd(&job.head_fd);
	job.head_fd = job_make_head(&env, &(struct slice){"Subject: 1\n\n", 12}, 1, &e);
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

#define LIFETIME "60\n"
#define GRACE_USEC (60 * 1000000 / 16)

/* Older than queuelifetime: one attempt more, then a bounce that says why. */
START_TEST(too_old)
{
	static const char *const settings[][2] = {{"queuelifetime", LIFETIME}, {NULL, NULL}};
	struct harness h;
	struct job job;
	struct err e;
	char text[ANSWER_MAX + 1];
	int code = 0, body = body_of(100);
	harness_open(&h, settings);
	usleep(GRACE_USEC);
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

/* A few messages of every kind while a mishap happens somewhere in the store, then a start without it: what was acknowledged is delivered, once. */
static bool is_dead(struct harness *h)
{
	siginfo_t info = {0};
	return waitid(P_PID, (id_t)h->queue, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == h->queue;
}

static void take_one(struct harness *h, int mine, long long mark)
{
	struct err e;
	int code;
	char text[ANSWER_MAX + 1];
	struct pollfd p = {mine, POLLIN, 0};
	for (int i = 0; i < 200 && poll(&p, 1, 10) == 0 && !is_dead(h); i++)
		;
	if (answer_wait(&code, text, mine, deadline_in(0), &e) == 0 && code == 250)
		h->shared->acked[mark] = 1;
	close(mine);
}

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
	const char *set = getenv("MISHAPS");
	for (harness_mishap.at = 1; harness_mishap.at <= (set ? atoi(set) : 25); harness_mishap.at++) {
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
	int body = body_of(3000), most = getenv("MISHAPS") ? atoi(getenv("MISHAPS")) : 12;
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

/* make queue-scale: SCALE messages wait; the queue is killed and starts again: memory for each, and how long until the first of them is delivered. */
static long long resident_octets(pid_t pid)
{
	char path[40], text[2048];
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	const char *at = strstr(text, "VmRSS:");
	return at ? atoll(at + 6) * 1024 : 0;
}

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
	const char *set = getenv("SCALE");
	unsigned count = set ? (unsigned)atoi(set) : 3000;
	struct harness h;
	harness_quiet = true;
	harness_open(&h, NULL);
	int64_t began = clock_msec();
	fill(&h, count);
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

/* make queue-scale: a log with KINDS records of every kind, as a queue that was killed leaves it: messages that wait, each with a STATE, an EXPAND and a RESULT after it;
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
	struct stat head, octets;
	job_make(&job, "sender@here.test", to, count, mark, body);
	memcpy(id, job.id, ID_LEN + 1);
	ck_assert(fstat(job.head_fd, &head) == 0 && fstat(body, &octets) == 0);
	prologue_put(prologue, &(struct prologue){.body_octets = (uint64_t)octets.st_size, .head_octets = (uint32_t)head.st_size, .rcpts = (uint32_t)count});
	ck_assert_int_eq(store_add(m->store, &(struct store_record){.kind = RECORD_MESSAGE, .id = id, .pieces = 3, .piece = {
		{.p = prologue, .n = PROLOGUE}, {.fd = job.head_fd, .n = (size_t)head.st_size}, {.fd = body, .n = (size_t)octets.st_size}}}, 1, false, &e), 0);
	ck_assert_int_eq(store_commit(m->store, &e), 0);
	close(job.head_fd);
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
	const char *set = getenv("KINDS");
	unsigned count = set ? (unsigned)atoi(set) : 1000;
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

static bool idle(struct harness *h)
{
	return command(h, rows, sizeof rows, "status", NULL, NULL) >= 0 && number_of("delivering") == 0;
}

static void restart(struct harness *h, int sig)
{
	queue_end(h, sig);
	queue_start(h);
}

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

static bool all_gone(struct harness *h)
{
	return command(h, rows, sizeof rows, "status", NULL, NULL) >= 0 && number_of("messages") == 0;
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

/* One attempt more has not brought it through, and it waits on. */
static bool one_attempt_waits(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && strstr(rows, "waiting=1;") && strstr(rows, "attempts=1;");
}

/* Older than queuelifetime while it waits: nobody is told, of a delay neither.  After the pause, which a reload or a start ends, there is an attempt that is not the last;
 * what one after a sixteenth of queuelifetime does not bring through is bounced. */
START_TEST(too_old_while_paused)
{
	static const char *const settings[][2] = {{"holdlocal", "1\n"}, {"queuelifetime", LIFETIME}, {NULL, NULL}};
	const bool all = _i & 1, by_start = _i & 2;
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, settings);
	if (all)
		harness_reload(&h, "holdremote", "1\n");
	harness_age_sec = 700000;
	ck_assert_int_eq(send_one(&h, "sender@here.test", (const char *[]){"u@here.test", "slow@here.test"}, 2, 1, text), 250);
	harness_age_sec = 0;
	ck_assert(until(idle, &h));
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(command(&h, rows, sizeof rows, "list", NULL, NULL), 0);
		ck_assert_msg(found(rows) == 1 && strstr(rows, "waiting=2;") && strstr(rows, "attempts=0;"), "%s", rows);
		ck_assert_int_eq(command(&h, rows, sizeof rows, "retry", text + 9, NULL), 0);
		ck_assert(until(idle, &h));
		if (!i)
			restart(&h, SIGKILL);
	}
	ck_assert_uint_eq(h.shared->deliveries, 0);
	usleep(GRACE_USEC); /* since the start: what counts is the end of the pause */
	if (by_start)
		queue_end(&h, SIGTERM);
	harness_reload(&h, "holdremote", "0\n");
	harness_reload(&h, "holdlocal", "0\n");
	if (by_start)
		queue_start(&h);
	ck_assert(until(one_attempt_waits, &h));
	ck_assert(saw(&h, "u@here.test") && !sender_told(&h));
	usleep(GRACE_USEC);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "retry", text + 9, NULL), 0);
	ck_assert(until(sender_told, &h));
	ck_assert(until(all_gone, &h));
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

UNIT_MAIN("queue-program", if (getenv("KILL_CALL")) tcase_add_test(t, killed_at_call); else if (getenv("SCALE")) { tcase_set_timeout(t, 3600); tcase_add_test(t, scaled); } else if (getenv("KINDS")) { tcase_set_timeout(t, 3600); tcase_add_test(t, every_kind); } else if (getenv("MEASURE")) tcase_add_test(t, measured); else {
	tcase_add_loop_test(t, one_side_paused, 0, 2); tcase_add_test(t, all_paused); tcase_add_loop_test(t, paused_while_busy, 0, 2); tcase_add_loop_test(t, too_old_while_paused, 0, 4); tcase_add_loop_test(t, steered_while_paused, 0, 8); tcase_add_loop_test(t, paused_at_every_call, 0, 4); tcase_add_test(t, unrouted_while_paused);
	tcase_add_test(t, one_message); tcase_add_test(t, every_fate); tcase_add_loop_test(t, double_bounce, 0, 2);
	tcase_add_test(t, hold_and_release); tcase_add_test(t, selected); tcase_add_test(t, steered_at_once); tcase_add_loop_test(t, steered_while_busy, 0, 3); tcase_add_loop_test(t, hold_deadline, 0, 4); tcase_add_loop_test(t, bounced_by_operator, 0, 2); tcase_add_test(t, many_at_once); tcase_add_loop_test(t, mass_mail_yields, 0, 2); tcase_add_test(t, held_by_owner); tcase_add_test(t, too_old); tcase_add_loop_test(t, no_descriptors, 0, 3); tcase_add_test(t, abandoned); tcase_add_test(t, full_disk_is_452); tcase_add_test(t, bad_jobs); tcase_add_test(t, bad_answers); tcase_add_test(t, killed_under_load);
	tcase_add_loop_test(t, mishap_at_every_call, 0, 7); tcase_add_loop_test(t, told_after_stop, 0, 2); tcase_add_loop_test(t, told_at_every_call, 0, 3); tcase_add_test(t, measured); tcase_add_test(t, scaled); tcase_add_test(t, every_kind);
})
