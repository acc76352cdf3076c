/* Unit tests of control/sendas: who may send as whom. */
#include "smtpd-outside/sendas.h"

#include <stdio.h>

#include "tests/unit/unit.h"

static const struct {
	const char *line;
	int rc;
} lines[] = {
	{"ann:office@campus.test", 0},
	{"ann:@lists.campus.test", 0},
	{"*:events@campus.test", 0},
	{"*:@lists.campus.test", 0},
	{"ann:\"a b\"@campus.test", 0},
	{"ann", E_SYNTAX},
	{"ann:", E_SYNTAX},
	{":office@campus.test", E_SYNTAX},
	{"ann:office", E_SYNTAX},
	{"ann:@", E_SYNTAX},
	{"ann:@-bad-.test", E_SYNTAX},
	{"ann:a@b@c", E_SYNTAX},
	{"ann:office@campus.test\x01", E_SYNTAX},
};

START_TEST(grammar)
{
	struct err e;
	int rc = sendas_parse_line(slice_str(lines[_i].line), &e);
	ck_assert_msg(rc == lines[_i].rc, "%s: %d", lines[_i].line, rc);
}
END_TEST

static const struct {
	const char *user, *local, *domain;
	bool allowed;
} asked[] = {
	{"ann", "office", "campus.test", true},
	{"ann", "OFFICE", "Campus.Test", true},
	{"Ann", "office", "campus.test", true},
	{"bob", "office", "campus.test", false},
	{"ann", "offic", "campus.test", false},
	{"ann", "office", "campus.test.evil.example", false},
	{"ann", "x", "lists.campus.test", true},
	{"bob", "x", "lists.campus.test", false},
	{"bob", "events", "campus.test", true},
	{"bob", "y", "open.campus.test", true},
	{"ann", "", "campus.test", false},
	{"*", "office", "campus.test", false},
	{"ann:office", "x", "campus.test", false},
	{"", "events", "campus.test", true},
};

START_TEST(lookup)
{
	struct slice line[] = {slice_str("*:@open.campus.test"), slice_str("*:events@campus.test"), slice_str("ann:@lists.campus.test"), slice_str("ann:office@campus.test")};
	const struct sendas s = {line, 4};
	bool got = sendas_allows(&s, slice_str(asked[_i].user), slice_str(asked[_i].local), slice_str(asked[_i].domain));
	ck_assert_msg(got == asked[_i].allowed, "%s as %s@%s", asked[_i].user, asked[_i].local, asked[_i].domain);
}
END_TEST

START_TEST(others)
{
	struct err e;
	bool refuse;
	ck_assert(sendas_parse_others(&refuse, slice_str("refuse"), &e) == 0 && refuse);
	ck_assert(sendas_parse_others(&refuse, slice_str("record"), &e) == 0 && !refuse);
	ck_assert_int_eq(sendas_parse_others(&refuse, slice_str("reject"), &e), E_SYNTAX);
}
END_TEST

UNIT_MAIN("sendas", {
	tcase_add_loop_test(t, grammar, 0, sizeof lines / sizeof *lines);
	tcase_add_loop_test(t, lookup, 0, sizeof asked / sizeof *asked);
	tcase_add_test(t, others);
})
