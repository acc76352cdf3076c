/* maildirsize and sizes in file names: the grammar. */
#include <check.h>
#include <stdlib.h>

#include "deliver/maildir_quota.h"

static const struct {
	const char *spec, *text;
	struct maildir_quota quota;
	int rc;
	long long octets, count;
	int lines;
} rows[] = {
	{"usual", "1000S,20C\n69 1\n100 2\n", {1000, 20}, 0, 169, 3, 2},
	{"taken away again", "1000S\n69 1\n-69 -1\n", {1000, 0}, 0, 0, 0, 2},
	{"either order", "20C,1000S\n", {1000, 20}, 0, 0, 0, 0},
	{"no newline at the end, blanks", "1000S,20C\n  69   1 ", {1000, 20}, 0, 69, 1, 1},
	{"limits have changed", "1000S,20C\n69 1\n", {2000, 20}, E_SYNTAX, 0, 0, 0},
	{"a limit is missing", "1000S\n69 1\n", {1000, 20}, E_SYNTAX, 0, 0, 0},
	{"unknown letter", "1000S,20X\n", {1000, 20}, E_SYNTAX, 0, 0, 0},
	{"negative octets", "1000S\n-1 1\n", {1000, 0}, E_SYNTAX, 0, 0, 0},
	{"negative count (qmail-ldap then sets the size to 0)", "1000S\n10 -1\n", {1000, 0}, E_SYNTAX, 0, 0, 0},
	{"not a number", "1000S\nx 1\n", {1000, 0}, E_SYNTAX, 0, 0, 0},
	{"one number", "1000S\n1\n", {1000, 0}, E_SYNTAX, 0, 0, 0},
	{"three numbers", "1000S\n1 1 1\n", {1000, 0}, E_SYNTAX, 0, 0, 0},
	{"sum too large", "1000S\n4611686018427387903 1\n4611686018427387903 1\n4611686018427387903 1\n", {1000, 0}, E_SYNTAX, 0, 0, 0},
	{"empty", "", {1000, 0}, E_SYNTAX, 0, 0, 0},
};

START_TEST(parse)
{
	struct maildir_usage u;
	int rc = maildir_quota_parse(&u, &rows[_i].quota, slice_str(rows[_i].text));
	ck_assert_msg(rc == rows[_i].rc, "%s: %d", rows[_i].spec, rc);
	if (rc == 0)
		ck_assert_msg(u.octets == rows[_i].octets && u.count == rows[_i].count && u.lines == rows[_i].lines, "%s: %lld %lld %d",
			rows[_i].spec, u.octets, u.count, u.lines);
}
END_TEST

START_TEST(size_in_name)
{
	static const struct { const char *name; long long want; } names[] = {{"x,S=12", 12}, {"x,S=12:2,S", 12}, {"x,S=12,W=13:2,", 12},
		{"x", -1}, {"x,S=", -1}, {",S=5", 5}, {"x,S=-5", -1}, {"x,S=99999999999999999999", -1}, {"x,S", -1}, {"", -1}};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		ck_assert_msg(maildir_quota_size_in_name(slice_str(names[i].name)) == names[i].want, "%s", names[i].name);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("maildir_quota");
	TCase *t = tcase_create("maildir_quota");
	tcase_add_loop_test(t, parse, 0, (int)(sizeof rows / sizeof *rows));
	tcase_add_test(t, size_in_name);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
