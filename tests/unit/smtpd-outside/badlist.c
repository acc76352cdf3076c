/* smtpd-outside/badlist: lines, and which addresses and host names a list refuses. */
#include "smtpd-outside/badlist.h"

#include <stdio.h>
#include <time.h>

#include "tests/unit/unit.h"

static const char senders[] =
	"# comment\nspam@a.test\n@b.test\n@.c.test\nnobody@\n*bulk*@news.*\nWhole@Case.Test\n"
	"-good@b.test\n-@ok.c.test\nhost?@d.test\n-*@excepted.news.test\nx.y@e.test\n-twice@f.test\ntwice@f.test\n";

static const struct address_row {
	const char *address, *line; /* NULL: not refused */
} addresses[] = {
	{"spam@a.test", "spam@a.test"}, {"SPAM@A.TEST", "spam@a.test"}, {"spam@b.a.test", NULL}, {"xspam@a.test", NULL}, {"a@a.test", NULL},
	{"any@b.test", "@b.test"}, {"any@x.b.test", NULL}, {"good@b.test", NULL}, {"Good@B.Test", NULL},
	{"any@c.test", NULL}, {"any@x.c.test", "@.c.test"}, {"any@x.y.c.test", "@.c.test"}, {"any@ok.c.test", NULL}, {"any@x.ok.c.test", "@.c.test"}, {"any@xc.test", NULL},
	{"nobody@anywhere.test", "nobody@"}, {"nobody2@anywhere.test", NULL}, {"NoBody@x", "nobody@"},
	{"my-bulk-x@news.test", "*bulk*@news.*"}, {"bulk@news.", "*bulk*@news.*"}, {"bulk@excepted.news.test", NULL}, {"bulk@news", NULL},
	{"whole@case.test", "Whole@Case.Test"}, {"host1@d.test", "host?@d.test"}, {"host@d.test", NULL}, {"twice@f.test", NULL},
	{"xzy@e.test", NULL}, {"", NULL}, {"noat", NULL}, {"@", NULL}, {"a@", NULL}, {"\"spam@a.test\"@x.test", NULL},
};

static struct control control_of(enum control_id id, const char *text)
{
	struct control c = {.dir = "/c"};
	c.value[id] = (struct control_value){.content = slice_str(text), .present = true};
	return c;
}

START_TEST(address)
{
	const struct address_row *r = &addresses[_i];
	struct control c = control_of(C_badmailfrom, senders);
	struct badlist b;
	struct slice which;
	ck_assert_int_eq(badlist_read(&b, &c, (const enum control_id[]){C_badmailfrom}, 1, false, NULL), 0);
	bool bad = badlist_address(&b, slice_str(r->address), &which);
	ck_assert_msg(bad == (r->line != NULL), "%s", r->address);
	ck_assert_msg(!bad || slice_eq_str(which, r->line), "%s: %.*s", r->address, SLICE_FMT(which));
	badlist_free(&b);
}
END_TEST

static const struct address_row hosts[] = {
	{"localhost", "localhost"}, {"LOCALHOST", "localhost"}, {"localhost.x", NULL}, {"a.dyn.test", ".dyn.test"}, {"dyn.test", NULL}, {"mail.dyn.test", NULL},
	{"[192.0.2.1]", "[*"}, {"1-2-3-4.isp.test", "*-*-*-*.isp.test"}, {"1-2.isp.test", NULL}, {"", NULL}, {".", NULL}, {"..", NULL},
};

START_TEST(host)
{
	struct control c = control_of(C_badhelo, "localhost\n.dyn.test\n-mail.dyn.test\n[*\n*-*-*-*.isp.test\n");
	struct badlist b;
	struct slice which;
	ck_assert_int_eq(badlist_read(&b, &c, (const enum control_id[]){C_badhelo}, 1, true, NULL), 0);
	bool bad = badlist_host(&b, slice_str(hosts[_i].address), &which);
	ck_assert_msg(bad == (hosts[_i].line != NULL), "%s", hosts[_i].address);
	ck_assert_msg(!bad || slice_eq_str(which, hosts[_i].line), "%s", hosts[_i].address);
	badlist_free(&b);
}
END_TEST

static const struct line_row {
	const char *text;
	bool host, good;
} lines[] = {
	{"a@b", false, true}, {"@b", false, true}, {"a@", false, true}, {"-a@b", false, true}, {"@.b.c", false, true}, {"*", false, true}, {"a?", false, true},
	{"a@[192.0.2.1]", false, true}, {"b", false, false}, {"@", false, false}, {"-", false, false}, {"", false, false}, {"a b@c", false, false}, {"!a@b", false, false},
	{"-!a@b", false, false}, {".*@b", false, false}, {"^a@b$", false, false}, {"-^a@b", false, false}, {"^dsl.*\\.b$", true, false}, {".*b", true, false},
	{"a.*@b", false, true}, {"mail.*", true, true}, {"a^@b", false, true}, {"a@b..c", false, false}, {"a@-", false, false}, {"a@.", false, false},
	{"b", true, true}, {".b", true, true}, {"-b", true, true}, {"[1.2.3.4]", true, true}, {"a_b", true, true}, {".", true, false}, {"a\tb", true, false}, {"!b", true, false},
};

