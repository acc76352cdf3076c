/* queue/age: who is bounced for age, and what the sender reads then. */
#include "queue/age.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "queue/bounce.h"
#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/unit/unit.h"

#define LIFETIME_SEC 160
#define GRACE_SEC (LIFETIME_SEC / 16)
#define HOUR 3600
#define DAY (24 * HOUR)

/* A message of AGE_SEC with one recipient that is deferred, and its queue. */
struct aged {
	struct queue q;
	struct message m;
	struct work w;
	struct work_rcpt r;
};

static void make(struct aged *a, int64_t age_sec, unsigned attempts)
{
	*a = (struct aged){.q.set.lifetime_sec = LIFETIME_SEC, .m.attempts = (unsigned short)attempts};
	a->w = (struct work){.m = &a->m, .rcpt = &a->r, .rcpts = 1, .job.env.wall_usec = (queue_now_sec() - age_sec) * 1000000};
	rcpt_text(&a->r, RCPT_DEFERRED, "4.2.1", "451 try later");
}

static bool given_up(struct aged *a)
{
	age_give_up(&a->q, &a->w, queue_now_sec());
	bool failed = a->r.state == RCPT_FAILED;
	ck_assert(failed == (strcmp(a->r.enhanced, "5.4.7") == 0));
	free(a->r.host);
	free(a->r.text);
	a->r = (struct work_rcpt){0};
	rcpt_text(&a->r, RCPT_DEFERRED, "4.2.1", "451 try later");
	return failed;
}

/* The age is that of the message, whatever became of the time; the attempts are those that were made. */
static const struct text_row {
	int64_t age_sec;
	unsigned attempts;
	const char *text;
} texts[] = {
	{LIFETIME_SEC + 20, 1, "still not delivered 3 minutes after the message was accepted, with 1 attempt made here; the last reason was: 451 try later"},
	{2 * HOUR - 1, 3, "still not delivered 119 minutes after the message was accepted, with 3 attempts made here; the last reason was: 451 try later"},
	{2 * HOUR, 3, "still not delivered 2 hours after the message was accepted, with 3 attempts made here; the last reason was: 451 try later"},
	{2 * DAY - 1, 20, "still not delivered 47 hours after the message was accepted, with 20 attempts made here; the last reason was: 451 try later"},
	{30 * DAY + 5 * HOUR, 2, "still not delivered 30 days after the message was accepted, with 2 attempts made here; the last reason was: 451 try later"},
};

START_TEST(words)
{
	const struct text_row *row = &texts[_i];
	struct aged a;
	make(&a, row->age_sec, row->attempts);
	age_give_up(&a.q, &a.w, queue_now_sec());
	ck_assert_int_eq(a.r.state, RCPT_FAILED);
	ck_assert_str_eq(a.r.text, row->text);
	free(a.r.text);
}
END_TEST

/* Long reasons end before the bounce would cut them. */
START_TEST(long_reason)
{
	struct aged a;
	char reason[DELIVERY_TEXT_MAX + 1];
	memset(reason, 'x', sizeof reason - 1);
	reason[sizeof reason - 1] = 0;
	make(&a, 400 * DAY, UINT16_MAX);
	rcpt_text(&a.r, RCPT_UNKNOWN, "4.3.0", reason);
	age_give_up(&a.q, &a.w, queue_now_sec());
	ck_assert_uint_le(strlen(a.r.text), DELIVERY_TEXT_MAX);
	ck_assert_str_eq(a.r.text + strlen(a.r.text) - 5, "xxxxx");
	ck_assert_ptr_nonnull(strstr(a.r.text, "400 days after the message was accepted, with 65535 attempts made here"));
	free(a.r.text);
}
END_TEST

static void wait_paused(struct aged *a) { a->r.paused = 1; }
static void wait_open(struct aged *a) { a->r.state = RCPT_OPEN; }
static void wait_held(struct aged *a) { a->w.state.held = true; }
static void wait_not(struct aged *a) { (void)a; }
static const struct kept_row {
	void (*waits)(struct aged *a);
	int64_t age_sec;
	bool failed;
} kept_rows[] = {
	{wait_not, LIFETIME_SEC - 5, false}, {wait_not, LIFETIME_SEC + 1, true}, {wait_paused, DAY, false}, {wait_open, DAY, false}, {wait_held, DAY, false},
};

START_TEST(who)
{
	const struct kept_row *row = &kept_rows[_i];
	struct aged a;
	make(&a, row->age_sec, 1);
	row->waits(&a);
	ck_assert_int_eq(given_up(&a), row->failed);
	free(a.r.text);
}
END_TEST

/* Its sixteenth goes by. */
static void later(struct aged *a, int64_t sec)
{
	a->w.job.env.wall_usec -= sec * 1000000;
	if (a->m.grace_sec)
		a->m.grace_sec = a->m.grace_sec > sec ? a->m.grace_sec - (uint32_t)sec : 1; /* the machine may be up for less; 0 says that there is none */
}

/* Held and released again and again: it lives a sixteenth longer, once. */
START_TEST(released)
{
	struct aged a;
	make(&a, DAY, 1);
	for (int i = 0; i < 5; i++) {
		age_released(&a.q, &a.w);
		ck_assert_int_eq(given_up(&a), i * 3 > GRACE_SEC);
		later(&a, 3);
	}
	free(a.r.text);
}
END_TEST

/* A release that a younger message did not need takes none away from a later one. */
START_TEST(released_young)
{
	struct aged a;
	make(&a, 10, 1);
	age_released(&a.q, &a.w);
	later(&a, LIFETIME_SEC);
	ck_assert(given_up(&a));
	age_released(&a.q, &a.w);
	ck_assert(!given_up(&a));
	later(&a, GRACE_SEC + 1);
	age_released(&a.q, &a.w);
	ck_assert(given_up(&a));
	free(a.r.text);
}
END_TEST

