/* The parsers of control/scanners, control/scanpolicy and control/banned, and the matcher of banned names. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/glob.h"
#include "scanner-bridge/banned.h"
#include "scanner-bridge/scanners.h"
#include "scanner-bridge/scanpolicy.h"

static struct control control_of(enum control_id id, const char *text)
{
	struct control c;
	memset(&c, 0, sizeof c);
	memcpy(c.dir, "control", 8);
	c.value[id].content = slice_str(text);
	c.value[id].present = true;
	return c;
}

static const struct {
	const char *spec, *text, *fault; /* fault: part of the message; NULL: fine */
} scanners_cases[] = {
	{"nothing", "", NULL},
	{"all", "clamav embedded:/var/lib/clamav\nclamav unix:/run/clamd\nspamassassin unix:/run/spamd\n", NULL},
	{"tcp", "spamassassin 127.0.0.1:783\n", NULL},
	{"name", "spamassassin spam.campus.test:783\n", NULL},
	{"ipv6", "spamassassin [::1]:783\n", NULL},
	{"ipv6 without brackets", "spamassassin ::1:783\n", "scanners:1:"},
	{"ipv4 in brackets", "spamassassin [127.0.0.1]:783\n", "scanners:1:"},
	{"comment, line number", "# x\n\nclamav\n", "scanners:3:"},
	{"unknown scanner", "sophos unix:/x\n", "unknown scanner \"sophos\""},
	{"unknown form", "clamav tcp:1\n", "embedded:DIR or unix:PATH"},
	{"relative", "clamav unix:run/clamd\n", "absolute"},
	{"empty path", "clamav unix:\n", "absolute"},
	{"twice", "clamav unix:/a\nclamav unix:/b\n", "scanners:2: clamav unix:PATH is given twice"},
	{"two spamds", "spamassassin unix:/a\nspamassassin 127.0.0.1:1\n", "twice"},
	{"port 0", "spamassassin localhost:0\n", "port"},
	{"port 65536", "spamassassin localhost:65536\n", "port"},
	{"port text", "spamassassin localhost:783x\n", "port"},
	{"no port", "spamassassin localhost\n", "port"},
	{"bad host", "spamassassin a_b!:783\n", "HOST"},
	{"more words", "clamav unix:/a b\n", "a line is"},
	{"long unix path",
	 "clamav unix:/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", "longer than 107"},
};

START_TEST(scanners)
{
	struct control c = control_of(C_scanners, scanners_cases[_i].text);
	struct scanners s;
	struct err e = {0};
	int rc = scanners_parse(&s, &c, &e);
	ck_assert_msg((rc == 0) == !scanners_cases[_i].fault, "%s: %d %s", scanners_cases[_i].spec, rc, e.text);
	if (rc < 0)
		ck_assert_msg(strstr(e.text, scanners_cases[_i].fault), "%s: %s", scanners_cases[_i].spec, e.text);
}
END_TEST

START_TEST(scanners_fields)
{
	struct control c = control_of(C_scanners, "clamav embedded:/db\nspamassassin [::1]:783\n");
	struct scanners s;
	ck_assert_int_eq(scanners_parse(&s, &c, NULL), 0);
	ck_assert_str_eq(s.embedded, "/db");
	ck_assert_str_eq(s.clamd, "");
	ck_assert_str_eq(s.spamd_host, "::1");
	ck_assert_str_eq(s.spamd_port, "783");
	ck_assert(scanners_spamd(&s));
}
END_TEST

/* The folder must be there and hold signatures. */
START_TEST(scanners_folder)
{
	char dir[] = "/tmp/postern-scanners-XXXXXX", file[64], text[100];
	struct err e = {0};
	struct control c;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(text, sizeof text, "# one\nclamav embedded:%s\n", dir);
	snprintf(file, sizeof file, "%s/x.ndb", dir);
	c = control_of(C_scanners, text);
	ck_assert_int_eq(scanners_check(&c, &e), E_SYNTAX);
	ck_assert_msg(strstr(e.text, "scanners:2:") && strstr(e.text, "freshclam"), "%s", e.text);
	fclose(fopen(file, "w"));
	ck_assert_int_eq(scanners_check(&c, &e), 0);
	unlink(file);
	rmdir(dir);
	ck_assert_int_eq(scanners_check(&c, &e), E_SYNTAX);
	ck_assert_msg(strstr(e.text, "cannot be read"), "%s", e.text);
}
END_TEST

