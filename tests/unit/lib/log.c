/* Lines of every length: whole up to the limit, in one write; what is longer loses whole fields, and a value its end. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "tests/unit/unit.h"

static int ends[2] = {-1, -1};
static char line[2 * LOG_LINE_MAX];

/* What was written, in one write, with its end taken off. */
static size_t written(void)
{
	ssize_t n = read(ends[0], line, sizeof line);
	ck_assert_int_gt(n, 0);
	ck_assert_int_le(n, LOG_LINE_MAX);
	ck_assert(line[n - 1] == '\n' && !memchr(line, '\n', (size_t)n - 1));
	line[n - 1] = 0;
	ck_assert_int_lt(read(ends[0], line + n, 1), 0);
	return (size_t)n - 1;
}

static void open_log(void)
{
	if (ends[0] < 0)
		ck_assert_int_eq(pipe2(ends, O_DIRECT | O_NONBLOCK), 0); /* packets: a second write is seen */
	log_to(ends[1]);
}

START_TEST(every_length)
{
	char value[LOG_VALUE_MAX], wanted[2 * LOG_LINE_MAX];
	open_log();
	memset(value, 'v', sizeof value);
	for (size_t n = 1; n <= 2 * sizeof value; n++) {
		struct slice one = slice_make(value, n < sizeof value ? n : sizeof value), two = slice_make(value, n - one.n);
		log_write(EV_fault, "0f3k8m2q1x7zt", (const struct log_field[]){F_NUM("n", n), F_SLICE("a", one), two.n ? F_SLICE("b", two) : (struct log_field){0}, {0}});
		written();
		int m = two.n ? snprintf(wanted, sizeof wanted, " 0f3k8m2q1x7zt fault n=%zu a=%.*s b=%.*s", n, SLICE_FMT(one), SLICE_FMT(two))
			: snprintf(wanted, sizeof wanted, " 0f3k8m2q1x7zt fault n=%zu a=%.*s", n, SLICE_FMT(one));
		ck_assert_int_gt(m, 0);
		ck_assert_msg(strstr(line, wanted) && strcmp(strstr(line, wanted), wanted) == 0, "%zu: %s", n, line);
	}
}
END_TEST

START_TEST(too_long)
{
	char value[2 * LOG_VALUE_MAX];
	open_log();
	memset(value, 'v', sizeof value);
	struct slice v = slice_make(value, sizeof value);
	log_write(EV_fault, "", (const struct log_field[]){F_SLICE("a", v), F_SLICE("b", v), F_SLICE("c", v), F_SLICE("d", v), F_NUM("e", 1), {0}});
	size_t n = written();
	ck_assert_uint_gt(n, 3 * LOG_VALUE_MAX);
	ck_assert_uint_lt(n, 3 * LOG_VALUE_MAX + 100);
	const char *c = strstr(line, " c=");
	ck_assert(c && strlen(c) == 3 + LOG_VALUE_MAX && !strstr(line, " d=") && !strstr(line, " e="));
}
END_TEST

/* A last value of each length around the limit: there whole, or not at all. */
START_TEST(at_the_limit)
{
	char value[LOG_VALUE_MAX];
	unsigned whole = 0;
	open_log();
	memset(value, 'v', sizeof value);
	struct slice v = slice_make(value, sizeof value);
	for (size_t n = 1; n <= sizeof value; n++) {
		log_write(EV_fault, "", (const struct log_field[]){F_SLICE("a", v), F_SLICE("b", v), F_SLICE("c", v), F_SLICE("d", slice_upto(v, n)), {0}});
		written();
		const char *d = strstr(line, " d=");
		ck_assert(!d || strlen(d) == 3 + n);
		whole += d != NULL;
	}
	ck_assert_uint_gt(whole, 400);
	ck_assert_uint_lt(whole, sizeof value);
}
END_TEST

/* Even where the id alone is longer than most lines. */
START_TEST(long_id)
{
	char id[601];
	open_log();
	memset(id, 'i', sizeof id - 1);
	id[sizeof id - 1] = 0;
	log_write(EV_fault, id, (const struct log_field[]){F_NUM("n", 1), {0}});
	written();
	ck_assert(strstr(line, id) && strstr(line, " fault n=1"));
}
END_TEST

UNIT_MAIN("log", tcase_add_test(t, every_length); tcase_add_test(t, too_long); tcase_add_test(t, at_the_limit); tcase_add_test(t, long_id);)
