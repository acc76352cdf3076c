/* Unit tests of skim/respond_plan.c and respond_names.c: the grammar of control/respond. */
#include "skim/respond_plan.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static const struct row {
	const char *spec, *text;
	int kind; /* -1: a fault */
	size_t words;
	long days;
	const char *last;
} rows[] = {
	{"groups of a subtree", "groups-remove ou=groups,dc=campus,dc=test", STEP_GROUPS_REMOVE, 0, 0, "ou=groups,dc=campus,dc=test"},
	{"blanks in a DN stay", "groups-remove ou=Mail Groups,dc=campus", STEP_GROUPS_REMOVE, 0, 0, "ou=Mail Groups,dc=campus"},
	{"a DN is wanted", "groups-remove", -1, 0, 0, NULL},
	{"not a DN", "groups-remove mail", -1, 0, 0, NULL},
	{"not a DN either", "group-add cn=x,,", -1, 0, 0, NULL},
	{"one group", "group-add cn=phished,dc=campus", STEP_GROUP_ADD, 0, 0, "cn=phished,dc=campus"},
	{"password", "password", STEP_PASSWORD, 0, 0, ""},
	{"password stands alone", "password x", -1, 0, 0, NULL},
	{"names count whole", "passwords", -1, 0, 0, NULL},
	{"names count in case", "Password", -1, 0, 0, NULL},
	{"status", "accountstatus noaccess", STEP_ACCOUNTSTATUS, 1, 0, "noaccess"},
	{"a status is wanted", "accountstatus", -1, 0, 0, NULL},
	{"one status", "accountstatus no access", -1, 0, 0, NULL},
	{"block has a default", "block", STEP_BLOCK, 0, 30, ""},
	{"block for a day", "block 1", STEP_BLOCK, 1, 1, "1"},
	{"the longest block", "block 3650", STEP_BLOCK, 1, 3650, "3650"},
	{"one day too long", "block 3651", -1, 0, 0, NULL},
	{"no days", "block 0", -1, 0, 0, NULL},
	{"days are a number", "block 30d", -1, 0, 0, NULL},
	{"one number", "block 30 days", -1, 0, 0, NULL},
	{"both sets", "nftables inet postern blocked4 blocked6 30", STEP_NFTABLES, 5, 30, NULL},
	{"one set", "nftables ip postern blocked - 7", STEP_NFTABLES, 5, 7, NULL},
	{"no such family", "nftables inet6 postern a b 7", -1, 0, 0, NULL},
	{"no command in a name", "nftables inet postern;flush a b 7", -1, 0, 0, NULL},
	{"a name does not begin with a digit", "nftables inet 1a a b 7", -1, 0, 0, NULL},
	{"the table is wanted", "nftables inet - a b 7", -1, 0, 0, NULL},
	{"days are wanted", "nftables inet postern a b", -1, 0, 0, NULL},
	{"mail", "ticket mail helpdesk@campus.test", STEP_TICKET_MAIL, 1, 0, "helpdesk@campus.test"},
	{"blanks between the words of a name", "ticket   mail\thelpdesk@campus.test", STEP_TICKET_MAIL, 1, 0, "helpdesk@campus.test"},
	{"an address is wanted", "ticket mail helpdesk", -1, 0, 0, NULL},
	{"one address", "ticket mail a@b.test c@d.test", -1, 0, 0, NULL},
	{"program", "ticket program /usr/bin/ticket --queue a*b;c", STEP_TICKET_PROGRAM, 3, 0, "/usr/bin/ticket --queue a*b;c"},
	{"a path is wanted", "ticket program ticket", -1, 0, 0, NULL},
	{"a program is wanted", "ticket program", -1, 0, 0, NULL},
	{"fifteen arguments", "ticket program /a 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15", STEP_TICKET_PROGRAM, 16, 0, NULL},
	{"sixteen arguments", "ticket program /a 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", -1, 0, 0, NULL},
	{"no other ticket", "ticket fax 1", -1, 0, 0, NULL},
	{"no step", "reboot", -1, 0, 0, NULL},
	{"nothing", "", -1, 0, 0, NULL},
};

