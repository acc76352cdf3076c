/* Formats: what is made here is what the C library makes; dates are its dates. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/buf.h"
#include "lib/calendar.h"
#include "tests/unit/unit.h"

#define ROWS(a) (sizeof(a) / sizeof *(a))

/* The same arguments to both. */
#define SAME(...) do { \
	char wanted[4096]; \
	struct buf b = BUF_INIT(4096); \
	int n = snprintf(wanted, sizeof wanted, __VA_ARGS__); \
	buf_add_str(&b, "<"); \
	buf_add_format(&b, __VA_ARGS__); \
	ck_assert(!b.overflow); \
	ck_assert_msg(b.n == (size_t)n + 1 && !memcmp(b.p + 1, wanted, (size_t)n), "%s: %.*s", wanted, (int)b.n, b.p); \
	buf_free(&b); \
} while (0)

START_TEST(numbers)
{
	static const long long values[] = {0, 1, -1, 9, 10, -10, 99, 100, 4294967295, 4294967296, LLONG_MAX, LLONG_MIN, INT_MAX, INT_MIN};
	for (size_t i = 0; i < ROWS(values); i++) {
		long long v = values[i];
		SAME("%lld|%llu|%llx|%llX", v, (unsigned long long)v, (unsigned long long)v, (unsigned long long)v);
		SAME("%d|%u|%x", (int)v, (unsigned)v, (unsigned)v);
		SAME("%ld|%lu|%zu", (long)v, (unsigned long)v, (size_t)v);
		SAME("%02d|%06ld|%04lld|%020lld|%04x|%02X", (int)v, (long)v, v, v, (unsigned)v, (unsigned)v);
		char own[32], theirs[32];
		struct buf b = BUF_OVER(own);
		buf_add_number(&b, v);
		snprintf(theirs, sizeof theirs, "%lld", v);
		ck_assert(slice_eq_str(buf_slice(&b), theirs));
	}
}
END_TEST

START_TEST(texts)
{
	SAME("%s", "plain");
	SAME("no conversion");
	SAME("%s", "");
	SAME("%%|%c|%s%s", 'x', "a", "b");
	SAME("%.*s|%.*s|%.*s|%.*s", 3, "abcdef", 0, "abc", 9, "abc", -1, "abc");
	SAME("100%% of %s, %d times", "it", 3);
}
END_TEST

/* What is not done here is left to the library, whole. */
START_TEST(left_to_library)
{
	SAME("%d %5d|%-5d|%+d", 7, 42, 42, 42);
	SAME("%.3s|%8s|%-8s|", "abcdef", "abc", "abc");
	SAME("%0*d|%s", 5, 42, "then");
	SAME("%.2f and %g", 3.14159, 2.5);
	SAME("%021d|%hhd|%lc", 1, (signed char)3, L'x');
}
END_TEST

START_TEST(all_or_nothing)
{
	char space[8];
	struct buf b = BUF_OVER(space);
	buf_add_format(&b, "%s%d", "1234567", 8); /* fits to the octet */
	ck_assert(!b.overflow && b.n == 8);
	b.n = 1;
	buf_add_format(&b, "%s%d", "1234567", 8);
	ck_assert(b.overflow && b.n == 1);
	buf_add_format(&b, "%s", "");
	buf_add_number(&b, 1);
	ck_assert(b.n == 1);
	buf_reset(&b);
	buf_add_format(&b, "%9s", "long");
	ck_assert(b.overflow && b.n == 0);
	struct buf grows = BUF_INIT(300);
	for (int i = 0; i < 300; i++)
		buf_add_char(&grows, 'x');
	ck_assert(!grows.overflow && grows.n == 300);
	buf_add_char(&grows, 'x');
	ck_assert(grows.overflow && grows.n == 300);
	buf_free(&grows);
}
END_TEST

START_TEST(dates)
{
	static const int64_t edges[] = {0, -1, 59, 86399, 86400, -86400, -86401, 951782400, 951868799, 951868800, 4107542399, 4107542400, 1795946160, -62135596800,
		253402300799, 253402300800, -62167219200, -62167219201};
	srandom(1);
	for (size_t i = 0; i < ROWS(edges) + 200000; i++) {
		int64_t sec = i < ROWS(edges) ? edges[i] : ((int64_t)random() << 8 ^ random()) - (1ll << 38);
		struct calendar c;
		struct tm tm;
		time_t t = sec;
		calendar_of(&c, sec);
		ck_assert(gmtime_r(&t, &tm));
		ck_assert_msg(c.year == tm.tm_year + 1900 && c.month == tm.tm_mon + 1 && c.day == tm.tm_mday && c.hour == tm.tm_hour && c.minute == tm.tm_min &&
			c.second == tm.tm_sec && c.weekday == tm.tm_wday, "%lld", (long long)sec);
	}
}
END_TEST

UNIT_MAIN("format",
	tcase_add_test(t, numbers);
	tcase_add_test(t, texts);
	tcase_add_test(t, left_to_library);
	tcase_add_test(t, all_or_nothing);
	tcase_add_test(t, dates);)
