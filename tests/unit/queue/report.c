/* queue/report: a report that there is no memory for.  Whoever is to be told of something stays in the queue until he can be, over a kill too, and nothing is delivered
 * a second time meanwhile; what an operator gave up is not delivered after all.
 *
 * The real program, whose three places where a report takes memory are wrapped by the linker (Makefile). */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "queue/bounce.h"
#include "queue/queue.h"
#include "tests/harness/looks.h"
#include "tests/harness/mail.h"
#include "tests/harness/mishap.h"
#include "tests/unit/unit.h"

enum { NO_LIST = 1, NO_OCTETS, NO_PLACE };
#define RCPTS 3

static bool refused(int place)
{
	if (!mishap_shared || mishap_shared->no_report != place)
		return false;
	mishap_shared->no_reports++;
	return true;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return n == RCPTS && size == sizeof(struct bounce_rcpt) && refused(NO_LIST) ? NULL : __real_calloc(n, size);
}

static bool making;

void __real_bounce_make(struct buf *header, struct buf *body, const struct bounce *b);
void __wrap_bounce_make(struct buf *header, struct buf *body, const struct bounce *b);
void __wrap_bounce_make(struct buf *header, struct buf *body, const struct bounce *b)
{
	__real_bounce_make(header, body, b);
	body->overflow |= refused(NO_OCTETS); /* as where it could not grow */
	making = true;
}

struct message *__real_index_add(struct index *x, const char *id);
struct message *__wrap_index_add(struct index *x, const char *id);
struct message *__wrap_index_add(struct index *x, const char *id)
{
	bool report = making;
	making = false;
	return report && refused(NO_PLACE) ? NULL : __real_index_add(x, id);
}

static const struct fate {
	const char *to[RCPTS], *verb;
	const char *meanwhile;           /* in the list, while there is no memory */
	unsigned delivered, failed;      /* recipients that the sender is told of in the end */
} fates[] = {
	{{"u1@here.test", "bad@here.test", "u2@here.test"}, NULL, "address=bad@here.test;state=waiting;", 2, 1},
	{{"u1@here.test", "u2@here.test", "u3@here.test"}, NULL, "kind=message;", 3, 0}, /* nobody is open, and yet it stays */
	{{"slow1@here.test", "slow2@here.test", "slow3@here.test"}, "bounce", "state=held;hold=no longer wanted;", 0, 3},
};
#define FATES (sizeof fates / sizeof *fates)

static const struct fate *fate;

static bool was_refused(struct harness *h)
{
	return h->shared->no_reports > 0 && command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && strstr(rows, fate->meanwhile);
}

static bool waits(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", "state=waiting", NULL) == 0 && rows[0];
}

/* The report is not in the list before it is durable. */
static bool reported(struct harness *h)
{
	return h->shared->reports > 0 && empty(h);
}

/* _i: fate, and place; the fourth is the first again, where it is killed before there is memory. */
START_TEST(no_memory)
{
	const int killed = _i % 4 == 3, place = killed ? NO_LIST : _i % 4 + 1;
	struct harness h;
	char text[ANSWER_MAX + 1];
	fate = &fates[_i / 4];
	harness_quiet = true;
	harness_open(&h, NULL);
	harness_notify = "SF";
	h.shared->no_report = place;
	ck_assert_int_eq(send_one(&h, "sender@here.test", fate->to, RCPTS, 1, text), 250);
	if (fate->verb) {
		ck_assert(until(waits, &h));
		ck_assert_int_eq(command(&h, rows, sizeof rows, fate->verb, text + 9, "because=no longer wanted"), 0);
	}
	ck_assert(until(was_refused, &h));
	const unsigned deliveries = h.shared->deliveries;
	ck_assert_uint_eq(h.shared->reports, 0);
	if (killed) {
		usleep(RESULT_MSEC * 1000 * 4);
		queue_end(&h, SIGKILL);
		h.shared->no_report = 0;
		queue_start(&h);
	}
	h.shared->no_report = 0;
	ck_assert(until(reported, &h));
	ck_assert_uint_eq(h.shared->told[0][1], fate->delivered);
	ck_assert_uint_eq(h.shared->told[2][1], fate->failed);
	ck_assert_uint_eq(h.shared->reports, 1);
	ck_assert_uint_eq(h.shared->twice[1], 0);
	/* beside the report: bad@ was tried again, as nobody knew of it */
	ck_assert_uint_eq(h.shared->deliveries, deliveries + 1 + (fate->delivered && fate->failed));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

UNIT_MAIN("queue-report", tcase_add_loop_test(t, no_memory, 0, 4 * FATES);)
