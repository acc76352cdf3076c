/* lib/header: one row, one result. */
#include "lib/header.h"
#include "tests/unit/unit.h"

#define S(text) {text, sizeof text - 1}

/* The walk, written as name=value| for each field, and what is left. */
static const struct walk_row {
	const char *spec;
	struct slice in;
	const char *out;
	size_t left;  /* octets that header_next() leaves */
	size_t octets;/* header_length() */
	bool no_blank;
} walks[] = {
	{"2.2 one field", S("A: b\n\nbody"), "A= b|", 5, 6, false},
	{"2.2 two fields", S("A: b\nC:d\n\n"), "A= b|C=d|", 1, 10, false},
	{"2.2.3 folds", S("A: b\n c\n\td\n\n"), "A= b\n c\n\td|", 1, 12, false},
	{"2.2.3 fold of blanks only", S("A: b\n \nB: c\n\n"), "A= b\n |B= c|", 1, 13, false},
	{"2.2.3 begins with a fold", S("A:\n b\n\n"), "A=\n b|", 1, 7, false},
	{"empty value", S("A:\n\n"), "A=|", 1, 4, false},
	{"colons in the value", S("A: b: c\n\n"), "A= b: c|", 1, 9, false},
	{"3.6.8 all printable names", S("!#$%&'*+-./09;<=>?@AZ[\\]^_`az{|}~: x\n\n"), "!#$%&'*+-./09;<=>?@AZ[\\]^_`az{|}~= x|", 1, 38, false},
	{"4.5 blanks before the colon", S("A \t: b\n\n"), "A= b|", 1, 8, false},
	{"no name", S(": b\n\n"), "", 5, 0, true},
	{"no colon", S("A\nB: c\n\n"), "", 8, 0, true},
	{"blank in the name", S("A b: c\n\n"), "", 8, 0, true},
	{"eight bits in the name", S("\303\204: c\n\n"), "", 7, 0, true},
	{"NUL in the name", S("A\0: c\n\n"), "", 7, 0, true},
	{"NUL in the value", S("A: \0\n\n"), NULL, 1, 6, false},
	{"mbox line", S("From a@b Sun Nov 22\nA: b\n\n"), "", 26, 0, true},
	{"continuation first", S(" a\nB: c\n\n"), "", 9, 0, true},
	{"not a field in the middle", S("A: b\nhello\nC: d\n\n"), "A= b|", 12, 5, true},
	{"blank line first", S("\nA: b\n"), "", 6, 1, false},
	{"empty", S(""), "", 0, 0, true},
	{"ends without blank line", S("A: b\n"), "A= b|", 0, 5, true},
	{"ends without LF", S("A: b"), "A= b|", 0, 4, true},
	{"ends in a fold", S("A: b\n "), "A= b\n |", 0, 6, true},
	{"ends in a name", S("A: b\nC"), "A= b|", 1, 5, true},
	{"CR is an octet like others", S("A: b\r\n\r\n"), "A= b\r|", 2, 6, true},
	{"second blank line is body", S("A: b\n\n\nC: d\n"), "A= b|", 7, 6, false},
};

START_TEST(walk)
{
	const struct walk_row *r = &walks[_i];
	struct slice rest = r->in;
	struct header_field f;
	struct buf b = BUF_INIT(1024);
	const char *at = r->in.p;
	bool no_blank = !r->no_blank;
	while (header_next(&f, &rest)) {
		ck_assert_msg(f.whole.p == at && f.name.p == at, "%s: a gap", r->spec);
		at += f.whole.n;
		buf_add_slice(&b, f.name);
		buf_add_char(&b, '=');
		buf_add_slice(&b, f.value);
		buf_add_char(&b, '|');
	}
	if (r->out)
		ck_assert_msg(slice_eq_str(buf_slice(&b), r->out), "%s: %.*s", r->spec, SLICE_FMT(buf_slice(&b)));
	ck_assert_msg(rest.n == r->left && rest.p == at, "%s: left %zu", r->spec, rest.n);
	ck_assert_msg(header_length(r->in, &no_blank) == r->octets && no_blank == r->no_blank, "%s: length", r->spec);
	buf_free(&b);
}
END_TEST

static const struct unfold_row {
	const char *in, *out;
} unfolds[] = {
	{" b", "b"}, {"b \t", "b"}, {" a\n b", "a b"}, {" a\n\tb\n  c ", "a\tb  c"}, {"\n a", "a"}, {"a\n ", "a"}, {"", ""}, {" \n \n ", ""},
	{"a\nb", "a\nb"}, {"a  b", "a  b"},
};

START_TEST(unfold)
{
	struct buf b = BUF_INIT(1024);
	header_unfold(&b, slice_str(unfolds[_i].in));
	ck_assert_msg(slice_eq_str(buf_slice(&b), unfolds[_i].out), "%d: %.*s", _i, SLICE_FMT(buf_slice(&b)));
	buf_free(&b);
}
END_TEST

static const struct date_row {
	int64_t wall_usec;
	const char *out;
} dates[] = {
	{0, "Thu, 1 Jan 1970 00:00:00 +0000"},
	{999999, "Thu, 1 Jan 1970 00:00:00 +0000"},
	{-1, "Wed, 31 Dec 1969 23:59:59 +0000"},
	{-1000000, "Wed, 31 Dec 1969 23:59:59 +0000"},
	{-86400000000ll, "Wed, 31 Dec 1969 00:00:00 +0000"},
	{1795343760000000ll, "Sun, 22 Nov 2026 10:36:00 +0000"},
	{951782399000000ll, "Mon, 28 Feb 2000 23:59:59 +0000"},
	{951782400000000ll, "Tue, 29 Feb 2000 00:00:00 +0000"},
	{951868800000000ll, "Wed, 1 Mar 2000 00:00:00 +0000"},
	{1735689599000000ll, "Tue, 31 Dec 2024 23:59:59 +0000"},
	{4107542400000000ll, "Mon, 1 Mar 2100 00:00:00 +0000"},
	{4107542399000000ll, "Sun, 28 Feb 2100 23:59:59 +0000"},
	{2147483648000000ll, "Tue, 19 Jan 2038 03:14:08 +0000"},
	{253402300799000000ll, "Fri, 31 Dec 9999 23:59:59 +0000"},
};

START_TEST(date)
{
	struct buf b = BUF_INIT(64);
	header_date(&b, dates[_i].wall_usec);
	ck_assert_msg(slice_eq_str(buf_slice(&b), dates[_i].out), "%s: %.*s", dates[_i].out, SLICE_FMT(buf_slice(&b)));
	buf_free(&b);
}
END_TEST

START_TEST(find)
{
	struct slice h = slice_str("To: a\nsubject: one\nSUBJECT: two\nX-Subject: no\n\nSubject: body\n");
	struct header_field f = {.value = slice_str("kept")};
	ck_assert(header_find(&f, h, "Subject") && slice_eq_str(f.value, " one"));
	ck_assert(!header_find(&f, h, "Cc") && slice_eq_str(f.value, " one"));
	ck_assert(!header_find(&f, h, "Subjec"));
	ck_assert_uint_eq(header_count(h, "Subject"), 2);
	ck_assert_uint_eq(header_count(h, "Cc"), 0);
}
END_TEST

#define ROWS(a) (int)(sizeof(a) / sizeof *(a))
UNIT_MAIN("header",
	tcase_add_loop_test(t, walk, 0, ROWS(walks));
	tcase_add_loop_test(t, unfold, 0, ROWS(unfolds));
	tcase_add_loop_test(t, date, 0, ROWS(dates));
	tcase_add_test(t, find);)
