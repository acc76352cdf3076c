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

START_TEST(one_message)
{
	struct harness h;
	char text[ANSWER_MAX + 1];
	harness_open(&h, NULL);
	ck_assert_int_eq(send_one(&h, "a@far.test", (const char *[]){"u1@here.test"}, 1, 1, text), 250);
	ck_assert(strncmp(text, "2.0.0 ok ", 9) == 0);
	ck_assert(until(first_delivered, &h));
	ck_assert_int_eq(queue_end(&h, SIGTERM), 0);
	harness_close(&h);
}
END_TEST

UNIT_MAIN("queue-program", tcase_add_test(t, one_message);)
