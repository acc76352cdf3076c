/* Unit tests of deliver/reply.c: lines in, code, enhanced code and text out. */
#include "deliver/reply.h"

#include "tests/unit/unit.h"

static const struct {
	const char *spec, *lines; /* separated by | */
	int code;                 /* 0: no reply */
	const char *enhanced, *text;
} rows[] = {
	{"plain", "250 ok", 250, "2.0.0", "250 ok"},
	{"enhanced", "550 5.1.1 nobody", 550, "5.1.1", "550 5.1.1 nobody"},
	{"enhanced alone", "550 5.7.2", 550, "5.7.2", "550 5.7.2"},
	{"longest enhanced", "550 5.123.456 x", 550, "5.123.456", "550 5.123.456 x"},
	{"too long for one", "550 5.1234.1 x", 550, "5.0.0", "550 5.1234.1 x"},
	{"not the code's class", "550 4.1.1 x", 550, "5.0.0", "550 4.1.1 x"},
	{"not ended", "550 5.1.1x", 550, "5.0.0", "550 5.1.1x"},
	{"cut short", "550 5.1.", 550, "5.0.0", "550 5.1."},
	{"code alone", "451", 451, "4.0.0", "451 (no text)"},
	{"code and blank", "451 ", 451, "4.0.0", "451 (no text)"},
	{"several lines", "550-5.1.1 a|550-5.1.1 b|550 5.1.1 c", 550, "5.1.1", "550 5.1.1 a b c"},
	{"empty lines in the middle", "250-a|250-|250 b", 250, "2.0.0", "250 a b"},
	{"control characters", "550 a\001b\tc\377d", 550, "5.0.0", "550 a?b c?d"},
	{"code of 1", "150 x", 0, "", ""},
	{"code of 6", "650 x", 0, "", ""},
	{"two digits", "25 x", 0, "", ""},
	{"four digits", "2500 x", 0, "", ""},
	{"no code", "hello", 0, "", ""},
	{"nothing", "", 0, "", ""},
	{"another separator", "250+x", 0, "", ""},
	{"codes differ", "250-a|550 b", 0, "", ""},
};

START_TEST(table)
{
	struct slice line, rest = slice_str(rows[_i].lines);
	struct reply r;
	struct err e;
	int rc = 1;
	reply_begin(&r);
	while (rc == 1 && slice_cut(&line, &rest, '|'))
		rc = reply_add(&r, line, NULL, &e);
	ck_assert_int_eq(rc, rows[_i].code ? 0 : E_PEER);
	if (rc < 0)
		return;
	ck_assert_msg(r.code == rows[_i].code && strcmp(r.enhanced, rows[_i].enhanced) == 0 && strcmp(r.text, rows[_i].text) == 0, "%s: %d %s \"%s\"",
		rows[_i].spec, r.code, r.enhanced, r.text);
}
END_TEST

START_TEST(limits)
{
	struct reply r;
	char text[1000];
	memset(text, 'x', sizeof text);
	memcpy(text, "550-", 4);
	reply_begin(&r);
	for (int i = 0; i < REPLY_LINES_MAX; i++)
		ck_assert_int_eq(reply_add(&r, slice_make(text, sizeof text), NULL, NULL), 1);
	ck_assert_int_eq(reply_add(&r, slice_str("550 x"), NULL, NULL), E_PEER);
	ck_assert_uint_eq(strlen(r.text), REPLY_TEXT_MAX);
}
END_TEST

UNIT_MAIN("reply", tcase_add_loop_test(t, table, 0, sizeof rows / sizeof *rows); tcase_add_test(t, limits);)