static const struct {
	const char *spec, *text, *fault;
} scanpolicy_cases[] = {
	{"nothing", "", NULL},
	{"design", "virus reject\nspam>=15 reject\nspam>=5 tag\nerror tempfail\nbanned discard\nmalformed pass\n", NULL},
	{"unknown action", "virus refuse\n", "scanpolicy:1: unknown action \"refuse\""},
	{"quarantine", "virus reject\nspam>=6.3 quarantine\nbanned quarantine\n", NULL},
	{"unknown kind", "worm reject\n", "a line begins with"},
	{"no action", "virus\n", "scanpolicy:1:"},
	{"two actions", "virus reject tag\n", "scanpolicy:1:"},
	{"twice", "virus reject\n#\nvirus tag\n", "scanpolicy:3: line 1 speaks of virus already"},
	{"same score", "spam>=5 tag\nspam>=5.0 reject\n", "line 1 has the same score"},
	{"no score", "spam>= tag\n", "comes a score"},
	{"text", "spam>=five tag\n", "comes a score"},
	{"four places", "spam>=5.0001 tag\n", "comes a score"},
	{"exponent", "spam>=1e3 tag\n", "comes a score"},
	{"two dots", "spam>=1.2.3 tag\n", "comes a score"},
	{"over", "spam>=10001 tag\n", "comes a score"},
	{"most", "spam>=10000 tag\n", NULL},
	{"negative", "spam>=-2.5 tag\n", NULL},
	{"spaces in score", "spam >= 5 tag\n", "scanpolicy:1:"},
};

START_TEST(scanpolicy)
{
	struct control c = control_of(C_scanpolicy, scanpolicy_cases[_i].text);
	struct scanpolicy p;
	struct err e = {0};
	int rc = scanpolicy_parse(&p, &c, &e);
	ck_assert_msg((rc == 0) == !scanpolicy_cases[_i].fault, "%s: %d %s", scanpolicy_cases[_i].spec, rc, e.text);
	if (rc < 0)
		ck_assert_msg(strstr(e.text, scanpolicy_cases[_i].fault), "%s: %s", scanpolicy_cases[_i].spec, e.text);
}
END_TEST

START_TEST(defaults)
{
	struct control c;
	struct scanpolicy p;
	memset(&c, 0, sizeof c);
	ck_assert_int_eq(scanpolicy_parse(&p, &c, NULL), 0);
	ck_assert_int_eq(p.rule[CAUSE_VIRUS].action, ACTION_REJECT);
	ck_assert_int_eq(p.rule[CAUSE_BANNED].action, ACTION_REJECT);
	ck_assert_int_eq(p.rule[CAUSE_MALFORMED].action, ACTION_TAG);
	ck_assert_int_eq(p.rule[CAUSE_ERROR].action, ACTION_TEMPFAIL);
	ck_assert_int_eq(scanpolicy_spam(&p, 15000)->action, ACTION_REJECT);
	ck_assert_int_eq(scanpolicy_spam(&p, 14999)->action, ACTION_TAG);
	ck_assert_int_eq(scanpolicy_spam(&p, 5000)->action, ACTION_TAG);
	ck_assert_ptr_null(scanpolicy_spam(&p, 4999));
	c = control_of(C_scanpolicy, "spam>=6.3 reject\n");
	ck_assert_int_eq(scanpolicy_parse(&p, &c, NULL), 0);
	ck_assert_ptr_null(scanpolicy_spam(&p, 6299));
	ck_assert_int_eq(scanpolicy_spam(&p, 6300)->line, 1);
	ck_assert_int_eq(p.rule[CAUSE_VIRUS].action, ACTION_REJECT);
}
END_TEST

