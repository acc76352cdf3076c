/* Unit tests of directory/guesses.c: who guesses is stopped, the owner is not. */
#include "directory/guesses.h"

#include <stdio.h>

#include "tests/unit/unit.h"

#define HOUR 3600000ll
static struct guesses *g;

static void wrong(const char *account, const char *ip, const char *password, int64_t now)
{
	guesses_wrong(g, slice_str(account), slice_str(ip), slice_str(password), now);
}

/* N passwords that were not tried before. */
static void guess(const char *account, const char *ip, int n, int64_t now)
{
	static int fresh;
	char password[24];
	while (n--) {
		snprintf(password, sizeof password, "guess %d", fresh++);
		wrong(account, ip, password, now);
	}
}

static int64_t wait(const char *account, const char *ip, int64_t now)
{
	return guesses_wait(g, slice_str(account), slice_str(ip), now);
}

static void setup(void)
{
	g = guesses_make(10, 3600);
	ck_assert_ptr_nonnull(g);
}

static void teardown(void)
{
	guesses_free(g);
}

START_TEST(tenth_is_the_last)
{
	guess("ann", "192.0.2.1", 9, HOUR);
	ck_assert_int_eq(wait("ann", "192.0.2.1", HOUR), 0);
	guess("ann", "192.0.2.1", 1, HOUR);
	int64_t msec = wait("ann", "192.0.2.1", HOUR);
	ck_assert_msg(msec > 355000 && msec <= 360001, "a place comes back every six minutes, not after %lld ms", (long long)msec);
	ck_assert_int_gt(wait("ann", "192.0.2.1", HOUR + msec - 1000), 0);
	ck_assert_int_eq(wait("ann", "192.0.2.1", HOUR + msec), 0);
}
END_TEST

START_TEST(network_and_account_together)
{
	guess("ann", "192.0.2.1", 20, HOUR);
	guess("bob", "2001:db8:1:2::5", 20, HOUR);
	ck_assert_int_gt(wait("ann", "192.0.2.200", HOUR), 0);
	ck_assert_int_gt(wait("bob", "2001:db8:1:2:ffff::1", HOUR), 0);
	ck_assert_msg(wait("ann", "192.0.3.1", HOUR) == 0, "the owner elsewhere");
	ck_assert_int_eq(wait("bob", "2001:db8:1:3::5", HOUR), 0);
	ck_assert_msg(wait("bob", "192.0.2.1", HOUR) == 0, "another account of that network");
	ck_assert_msg(wait("ann", "", HOUR) == 0 && wait("ann", "nonsense", HOUR) == 0, "a client that is not known");
}
END_TEST

/* The old password in a telephone, tried every minute for a week beside a tablet with another old one. */
START_TEST(same_again_counts_once)
{
	for (int64_t now = HOUR; now < 7 * 24 * HOUR; now += 60000) {
		wrong("ann", "192.0.2.1", "old", now);
		wrong("ann", "192.0.2.1", "older", now);
	}
	ck_assert_int_eq(wait("ann", "192.0.2.1", 7 * 24 * HOUR), 0);
}
END_TEST

START_TEST(own_network)
{
	guess("ann", "192.0.2.1", 5, HOUR);
	guesses_right(g, slice_str("ann"), slice_str("192.0.2.7"), HOUR);
	guess("ann", "192.0.2.9", 50, 2 * HOUR);
	ck_assert_msg(wait("ann", "192.0.2.7", 2 * HOUR) == 0, "the owner behind the same address as who guesses");
	guess("ann", "192.0.2.9", 50, HOUR + 31 * 24 * HOUR);
	ck_assert_msg(wait("ann", "192.0.2.7", HOUR + 31 * 24 * HOUR) > 0, "a month later it is a network as any other");
}
END_TEST

START_TEST(flood_of_pairs)
{
	char account[24];
	for (unsigned i = 0; i < 4 * GUESSES_PAIRS; i++) {
		snprintf(account, sizeof account, "nobody%u", i);
		guess(account, "203.0.113.1", 1, HOUR + i);
	}
	guess("ann", "192.0.2.1", 10, 2 * HOUR);
	ck_assert_int_gt(wait("ann", "192.0.2.1", 2 * HOUR), 0);
}
END_TEST

START_TEST(no_limit)
{
	struct guesses *none = guesses_make(0, 0);
	for (int i = 0; i < 100; i++)
		guesses_wrong(none, slice_str("ann"), slice_str("192.0.2.1"), slice_str("x"), i);
	ck_assert_int_eq(guesses_wait(none, slice_str("ann"), slice_str("192.0.2.1"), 100), 0);
	guesses_free(none);
}
END_TEST

UNIT_MAIN("guesses", {
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, tenth_is_the_last);
	tcase_add_test(t, network_and_account_together);
	tcase_add_test(t, same_again_counts_once);
	tcase_add_test(t, own_network);
	tcase_add_test(t, flood_of_pairs);
	tcase_add_test(t, no_limit);
})
