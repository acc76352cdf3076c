/* Slices, buffers, errors, ids and log lines. */
#include "lib/slice.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/id.h"
#include "lib/log.h"
#include "tests/unit/unit.h"

static const struct {
	const char *in;
	long long least, most;
	int rc;
	long long out;
} numbers[] = {
	{"0", 0, 10, 0, 0}, {"10", 0, 10, 0, 10}, {"11", 0, 10, -1, 0}, {"", 0, 10, -1, 0}, {"1a", 0, 10, -1, 0},
	{" 1", 0, 10, -1, 0}, {"1 ", 0, 10, -1, 0}, {"+1", 0, 10, -1, 0}, {"-1", 0, 10, -1, 0}, {"-1", -1, 10, 0, -1},
	{"12abc", 0, 100, -1, 0}, {"0x10", 0, 100, -1, 0}, {"007", 0, 10, 0, 7}, {"-", -10, 10, -1, 0}, {"--1", -10, 10, -1, 0},
	{"9223372036854775807", 0, LLONG_MAX, 0, LLONG_MAX}, {"9223372036854775808", 0, LLONG_MAX, -1, 0},
	{"99999999999999999999", 0, LLONG_MAX, -1, 0},
};

START_TEST(number)
{
	long long v = 42;
	ck_assert_int_eq(slice_number(&v, slice_str(numbers[_i].in), numbers[_i].least, numbers[_i].most), numbers[_i].rc);
	ck_assert_int_eq(v, numbers[_i].rc ? 42 : numbers[_i].out);
}
END_TEST

START_TEST(cutting)
{
	struct slice part, rest = slice_str("a::b");
	ck_assert(slice_cut(&part, &rest, ':') && slice_eq_str(part, "a"));
	ck_assert(slice_cut(&part, &rest, ':') && slice_eq_str(part, ""));
	ck_assert(slice_cut(&part, &rest, ':') && slice_eq_str(part, "b"));
	ck_assert(!slice_cut(&part, &rest, ':'));
	rest = slice_str("");
	ck_assert(slice_cut(&part, &rest, ':') && part.n == 0 && !slice_cut(&part, &rest, ':'));
	rest = slice_str(" \tone two\n");
	ck_assert(slice_word(&part, &rest) && slice_eq_str(part, "one"));
	ck_assert(slice_word(&part, &rest) && slice_eq_str(part, "two"));
	ck_assert(!slice_word(&part, &rest));
}
END_TEST

START_TEST(comparing)
{
	ck_assert(slice_case_eq_str(slice_str("RCPT to"), "rcpt TO"));
	ck_assert(!slice_case_eq_str(slice_str("\xc3\x84"), "\xc3\xa4"));
	ck_assert(slice_starts(slice_str("abc"), "ab") && !slice_starts(slice_str("a"), "ab"));
	ck_assert(slice_ends(slice_str("abc"), "bc") && !slice_ends(slice_str("c"), "bc"));
	ck_assert_uint_eq(slice_find(slice_str("abcb"), 'b'), 1);
	ck_assert_uint_eq(slice_rfind(slice_str("abcb"), 'b'), 3);
	ck_assert_uint_eq(slice_find(slice_str("abcb"), 'x'), 4);
	ck_assert(slice_eq_str(slice_trim(slice_str(" \r\n a b\t")), "a b"));
	ck_assert(slice_from(slice_str("ab"), 9).n == 0 && slice_upto(slice_str("ab"), 9).n == 2);
	char small[3];
	ck_assert_int_eq(slice_copy(small, sizeof small, slice_str("ab")), 0);
	ck_assert_int_eq(slice_copy(small, sizeof small, slice_str("abc")), -1);
	ck_assert_int_eq(slice_copy(small, sizeof small, slice_make("a\0", 2)), -1);
}
END_TEST

START_TEST(buffer_limit)
{
	struct buf b = BUF_INIT(10);
	buf_add_str(&b, "12345");
	buf_add_str(&b, "67890");
	ck_assert(!b.overflow && b.n == 10);
	buf_add_char(&b, 'x');
	ck_assert(b.overflow && b.n == 10);
	buf_drop(&b, 5);
	buf_add_char(&b, 'x');
	ck_assert_msg(b.n == 5, "overflow is sticky");
	buf_reset(&b);
	buf_add_format(&b, "%s-%d", "a", 7);
	ck_assert(slice_eq_str(buf_slice(&b), "a-7"));
	ck_assert_ptr_null(buf_room(&b, SIZE_MAX - 2));
	ck_assert(b.overflow);
	buf_free(&b);
	b = BUF_INIT(SIZE_MAX);
	ck_assert_ptr_null(buf_room(&b, SIZE_MAX));
	buf_free(&b);
}
END_TEST