/* A sender who hears of a delay is not told a time that is over. */
START_TEST(until_when)
{
	struct aged a;
	make(&a, 10, 1);
	ck_assert_int_eq(age_until_sec(&a.q, &a.w), a.w.job.env.wall_usec / 1000000 + LIFETIME_SEC);
	age_released(&a.q, &a.w);
	ck_assert_int_eq(age_until_sec(&a.q, &a.w), a.w.job.env.wall_usec / 1000000 + LIFETIME_SEC);
	free(a.r.text);
	make(&a, DAY, 1);
	age_released(&a.q, &a.w);
	int64_t left = age_until_sec(&a.q, &a.w) - queue_now_sec();
	ck_assert(left >= GRACE_SEC - 1 && left <= GRACE_SEC + 1);
	free(a.r.text);
}
END_TEST

/* ---- the real program ---- */

#define GRACE_USEC (100 * 1000000 / 16) /* of the queuelifetime below */

static volatile int64_t *told_left_sec; /* by the queue, of a delay: until when, less when it was told */

void __real_bounce_make(struct buf *header, struct buf *body, const struct bounce *b);
void __wrap_bounce_make(struct buf *header, struct buf *body, const struct bounce *b);
void __wrap_bounce_make(struct buf *header, struct buf *body, const struct bounce *b)
{
	if (b->rcpt[0].action == BOUNCE_DELAYED)
		*told_left_sec = b->until_usec / 1000000 - queue_now_sec();
	__real_bounce_make(header, body, b);
}

static bool has_attempts(struct harness *h, const char *number)
{
	return command(h, rows, sizeof rows, "list", "state=waiting", NULL) == 0 && strstr(rows, number);
}

static bool once(struct harness *h) { return has_attempts(h, "attempts=1;"); }
static bool twice(struct harness *h) { return has_attempts(h, "attempts=2;"); }
static bool under_way(struct harness *h) { return command(h, rows, sizeof rows, "list", "state=delivering", NULL) == 0 && strstr(rows, "address=slow@here.test;state=delivering;"); }
static bool held_after_it(struct harness *h) { return command(h, rows, sizeof rows, "list", "state=held", NULL) == 0 && strstr(rows, "reason=try later"); }
static bool told(struct harness *h) { return h->shared->told[2][1]; }
static bool told_of_delay(struct harness *h) { return h->shared->told[1][1]; }

static void open_short(struct harness *h)
{
	static const char *const settings[][2] = {{"queuelifetime", "100\n"}, {"delaynotice", "700002\n"}, {NULL, NULL}};
	told_left_sec = mmap(NULL, sizeof *told_left_sec, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(told_left_sec != MAP_FAILED);
	harness_quiet = true;
	harness_open(h, settings);
}

static void send_aged(struct harness *h)
{
	char text[ANSWER_MAX + 1];
	harness_age_sec = 700000;
	ck_assert_int_eq(send_one(h, "sender@here.test", (const char *[]){"slow@here.test"}, 1, 1, text), 250);
	harness_age_sec = 0;
}

static void hold_for(struct harness *h, const char *until)
{
	struct slice args[4] = {slice_str("hold"), slice_str("all"), slice_str(until), slice_str("then=release")};
	ck_assert_int_eq(command_of(h, rows, sizeof rows, args, until ? 4 : 2), 0);
}

/* Held past control/queuelifetime, and released by an operator or at the hold's deadline: the attempt then is not the last one, one after a sixteenth is, however
 * often it is held and released meanwhile. */
START_TEST(held_past_lifetime)
{
	struct harness h;
	open_short(&h);
	send_aged(&h);
	ck_assert(until(once, &h));
	hold_for(&h, _i ? "until=8" : NULL);
	usleep(GRACE_USEC);
	if (!_i)
		ck_assert_int_eq(command(&h, rows, sizeof rows, "release", "all", NULL), 0);
	ck_assert(until(twice, &h));
	ck_assert(until(told_of_delay, &h));
	ck_assert_int_ge(*told_left_sec, 0);
	ck_assert(!told(&h));
	usleep(GRACE_USEC + 1500000); /* a release counts whole seconds, the begun one too */
	hold_for(&h, NULL);
	ck_assert_int_eq(command(&h, rows, sizeof rows, "release", "all", NULL), 0);
	ck_assert(until(told, &h));
	ck_assert(until(empty, &h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

/* Held while its last attempt goes on: it waits for the operator, and nobody is told. */
START_TEST(held_while_tried)
{
	struct harness h;
	open_short(&h);
	usleep(GRACE_USEC);
	h.shared->stall_from = 1;
	send_aged(&h);
	ck_assert(until(under_way, &h));
	hold_for(&h, NULL);
	h.shared->stall_from = 0;
	ck_assert_msg(until(held_after_it, &h), "%s", rows);
	ck_assert_msg(strstr(rows, "attempts=1;") != NULL, "%s", rows);
	ck_assert(!told(&h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

UNIT_MAIN("queue-age", tcase_add_loop_test(t, words, 0, sizeof texts / sizeof *texts); tcase_add_test(t, long_reason);
	tcase_add_loop_test(t, who, 0, sizeof kept_rows / sizeof *kept_rows); tcase_add_test(t, released); tcase_add_test(t, released_young); tcase_add_test(t, until_when);
	tcase_add_loop_test(t, held_past_lifetime, 0, 2); tcase_add_test(t, held_while_tried);)