static const struct {
	const char *text;
	int rc;
	long long milli;
} milli_cases[] = {
	{"0", 0, 0}, {"5", 0, 5000}, {"5.0", 0, 5000}, {"-2.5", 0, -2500}, {"1001.3", 0, 1001300}, {"0.001", 0, 1}, {"10000", 0, 10000000},
	{"10000.1", -1, 0}, {"", -1, 0}, {"-", -1, 0}, {".", -1, 0}, {"5.", -1, 0}, {".5", -1, 0}, {"nan", -1, 0}, {"inf", -1, 0}, {"1e5", -1, 0},
	{"0x10", -1, 0}, {" 5", -1, 0}, {"--5", -1, 0}, {"+5", -1, 0}, {"5,3", -1, 0}, {"99999999999999999999", -1, 0},
};

START_TEST(milli)
{
	long long v = 77;
	ck_assert_msg(milli_parse(&v, slice_str(milli_cases[_i].text), 10000) == milli_cases[_i].rc, "%s", milli_cases[_i].text);
	ck_assert_msg(v == (milli_cases[_i].rc ? 77 : milli_cases[_i].milli), "%s: %lld", milli_cases[_i].text, v);
}
END_TEST

static const struct {
	const char *pattern, *text;
	bool match;
} globs[] = {
	{"*.exe", "a.exe", true}, {"*.exe", "A.EXE", true}, {"*.exe", ".exe", true}, {"*.exe", "exe", false}, {"*.exe", "a.exe.txt", false},
	{"*.EXE", "a.exe", true}, {"a", "a", true}, {"a", "ab", false}, {"", "", true}, {"", "a", false}, {"*", "", true}, {"**", "x", true},
	{"?", "", false}, {"?", "a", true}, {"?", "ab", false}, {"a*b", "ab", true}, {"a*b", "aXXb", true}, {"a*b", "aXXbc", false},
	{"a*b", "a", false}, {"ab*ab", "ab", false}, {"ab*ab", "abab", true}, {"*a*a*", "a", false}, {"*a*a*", "aa", true},
	{"*.p?f*.exe", "x.pdf.exe", true}, {"*abc*", "xxababcxx", true}, {"*aab*b", "aaabxb", true}, {"*.doc?", "x.docm", true},
	{"*.doc?", "x.doc", false}, {"*a?c*", "xxabxabcx", true}, {"[x]", "x", false}, {"[x]", "[x]", true}, {"*\xc3\xa4*", "x\xc3\xa4y", true},
};

START_TEST(glob)
{
	ck_assert_msg(glob_match(slice_str(globs[_i].pattern), slice_str(globs[_i].text)) == globs[_i].match, "%s %s",
		globs[_i].pattern, globs[_i].text);
}
END_TEST

/* A matcher that follows the definition, to compare with. */
static bool slow_match(const char *p, const char *t)
{
	if (!*p)
		return !*t;
	if (*p == '*')
		return slow_match(p + 1, t) || (*t && slow_match(p, t + 1));
	return *t && (*p == '?' || *p == *t) && slow_match(p + 1, t + 1);
}

START_TEST(glob_against_definition)
{
	static const char pletters[] = "ab*?", tletters[] = "ab";
	for (int p = 0; p < 4096; p++)
		for (int t = 0; t < 64; t++) {
			char pattern[7] = {0}, text[7] = {0};
			int pn = p % 7, tn = t % 7;
			for (int i = 0; i < pn; i++)
				pattern[i] = pletters[p >> 2 * i & 3];
			for (int i = 0; i < tn; i++)
				text[i] = tletters[t >> i & 1];
			ck_assert_msg(glob_match(slice_str(pattern), slice_str(text)) == slow_match(pattern, text), "%s %s", pattern, text);
		}
}
END_TEST

