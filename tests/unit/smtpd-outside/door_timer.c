/* smtpd-outside/door_timer: the heap beside a plain search. */
#include "smtpd-outside/door.h"

#include "tests/unit/unit.h"

enum { N = 500 };

static int64_t earliest(const struct client *c, bool *set)
{
	int64_t least = DEADLINE_NEVER;
	for (int i = 0; i < N; i++)
		if (set[i] && c[i].deadline < least)
			least = c[i].deadline;
	return least;
}

START_TEST(model)
{
	static struct client c[N];
	static bool set[N];
	struct door d = {0};
	srand(3);
	for (int step = 0; step < 50000; step++) {
		int k = rand() % N;
		if (rand() % 3) {
			ck_assert_int_eq(door_timer_set(&d, &c[k], rand() % 1000), 0);
			set[k] = true;
		} else {
			door_timer_clear(&d, &c[k]);
			set[k] = false;
		}
		ck_assert_int_eq(door_timer_next(&d), earliest(c, set));
	}
	int64_t last = -1;
	for (d.now = 0; d.now < 1000; d.now++)
		for (struct client *due; (due = door_timer_due(&d)); ) {
			ck_assert(due->deadline == d.now && due->deadline >= last && set[due - c] && due->heap_at == 0);
			set[due - c] = false;
			last = due->deadline;
		}
	ck_assert_int_eq(earliest(c, set), DEADLINE_NEVER);
	ck_assert_int_eq(door_timer_next(&d), DEADLINE_NEVER);
	free(d.heap);
}
END_TEST

UNIT_MAIN("door_timer",
	tcase_add_test(t, model);)