/* No sum of lengths wraps round: what does not fit is an overflow, whatever the limit. */
START_TEST(length_overflow)
{
	for (size_t have = 0; have <= 8; have += 8) {
		for (size_t k = 0; k < 32; k++) {
			struct buf b = BUF_INIT(SIZE_MAX);
			buf_add_slice(&b, slice_make("12345678", have));
			ck_assert_ptr_null(buf_room(&b, SIZE_MAX - k));
			ck_assert(b.overflow && b.n == have);
			buf_free(&b);
		}
		for (unsigned bits = 31; bits <= 63; bits += 16) { /* 2^31, 2^47, 2^63 octets over a limit of 100 */
			struct buf b = BUF_INIT(100);
			buf_add_slice(&b, slice_make("12345678", have));
			ck_assert_ptr_null(buf_room(&b, ((size_t)1 << bits) - have));
			ck_assert(b.overflow && b.n == have);
			buf_free(&b);
		}
	}
	struct slice s = slice_make("abc", 3);
	ck_assert_uint_eq(slice_from(s, SIZE_MAX).n, 0);
	ck_assert_uint_eq(slice_upto(s, SIZE_MAX).n, 3);
	long long v;
	const char *large[] = {"4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551616", "18446744073709551617", "99999999999999999999999999"};
	for (size_t i = 0; i < sizeof large / sizeof *large; i++)
		ck_assert_msg(slice_number(&v, slice_str(large[i]), 0, 2147483647) < 0, "%s", large[i]);
}
END_TEST

START_TEST(errors)
{
	struct err e;
	ck_assert_int_eq(err_set(&e, E_SYNTAX, "line %d\nforged", 3), E_SYNTAX);
	ck_assert_str_eq(e.text, "line 3?forged");
	errno = ENOSPC;
	ck_assert_int_eq(err_sys(&e, "write"), E_SYS);
	ck_assert_int_eq(e.sys, ENOSPC);
	ck_assert_str_eq(e.text, "write: No space left on device");
	ck_assert_int_eq(err_set(NULL, E_EOF, "x"), E_EOF);
}
END_TEST

START_TEST(ids)
{
	char a[ID_LEN + 1], b[ID_LEN + 1];
	id_set_host(slice_str("mx1.campus.test"));
	id_make(a);
	int64_t when = id_wall_usec(slice_str(a));
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	ck_assert(llabs((long long)t.tv_sec * 1000000 - when) < 2000000);
	for (int i = 0; i < 10000; i++) {
		id_make(b);
		ck_assert_msg(strcmp(a, b) < 0, "sorted and never the same");
		ck_assert(id_valid(slice_str(b)));
		memcpy(a, b, sizeof a);
	}
	ck_assert(!id_valid(slice_str("0123456789ab")) && !id_valid(slice_str("0123456789abcd")));
	ck_assert(!id_valid(slice_str("0123456789abu")) && !id_valid(slice_str("0123456789abC")));
	ck_assert(!id_valid(slice_make("0123456789ab\0", 13)));
}
END_TEST

/* Ids made by many processes at the same time differ. */
START_TEST(ids_of_forks)
{
	enum { PROCESSES = 50, EACH = 100 };
	static char all[PROCESSES * EACH][ID_LEN + 1];
	int p[2];
	ck_assert_int_eq(pipe(p), 0);
	for (int i = 0; i < PROCESSES; i++)
		if (fork() == 0) {
			char id[ID_LEN + 1];
			for (int k = 0; k < EACH; k++) {
				id_make(id);
				if (write(p[1], id, sizeof id) != sizeof id)
					_exit(1);
			}
			_exit(0);
		}
	for (size_t i = 0; i < PROCESSES * EACH; i++)
		ck_assert_int_eq(read(p[0], all[i], sizeof all[i]), sizeof all[i]);
	while (wait(NULL) > 0)
		;
	qsort(all, PROCESSES * EACH, sizeof *all, (int (*)(const void *, const void *))strcmp);
	for (size_t i = 1; i < PROCESSES * EACH; i++)
		ck_assert_str_ne(all[i - 1], all[i]);
}
END_TEST

START_TEST(log_lines)
{
	int p[2];
	char line[LOG_LINE_MAX + 1], long_value[4000];
	memset(long_value, 'x', sizeof long_value);
	ck_assert_int_eq(pipe(p), 0);
	log_to(p[1]);
	log_program("smtpd");
	LOG(EV_bad_job, "0123456789abc", F_STR("error", "a \"b\"\n2026 forged"), F_NUM("n", -5), F_STR("plain", "a@b.c"),
	    F_STR("empty", ""), F_SLICE("esc", slice_make("\x1b[2J\x9b", 5)));
	ssize_t n = read(p[0], line, LOG_LINE_MAX);
	ck_assert_int_gt(n, 0);
	line[n] = 0;
	ck_assert_msg(strchr(line, '\n') == line + n - 1, "one line: %s", line);
	ck_assert_ptr_nonnull(strstr(line, " 0123456789abc bad-job error=\"a \\\"b\\\"\\x0a2026 forged\" n=-5 plain=a@b.c empty=\"\" esc=\"\\x1b[2J\\x9b\"\n"));
	LOG(EV_fault, NULL, F_SLICE("a", slice_make(long_value, sizeof long_value)), F_SLICE("b", slice_make(long_value, sizeof long_value)),
	    F_SLICE("c", slice_make(long_value, 500)), F_SLICE("d", slice_make(long_value, 500)), F_STR("e", "end"));
	n = read(p[0], line, LOG_LINE_MAX);
	ck_assert(n > 1000 && n <= LOG_LINE_MAX && line[n - 1] == '\n');
	log_to(2);
}
END_TEST

UNIT_MAIN("slice",
	tcase_add_loop_test(t, number, 0, sizeof numbers / sizeof *numbers);
	tcase_add_test(t, cutting);
	tcase_add_test(t, comparing);
	tcase_add_test(t, buffer_limit);
	tcase_add_test(t, length_overflow);
	tcase_add_test(t, errors);
	tcase_add_test(t, ids);
	tcase_add_test(t, ids_of_forks);
	tcase_add_test(t, log_lines);)
