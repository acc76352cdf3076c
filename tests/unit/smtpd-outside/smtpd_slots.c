/* smtpd-outside/smtpd_slots: the limit on octets in flight over all sessions, with real processes. */
#include "smtpd-outside/smtpd_slots.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static struct slots all;

START_TEST(limit)
{
	ck_assert_int_eq(slots_make(&all, NULL), 0);
	ck_assert(slots_hold(all.shared, 0, 60, 100));
	ck_assert(slots_hold(all.shared, 7, 40, 100));
	ck_assert(!slots_hold(all.shared, 3, 1, 100));
	ck_assert(!slots_hold(all.shared, 0, 61, 100));
	ck_assert(slots_hold(all.shared, 0, 10, 100)); /* less is always granted */
	ck_assert(slots_hold(all.shared, 3, 50, 100));
	ck_assert(slots_hold(all.shared, 3, 0, 0));
}
END_TEST

START_TEST(numbers)
{
	ck_assert_int_eq(slots_make(&all, NULL), 0);
	for (int i = 0; i < SLOTS_MAX; i++) {
		ck_assert_int_eq(slots_free(&all), i);
		slots_set(&all, i, 1000 + i);
	}
	ck_assert_int_eq(slots_free(&all), -1);
	ck_assert_int_eq(slots_gone(&all, 1005), 0);
	ck_assert_int_eq(slots_gone(&all, 1005), -1);
	ck_assert_int_eq(slots_free(&all), 5);
	ck_assert_uint_eq(all.own->live, SLOTS_MAX - 1);
}
END_TEST

/* A session that is killed with octets counted gives them back when the parent sees its end. */
START_TEST(killed)
{
	int status;
	ck_assert_int_eq(slots_make(&all, NULL), 0);
	pid_t pid = fork();
	if (pid == 0) {
		_exit(slots_hold(all.shared, 0, 90, 100) && !raise(SIGKILL));
	}
	slots_set(&all, 0, pid);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert(!slots_hold(all.shared, 1, 20, 100));
	ck_assert_int_eq(slots_gone(&all, pid), 90);
	ck_assert(slots_hold(all.shared, 1, 20, 100));
}
END_TEST

/* A session that writes nonsense into the mapping cannot make the parent or others leave their bounds. */
START_TEST(hostile)
{
	ck_assert_int_eq(slots_make(&all, NULL), 0);
	all.shared->used = 4000000000u;
	all.shared->octets[SLOTS_MAX - 1] = INT64_MAX;
	all.shared->octets[SLOTS_MAX - 2] = INT64_MAX;
	ck_assert(!slots_hold(all.shared, 0, 1, 100));
	ck_assert_int_eq(slots_free(&all), 0);
}
END_TEST

UNIT_MAIN("smtpd-outside/smtpd_slots",
	tcase_add_test(t, limit);
	tcase_add_test(t, numbers);
	tcase_add_test(t, killed);
	tcase_add_test(t, hostile);)