static const struct {
	const char *name, *hit; /* hit "": none */
} names[] = {
	{"virus.exe", "*.exe"}, {"Virus.EXE", "*.exe"}, {"a/b.exe", "*.exe"}, {"b.exe/c.txt", "*.exe"}, {"C:\\x\\b.exe", "*.exe"},
	{"b.exe\\..\\c.txt", "*.exe"}, {"b.exe.", "*.exe"}, {"b.exe. . ", "*.exe"}, {"b.exe \t", "*.exe"}, {"b.exe./c", "*.exe"},
	{"b.exe.txt", ""}, {"bexe", ""}, {"", ""}, {"/", ""}, {"...", ""}, {"winmail.dat", "winmail.dat"}, {"xwinmail.dat", ""},
};

START_TEST(banned_names)
{
	struct control c = control_of(C_banned, "# comment\n*.exe\nwinmail.dat\napplication/x-msdownload\nvideo/*\n");
	static struct banned b;
	ck_assert_int_eq(banned_parse(&b, &c, NULL), 0);
	struct slice hit = banned_name(&b, slice_str(names[_i].name));
	ck_assert_msg(slice_eq_str(hit, names[_i].hit), "%s: %.*s", names[_i].name, SLICE_FMT(hit));
	ck_assert(slice_eq_str(banned_type(&b, slice_str("video/mp4")), "video/*"));
	ck_assert(slice_eq_str(banned_type(&b, slice_str("application/x-msdownload")), "application/x-msdownload"));
	ck_assert_uint_eq(banned_type(&b, slice_str("application/x-msdownloads")).n, 0);
	ck_assert_uint_eq(banned_type(&b, slice_str("videos/mp4")).n, 0);
}
END_TEST

static const char *const banned_bad[] = {"*/*\n", "video/\n", "/mp4\n", "a/b/c\n", "video/m*\n", "a\\b\n"};

START_TEST(banned_faults)
{
	struct control c = control_of(C_banned, banned_bad[_i]);
	static struct banned b;
	struct err e = {0};
	ck_assert_int_eq(banned_parse(&b, &c, &e), E_SYNTAX);
	ck_assert_msg(strstr(e.text, "banned:1:"), "%s", e.text);
}
END_TEST

START_TEST(banned_limits)
{
	static char text[BANNED_LINE_MAX + 2], many[(BANNED_MAX + 1) * 2 + 1];
	static struct banned b;
	struct control c;
	memset(text, 'x', BANNED_LINE_MAX);
	c = control_of(C_banned, text);
	ck_assert_int_eq(banned_parse(&b, &c, NULL), 0);
	text[BANNED_LINE_MAX] = 'x';
	c = control_of(C_banned, text);
	ck_assert_int_eq(banned_parse(&b, &c, NULL), E_SYNTAX);
	for (int i = 0; i < BANNED_MAX; i++)
		memcpy(many + 2 * i, "x\n", 2);
	c = control_of(C_banned, many);
	ck_assert_int_eq(banned_parse(&b, &c, NULL), 0);
	memcpy(many + 2 * BANNED_MAX, "x\n", 2);
	c = control_of(C_banned, many);
	ck_assert_int_eq(banned_parse(&b, &c, NULL), E_SYNTAX);
}
END_TEST

UNIT_MAIN("policy",
	tcase_add_loop_test(t, scanners, 0, sizeof scanners_cases / sizeof *scanners_cases);
	tcase_add_test(t, scanners_fields);
	tcase_add_test(t, scanners_folder);
	tcase_add_loop_test(t, scanpolicy, 0, sizeof scanpolicy_cases / sizeof *scanpolicy_cases);
	tcase_add_test(t, defaults);
	tcase_add_loop_test(t, milli, 0, sizeof milli_cases / sizeof *milli_cases);
	tcase_add_loop_test(t, glob, 0, sizeof globs / sizeof *globs);
	tcase_add_test(t, glob_against_definition);
	tcase_add_loop_test(t, banned_names, 0, sizeof names / sizeof *names);
	tcase_add_loop_test(t, banned_faults, 0, sizeof banned_bad / sizeof *banned_bad);
	tcase_add_test(t, banned_limits);)