START_TEST(line)
{
	struct badlist_line out;
	struct err e;
	ck_assert_msg((badlist_parse_line(&out, slice_str(lines[_i].text), lines[_i].host, &e) == 0) == lines[_i].good, "%s", lines[_i].text);
}
END_TEST

START_TEST(fault_names_its_place)
{
	struct control c = control_of(C_badrcptto, "a@b\n\n# x\nwrong\n");
	struct badlist b;
	struct err e;
	ck_assert_int_eq(badlist_read(&b, &c, (const enum control_id[]){C_badrcptto, C_badmailto}, 2, false, &e), E_SYNTAX);
	ck_assert_msg(slice_starts(slice_str(e.text), "/c/badrcptto:4: "), "%s", e.text);
	ck_assert(!b.exact && !b.pattern);
}
END_TEST

START_TEST(a_file_of_regular_expressions_is_a_fault)
{
	struct control c = control_of(C_badmailfrom, "#regex\na@b\n");
	struct badlist b;
	struct err e;
	ck_assert_int_eq(badlist_read(&b, &c, (const enum control_id[]){C_badmailfrom}, 1, false, &e), E_SYNTAX);
	ck_assert_msg(slice_starts(slice_str(e.text), "/c/badmailfrom:1: regular expressions"), "%s", e.text);
	c = control_of(C_badmailfrom, "# regex\na@b\n");
	ck_assert_int_eq(badlist_read(&b, &c, (const enum control_id[]){C_badmailfrom}, 1, false, &e), 0);
	badlist_free(&b);
}
END_TEST

static double seconds_for(const struct badlist *b, size_t octets)
{
	char who[320];
	struct slice which;
	struct timespec a, z;
	memset(who, 'a', octets);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (int i = 0; i < 20; i++)
		ck_assert(!badlist_address(b, slice_make(who, octets), &which));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &z);
	return (double)(z.tv_sec - a.tv_sec) + (double)(z.tv_nsec - a.tv_nsec) / 1e9;
}

/* As many patterns as there may be, of the kind that backtracking matchers need exponential time for: a session asks all in some milliseconds. */
START_TEST(redos)
{
	static char text[(64 + 2) * BADLIST_PATTERNS_MAX + 1];
	struct badlist b;
	size_t n = 0;
	for (int i = 0; i < BADLIST_PATTERNS_MAX; i++)
		n += (size_t)snprintf(text + n, 70, "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b%03d\n", i);
	struct control c = control_of(C_badmailfrom, text);
	ck_assert_int_eq(badlist_read(&b, &c, (const enum control_id[]){C_badmailfrom}, 1, false, NULL), 0);
	double half = seconds_for(&b, 160), whole = seconds_for(&b, 320);
	ck_assert_msg(whole / 20 < 0.25, "%g s for one address", whole / 20); /* under sanitizers too */
	ck_assert_msg(whole < half * 8 + 0.01, "%g and %g s", half, whole);
	badlist_free(&b);
}
END_TEST

START_TEST(limits)
{
	static char text[40 * 100000];
	struct badlist b;
	struct slice which;
	char who[64];
	size_t n = 0;
	for (unsigned i = 0; i < 100000; i++)
		n += (size_t)snprintf(text + n, 40, "user%u@list%u.test\n", i, i % 1000);
	struct control c = control_of(C_badmailfrom, text);
	ck_assert_int_eq(badlist_read(&b, &c, (const enum control_id[]){C_badmailfrom}, 1, false, NULL), 0);
	for (unsigned i = 0; i < 100000; i += 777) {
		snprintf(who, sizeof who, "user%u@list%u.test", i, i % 1000);
		ck_assert(badlist_address(&b, slice_str(who), &which));
		snprintf(who, sizeof who, "user%u@list%u.test", i, (i + 1) % 1000);
		ck_assert(!badlist_address(&b, slice_str(who), &which));
	}
	badlist_free(&b);
	n = 0;
	for (int i = 0; i <= BADLIST_PATTERNS_MAX; i++)
		n += (size_t)snprintf(text + n, 40, "*%d@x\n", i);
	c = control_of(C_badmailfrom, text);
	ck_assert_int_eq(badlist_read(&b, &c, (const enum control_id[]){C_badmailfrom}, 1, false, NULL), E_SYNTAX);
	memset(who, 'a', sizeof who);
	c = control_of(C_badmailfrom, "");
	ck_assert_int_eq(badlist_read(&b, &c, (const enum control_id[]){C_badmailfrom}, 1, false, NULL), 0);
	ck_assert(!badlist_address(&b, slice_make(who, sizeof who), &which));
	ck_assert(b.exact == NULL);
}
END_TEST

UNIT_MAIN("smtpd-outside/badlist",
	tcase_add_loop_test(t, address, 0, sizeof addresses / sizeof *addresses);
	tcase_add_loop_test(t, host, 0, sizeof hosts / sizeof *hosts);
	tcase_add_loop_test(t, line, 0, sizeof lines / sizeof *lines);
	tcase_add_test(t, fault_names_its_place);
	tcase_add_test(t, a_file_of_regular_expressions_is_a_fault);
	tcase_add_test(t, redos);
	tcase_add_test(t, limits);)
