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
	{"%staff@campus.test:office@campus.test", 0},
	{"%staff@campus.test:@lists.campus.test", 0},
	{"%staff:office@campus.test", E_SYNTAX},
	{"%:office@campus.test", E_SYNTAX},
	{"%@campus.test:office@campus.test", E_SYNTAX},
	{"%staff@campus.test:office", E_SYNTAX},
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
	{"%staff@campus.test", "events", "campus.test", false},
};

START_TEST(lookup)
{
	struct slice line[] = {slice_str("*:@open.campus.test"), slice_str("*:events@campus.test"), slice_str("ann:@lists.campus.test"), slice_str("ann:office@campus.test")};
	const struct sendas s = {.line = line, .count = 4};
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

/* Groups by address, however many lines and in whatever order; the bound for one address. */
static int read_text(struct sendas *s, struct slice text, struct err *e)
{
	struct control c = {.dir = "ctl"};
	bool refuse;
	c.value[C_sendas].content = text;
	c.value[C_sendas].present = true;
	return sendas_read(s, &refuse, &c, e);
}

START_TEST(groups)
{
	struct sendas s;
	struct err e;
	struct buf b = BUF_INIT(1 << 20);
	size_t at;
	char local[20], group[40];
	for (int i = 0; i < 1000; i++)
		buf_add_format(&b, "%%g%d@campus.test:a%d@campus.test\nu%d:x@campus.test\n", i, i * 7 % 500, i);
	buf_add_str(&b, "%all@campus.test:@CAMPUS.test\n");
	ck_assert_int_eq(read_text(&s, buf_slice(&b), &e), 0);
	ck_assert_uint_eq(s.groups, 1001);
	ck_assert_uint_eq(s.count, 1000);
	for (int i = 0; i < 500; i++) {
		snprintf(local, sizeof local, "A%d", i * 7 % 500);
		ck_assert_uint_eq(sendas_groups(&at, &s, slice_str(local), slice_str("campus.TEST")), 2);
		snprintf(group, sizeof group, "g%d@campus.test", i);
		ck_assert(slice_eq_str(s.group[at].group, group) || slice_eq_str(s.group[at + 1].group, group));
		ck_assert(sendas_allows(&s, slice_make("u7", 2), slice_str("x"), slice_str("campus.test")));
	}
	ck_assert_uint_eq(sendas_groups(&at, &s, slice_str(""), slice_str("campus.test")), 1);
	ck_assert(slice_eq_str(s.group[at].group, "all@campus.test"));
	ck_assert_uint_eq(sendas_groups(&at, &s, slice_str("a500"), slice_str("campus.test")), 0);
	ck_assert_uint_eq(sendas_groups(&at, &s, slice_str(""), slice_str("campus")), 0);
	sendas_free(&s);
	buf_reset(&b);
	for (int i = 0; i < SENDAS_GROUPS_MAX; i++)
		buf_add_format(&b, "%%g%d@campus.test:a@campus.test\n%%g%d@campus.test:@campus.test\n", i, i);
	ck_assert_int_eq(read_text(&s, buf_slice(&b), &e), 0);
	ck_assert_uint_eq(sendas_groups(&at, &s, slice_str("a"), slice_str("campus.test")), SENDAS_GROUPS_MAX);
	sendas_free(&s);
	buf_add_str(&b, "%one.more@campus.test:A@campus.test\n");
	ck_assert_int_lt(read_text(&s, buf_slice(&b), &e), 0);
	ck_assert(strstr(e.text, "ctl/sendas") && strstr(e.text, "more than 16 groups"));
	sendas_free(&s);
	/* what is too long to stand in a line is found nowhere */
	struct sendas none = {0};
	char longest[700];
	memset(longest, 'a', sizeof longest);
	ck_assert_uint_eq(sendas_groups(&at, &none, slice_make(longest, sizeof longest), slice_str("x")), 0);
	buf_free(&b);
}
END_TEST

UNIT_MAIN("sendas", {
	tcase_add_test(t, groups);
	tcase_add_loop_test(t, grammar, 0, sizeof lines / sizeof *lines);
	tcase_add_loop_test(t, lookup, 0, sizeof asked / sizeof *asked);
	tcase_add_test(t, others);
})
