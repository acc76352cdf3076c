/* queue/recover: what is known of a message cannot be read for want of memory when its segment is cleaned: both stay where they are, and nothing is delivered twice
 * (no_memory.h). */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queue/queue.h"
#include "tests/harness/ending.h"
#include "tests/unit/unit.h"

#define SEGMENTS 7

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

/* SEGMENTS messages that wait, while there is no memory for moving any. */
static void fill_segments(struct harness *h)
{
	static const char *const small[][2] = {{"queuesegment", "1048576\n"}, {NULL, NULL}};
	begin(h, NULL, &(struct opening){.settings = small, .place = NO_COPY});
	for (int i = 1; i <= SEGMENTS; i++)
		fill(h, i);
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
	fill_segments(&h);
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
	finish(&h);
}
END_TEST

static bool is_kept(struct harness *h) { (void)h; return lines_with(" fault ", "its segment is kept until the next start") > 0; }

/* And where it does not come back, the others are cleaned. */
START_TEST(kept)
{
	struct harness h;
	fill_segments(&h);
	ck_assert(until(is_kept, &h));
	unsigned before = segments(&h);
	h.shared->no_ending = 0;
	ck_assert(until(was_cleaned, &h));
	ck_assert_uint_lt(segments(&h), before);
	queue_end(&h, SIGKILL);
	queue_start(&h);
	try_again(&h);
	twice_never(&h);
	finish(&h);
}
END_TEST

static bool all_held(struct harness *h) { return command(h, rows, sizeof rows, "status", NULL, NULL) == 0 && strstr(rows, "held=7;"); }

/* The same where the state lies in another segment than its message, with nothing else in it: that of a hold, without which it would be delivered.  For a while,
 * or so long that the segment is given up. */
START_TEST(cleaned_of_states)
{
	struct harness h;
	fill_segments(&h);
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
	finish(&h);
}
END_TEST

UNIT_MAIN("queue-ending-cleaning", tcase_add_test(t, cleaned); tcase_add_test(t, kept); tcase_add_loop_test(t, cleaned_of_states, 0, 2);)