START_TEST(test_step)
{
	const struct row *r = &rows[_i];
	struct plan_step s;
	struct err e;
	int rc = plan_step_parse(&s, slice_str(r->text), &e);
	ck_assert_msg((rc < 0) == (r->kind < 0), "%s: %s", r->spec, rc < 0 ? e.text : "taken");
	if (rc < 0) {
		ck_assert_uint_gt(strlen(e.text), 10);
		return;
	}
	ck_assert_msg((int)s.kind == r->kind && s.words == r->words && s.days == r->days, "%s: kind %d, %zu words, %ld days", r->spec, (int)s.kind, s.words, s.days);
	ck_assert_msg(!r->last || slice_eq_str(s.args, r->last), "%s: %.*s", r->spec, SLICE_FMT(s.args));
	ck_assert(slice_eq_str(s.text, r->text));
}
END_TEST

static const struct file {
	const char *spec, *text;
	int steps; /* -1: a fault */
	const char *place;
} files[] = {
	{"every state", "held ticket mail a@b.test\n# a comment\n\nstopped  block 1\nlocked password\n", 3, NULL},
	{"nothing", "# locked password\n", 0, NULL},
	{"no state", "password\n", -1, "respond:1:"},
	{"no such state", "held block 1\nfree password\n", -1, "respond:2:"},
	{"a state alone", "locked\n", -1, "respond:1:"},
	{"twice", "held block 1\nlocked block 1\n", -1, "respond:2:"},
	{"the notice is not to be written", "held notice a@b.test\n", -1, "respond:1:"},
};

static struct control control_with(const char *text)
{
	struct control c = {0};
	c.value[C_respond].present = true;
	c.value[C_respond].content = slice_str(text);
	snprintf(c.dir, sizeof c.dir, "control");
	return c;
}

START_TEST(test_file)
{
	const struct file *f = &files[_i];
	struct control c = control_with(f->text);
	struct plan p;
	struct err e = {0};
	int rc = plan_parse(&p, &c, &e);
	ck_assert_msg(rc == (f->steps < 0 ? E_SYNTAX : 0) && (rc < 0 || (int)p.steps == f->steps), "%s: %s", f->spec, e.text);
	ck_assert_msg(!f->place || strstr(e.text, f->place), "%s: %s", f->spec, e.text);
}
END_TEST

START_TEST(test_most)
{
	struct buf b = BUF_INIT(1 << 20);
	struct plan p;
	for (int i = 1; i <= PLAN_STEPS_MAX; i++)
		buf_add_format(&b, "held block %d\n", i);
	buf_add_char(&b, 0);
	struct control c = control_with(b.p);
	ck_assert_int_eq(plan_parse(&p, &c, NULL), 0);
	ck_assert_uint_eq(p.steps, PLAN_STEPS_MAX);
	b.n--;
	buf_add_str(&b, "held block 99\n");
	buf_add_char(&b, 0);
	c = control_with(b.p);
	ck_assert_int_eq(plan_parse(&p, &c, NULL), E_SYNTAX);
	buf_free(&b);
}
END_TEST

/* What the graph asks is answered as the parser reads it. */
START_TEST(test_names)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[200];
		snprintf(text, sizeof text, "# nftables\nlocked %s\n", rows[i].text);
		struct control c = control_with(text);
		for (int k = 0; rows[i].kind >= 0 && k < STEP_KINDS; k++)
			ck_assert_msg(plan_names(&c, (enum step_kind)k) == (k == rows[i].kind), "%s: %d", rows[i].spec, k);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("respond_plan");
	TCase *t = tcase_create("plan");
	tcase_add_loop_test(t, test_step, 0, sizeof rows / sizeof *rows);
	tcase_add_loop_test(t, test_file, 0, sizeof files / sizeof *files);
	tcase_add_test(t, test_most);
	tcase_add_test(t, test_names);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
