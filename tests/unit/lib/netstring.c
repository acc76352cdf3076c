/* Netstrings: round trips, every fault, limits at the bound and one past. */
#include "lib/netstring.h"

#include "tests/unit/unit.h"

static const struct {
	const char *in;
	int rc;
	const char *out;
	const char *spec;
} cases[] = {
	{"0:,", 0, "", "the empty string"},
	{"5:hello,rest", 0, "hello", "what follows stays"},
	{"10:0123456789,", 0, "0123456789", "max octets"},
	{"11:01234567890,", E_TOO_LONG, "", "one more than max"},
	{"05:hello,", E_SYNTAX, "", "no leading zero"},
	{"00:,", E_SYNTAX, "", "no leading zero"},
	{":,", E_SYNTAX, "", "a length must be there"},
	{"-1:,", E_SYNTAX, "", "no sign"},
	{"5:hello;", E_SYNTAX, "", "the comma must be there"},
	{"5 :hello,", E_SYNTAX, "", "nothing between length and colon"},
	{"5:hell", E_EOF, "", "cut off in the text"},
	{"5:hello", E_EOF, "", "cut off before the comma"},
	{"5", E_EOF, "", "cut off in the length"},
	{"", E_EOF, "", "nothing there"},
	{"9999999999:", E_TOO_LONG, "", "more than nine digits"},
	{"99999999999999999999999:", E_TOO_LONG, "", "more than any size"},
};

START_TEST(take)
{
	struct slice rest = slice_str(cases[_i].in), out = {0};
	ck_assert_msg(netstring_take(&out, &rest, 10) == cases[_i].rc, "%s", cases[_i].spec);
	if (cases[_i].rc == 0)
		ck_assert_msg(slice_eq_str(out, cases[_i].out), "%s", cases[_i].spec);
	else
		ck_assert_msg(slice_eq_str(rest, cases[_i].in), "%s: nothing is taken", cases[_i].spec);
}
END_TEST

START_TEST(round_trip)
{
	for (size_t n = 0; n < 300; n++) {
		char text[300];
		struct buf b = BUF_INIT(1000);
		struct slice out, rest;
		memset(text, (int)('a' + n % 26), sizeof text);
		netstring_add(&b, slice_make(text, n));
		netstring_add_number(&b, (long long)n - 150);
		rest = buf_slice(&b);
		long long number;
		ck_assert_int_eq(netstring_take(&out, &rest, 300), 0);
		ck_assert(slice_eq(out, slice_make(text, n)));
		ck_assert_int_eq(netstring_take_number(&number, &rest, -150, 150), 0);
		ck_assert_int_eq(number, (long long)n - 150);
		ck_assert_uint_eq(rest.n, 0);
		buf_free(&b);
	}
}
END_TEST

START_TEST(numbers)
{
	static const char *const bad[] = {"3:1 2,", "0:,", "2:+1,", "1:x,", "3:101,", "2:-1,", "25:1111111111111111111111111,"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct slice rest = slice_str(bad[i]);
		long long v = 7;
		ck_assert_msg(netstring_take_number(&v, &rest, 0, 100) == E_SYNTAX, "%s", bad[i]);
		ck_assert_int_eq(v, 7);
	}
}
END_TEST

UNIT_MAIN("netstring",
	tcase_add_loop_test(t, take, 0, sizeof cases / sizeof *cases);
	tcase_add_test(t, round_trip);
	tcase_add_test(t, numbers);)
