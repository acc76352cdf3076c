/* smtpd-outside/smtpd_command: verbs, MAIL and RCPT arguments, names in EHLO. */
#include "smtpd-outside/smtpd_command.h"

#include <limits.h>

#include "tests/unit/unit.h"

static const struct verb_row {
	const char *line;
	enum verb verb;
	const char *argument;
} verbs[] = {
	{"EHLO a.b", VERB_EHLO, "a.b"}, {"ehlo a.b ", VERB_EHLO, "a.b"}, {"HeLo x", VERB_HELO, "x"}, {"MAIL FROM:<a@b>", VERB_MAIL, "FROM:<a@b>"},
	{"RCPT TO:<a@b>", VERB_RCPT, "TO:<a@b>"}, {"DATA", VERB_DATA, ""}, {"data x", VERB_DATA, "x"}, {"RSET", VERB_RSET, ""},
	{"NOOP abc", VERB_NOOP, "abc"}, {"VRFY a", VERB_VRFY, "a"}, {"HELP", VERB_HELP, ""}, {"QUIT ", VERB_QUIT, ""},
	{"STARTTLS", VERB_STARTTLS, ""}, {"STARTTLSX", VERB_UNKNOWN, ""}, {"", VERB_UNKNOWN, ""}, {" MAIL", VERB_UNKNOWN, "MAIL"},
	{"MAILFROM:<a@b>", VERB_UNKNOWN, ""}, {"MAI", VERB_UNKNOWN, ""}, {"auth PLAIN", VERB_AUTH, "PLAIN"}, {"AUTH=PLAIN x", VERB_UNKNOWN, "x"}, {"BDAT 1", VERB_BDAT, "1"},
	{"GET / HTTP/1.1", VERB_FOREIGN, "/ HTTP/1.1"}, {"POST /", VERB_FOREIGN, "/"}, {"CONNECT a:25", VERB_FOREIGN, "a:25"},
	{"get /", VERB_FOREIGN, "/"}, {"PRI * HTTP/2.0", VERB_FOREIGN, "* HTTP/2.0"}, {"SSH-2.0-x", VERB_FOREIGN, ""},
	{"Host: x", VERB_FOREIGN, "x"}, {"EXPN x", VERB_EXPN, "x"}, {"foreign", VERB_UNKNOWN, ""}, {"unknown", VERB_UNKNOWN, ""},
};

START_TEST(verb)
{
	struct smtpd_command c;
	smtpd_command_parse(&c, slice_str(verbs[_i].line));
	ck_assert_msg(c.verb == verbs[_i].verb, "%s: %s", verbs[_i].line, smtpd_command_name(c.verb));
	ck_assert_msg(slice_eq_str(c.argument, verbs[_i].argument), "%s: argument", verbs[_i].line);
}
END_TEST

static const struct path_row {
	const char *spec;
	enum verb verb;
	const char *argument;
	enum path_fault fault;
	const char *local, *domain;
	long long size;
	bool eightbit;
} paths[] = {
	{"4.1.1.2", VERB_MAIL, "FROM:<a@b.c>", PATH_OK, "a", "b.c", -1, false},
	{"4.1.1.2 case", VERB_MAIL, "from:<a@b.c>", PATH_OK, "a", "b.c", -1, false},
	{"4.1.1.2 null", VERB_MAIL, "FROM:<>", PATH_OK, "", "", -1, false},
	{"tolerated blank", VERB_MAIL, "FROM: <a@b.c>", PATH_OK, "a", "b.c", -1, false},
	{"one blank alone", VERB_MAIL, "FROM:  <a@b.c>", PATH_SYNTAX, NULL, NULL, 0, false},
	{"no keyword", VERB_MAIL, "<a@b.c>", PATH_NO_KEYWORD, NULL, NULL, 0, false},
	{"other keyword", VERB_MAIL, "TO:<a@b.c>", PATH_NO_KEYWORD, NULL, NULL, 0, false},
	{"other keyword", VERB_RCPT, "FROM:<a@b.c>", PATH_NO_KEYWORD, NULL, NULL, 0, false},
	{"nothing", VERB_MAIL, "", PATH_NO_KEYWORD, NULL, NULL, 0, false},
	{"no path", VERB_MAIL, "FROM:", PATH_SYNTAX, NULL, NULL, 0, false},
	{"no brackets", VERB_MAIL, "FROM:a@b.c", PATH_SYNTAX, NULL, NULL, 0, false},
	{"no end", VERB_MAIL, "FROM:<a@b.c", PATH_SYNTAX, NULL, NULL, 0, false},
	{"two paths", VERB_MAIL, "FROM:<a@b.c><d@e.f>", PATH_PARAMETER, NULL, NULL, 0, false},
	{"4.5.3.1.1 local part", VERB_RCPT, "TO:<aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b.c>", PATH_TOO_LONG, NULL, NULL, 0, false},
	{"4.1.1.3 route", VERB_RCPT, "TO:<@x,@y:a@b.c>", PATH_OK, "a", "b.c", -1, false},
	{"4.1.1.3 postmaster", VERB_RCPT, "TO:<postmaster>", PATH_OK, "postmaster", "", -1, false},
	{"1870 SIZE", VERB_MAIL, "FROM:<a@b.c> SIZE=10", PATH_OK, "a", "b.c", 10, false},
	{"1870 size in small letters", VERB_MAIL, "FROM:<a@b.c> size=0", PATH_OK, "a", "b.c", 0, false},
	{"1870 20 digits", VERB_MAIL, "FROM:<a@b.c> SIZE=18446744073709551616", PATH_OK, "a", "b.c", LLONG_MAX, false},
	{"1870 21 digits", VERB_MAIL, "FROM:<a@b.c> SIZE=184467440737095516160", PATH_PARAMETER, NULL, NULL, 0, false},
	{"1870 negative", VERB_MAIL, "FROM:<a@b.c> SIZE=-1", PATH_PARAMETER, NULL, NULL, 0, false},
	{"1870 empty", VERB_MAIL, "FROM:<a@b.c> SIZE=", PATH_PARAMETER, NULL, NULL, 0, false},
	{"1870 no value", VERB_MAIL, "FROM:<a@b.c> SIZE", PATH_PARAMETER, NULL, NULL, 0, false},
	{"1870 twice", VERB_MAIL, "FROM:<a@b.c> SIZE=1 SIZE=1", PATH_PARAMETER, NULL, NULL, 0, false},
	{"6152 8BITMIME", VERB_MAIL, "FROM:<a@b.c> BODY=8BITMIME SIZE=5", PATH_OK, "a", "b.c", 5, true},
	{"6152 7BIT", VERB_MAIL, "FROM:<a@b.c> body=7bit", PATH_OK, "a", "b.c", -1, false},
	{"3030 BINARYMIME is not offered", VERB_MAIL, "FROM:<a@b.c> BODY=BINARYMIME", PATH_PARAMETER, NULL, NULL, 0, false},
	{"4.1.1.11 unknown", VERB_MAIL, "FROM:<a@b.c> X=1", PATH_UNKNOWN, NULL, NULL, 0, false},
	{"6531 3.4 SMTPUTF8", VERB_MAIL, "FROM:<\303\244@b\303\274.c> SMTPUTF8", PATH_OK, "\303\244", "b\303\274.c", -1, false},
	{"6531 3.4 ASCII with SMTPUTF8", VERB_MAIL, "FROM:<a@b.c> smtputf8", PATH_OK, "a", "b.c", -1, false},
	{"6531 3.4 no value", VERB_MAIL, "FROM:<a@b.c> SMTPUTF8=1", PATH_PARAMETER, NULL, NULL, 0, false},
	{"6531 3.4 belongs to MAIL", VERB_RCPT, "TO:<a@b.c> SMTPUTF8", PATH_UNKNOWN, NULL, NULL, 0, false},
	{"6531 3.3 UTF-8 alone", VERB_MAIL, "FROM:<\344@b.c> SMTPUTF8", PATH_SYNTAX, NULL, NULL, 0, false},
	{"6531 3.3 overlong", VERB_MAIL, "FROM:<\300\257@b.c> SMTPUTF8", PATH_SYNTAX, NULL, NULL, 0, false},
	{"6531 3.3 surrogate", VERB_MAIL, "FROM:<\355\240\200@b.c> SMTPUTF8", PATH_SYNTAX, NULL, NULL, 0, false},
	{"8689 2", VERB_MAIL, "FROM:<a@b.c> REQUIRETLS", PATH_OK, "a", "b.c", -1, false},
	{"8689 2 no value", VERB_MAIL, "FROM:<a@b.c> REQUIRETLS=YES", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4.3", VERB_MAIL, "FROM:<a@b.c> RET=FULL", PATH_OK, "a", "b.c", -1, false},
	{"3461 4.3", VERB_MAIL, "FROM:<a@b.c> ret=hdrs ENVID=QQ314159", PATH_OK, "a", "b.c", -1, false},
	{"3461 4.3 unknown", VERB_MAIL, "FROM:<a@b.c> RET=ALL", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4.3 empty", VERB_MAIL, "FROM:<a@b.c> RET=", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4.3 twice", VERB_MAIL, "FROM:<a@b.c> RET=FULL RET=HDRS", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4.4 xtext", VERB_MAIL, "FROM:<a@b.c> ENVID=a+20b+2B+3D", PATH_OK, "a", "b.c", -1, false},
	{"3461 4.4 no end of xtext", VERB_MAIL, "FROM:<a@b.c> ENVID=a+2", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4 small letters", VERB_MAIL, "FROM:<a@b.c> ENVID=a+2b", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4 LF in xtext", VERB_MAIL, "FROM:<a@b.c> ENVID=a+0Ab", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4 equals sign", VERB_MAIL, "FROM:<a@b.c> ENVID=a=b", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4.4 empty", VERB_MAIL, "FROM:<a@b.c> ENVID=", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4.1 NEVER", VERB_RCPT, "TO:<a@b.c> NOTIFY=NEVER", PATH_OK, "a", "b.c", -1, false},
	{"3461 4.1 list", VERB_RCPT, "TO:<a@b.c> NOTIFY=delay,SUCCESS,Failure", PATH_OK, "a", "b.c", -1, false},
	{"3461 4.1 NEVER is alone", VERB_RCPT, "TO:<a@b.c> NOTIFY=NEVER,DELAY", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4.1 twice the same", VERB_RCPT, "TO:<a@b.c> NOTIFY=DELAY,DELAY", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4.1 empty part", VERB_RCPT, "TO:<a@b.c> NOTIFY=DELAY,", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4.1 empty", VERB_RCPT, "TO:<a@b.c> NOTIFY=", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4.1 belongs to RCPT", VERB_MAIL, "FROM:<a@b.c> NOTIFY=NEVER", PATH_UNKNOWN, NULL, NULL, 0, false},
	{"3461 4.2", VERB_RCPT, "TO:<a@b.c> ORCPT=rfc822;b+2Bc@d.e", PATH_OK, "a", "b.c", -1, false},
	{"3461 4.2 no type", VERB_RCPT, "TO:<a@b.c> ORCPT=b@d.e", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4.2 empty type", VERB_RCPT, "TO:<a@b.c> ORCPT=;b@d.e", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4.2 empty address", VERB_RCPT, "TO:<a@b.c> ORCPT=rfc822;", PATH_PARAMETER, NULL, NULL, 0, false},
	{"3461 4.2 CR in xtext", VERB_RCPT, "TO:<a@b.c> ORCPT=rfc822;b+0D+0AX:@d.e", PATH_PARAMETER, NULL, NULL, 0, false},
	{"6533 3 UTF-8 without SMTPUTF8", VERB_RCPT, "TO:<a@b.c> ORCPT=utf-8;\303\244@d.e", PATH_PARAMETER, NULL, NULL, 0, false},
	{"6533 3 hidden", VERB_RCPT, "TO:<a@b.c> ORCPT=utf-8;\\x{E4}@d.e", PATH_OK, "a", "b.c", -1, false},
	{"4954 5 AUTH", VERB_MAIL, "FROM:<a@b.c> AUTH=<> SIZE=7", PATH_OK, "a", "b.c", 7, false},
	{"4954 5 AUTH without value", VERB_MAIL, "FROM:<a@b.c> AUTH=", PATH_PARAMETER, NULL, NULL, 0, false},
	{"SIZE belongs to MAIL", VERB_RCPT, "TO:<a@b.c> SIZE=1", PATH_UNKNOWN, NULL, NULL, 0, false},
	{"tab between", VERB_MAIL, "FROM:<a@b.c>\tSIZE=1", PATH_PARAMETER, NULL, NULL, 0, false},
	{"tab in a value", VERB_MAIL, "FROM:<a@b.c> SIZE=1\tBODY=7BIT", PATH_PARAMETER, NULL, NULL, 0, false},
	{"4954 5 AUTH is xtext", VERB_MAIL, "FROM:<a@b.c> AUTH=a+2Bb@c.d", PATH_OK, "a", "b.c", -1, false},
	{"4954 5 AUTH is xtext", VERB_MAIL, "FROM:<a@b.c> AUTH=a+0Ab@c.d", PATH_PARAMETER, NULL, NULL, 0, false},
	{"6531 3.2 UTF-8 without SMTPUTF8", VERB_MAIL, "FROM:<\303\244@b.c>", PATH_WIDE, NULL, NULL, 0, false},
	{"6531 3.2 UTF-8 without SMTPUTF8", VERB_RCPT, "TO:<a@b\303\274.c>", PATH_WIDE, NULL, NULL, 0, false},
	{"blanks between parameters", VERB_MAIL, "FROM:<a@b.c>  SIZE=1  BODY=7BIT", PATH_OK, "a", "b.c", 1, false},
};

START_TEST(path)
{
	const struct path_row *r = &paths[_i];
	struct smtpd_path p = {.size = 77};
	ck_assert_msg(smtpd_path_parse(&p, r->verb, slice_str(r->argument), false) == r->fault, "%s: %s", r->spec, r->argument);
	if (r->fault != PATH_OK) {
		ck_assert_msg(p.size == 77, "%s: OUT was touched", r->spec);
		return;
	}
	ck_assert_msg(slice_eq_str(p.addr.local, r->local) && slice_eq_str(p.addr.domain, r->domain), "%s: address", r->spec);
	ck_assert_msg(p.size == r->size && p.eightbit == r->eightbit, "%s: parameters", r->spec);
}
END_TEST

START_TEST(parameters)
{
	struct smtpd_path p;
	char text[700];
	ck_assert_int_eq(smtpd_path_parse(&p, VERB_MAIL, slice_str("FROM:<a@b> REQUIRETLS SMTPUTF8 RET=HDRS ENVID=x+2By BODY=8BITMIME"), false), PATH_OK);
	ck_assert(p.require_tls && p.smtputf8 && p.ret == 'H' && slice_eq_str(p.envid, "x+2By") && p.eightbit);
	ck_assert_int_eq(smtpd_path_parse(&p, VERB_RCPT, slice_str("TO:<a@b> NOTIFY=delay,Success ORCPT=utf-8;\303\244@d.e"), true), PATH_OK);
	ck_assert_str_eq(p.notify, "SD");
	ck_assert(slice_eq_str(p.orcpt, "utf-8;\303\244@d.e"));
	ck_assert_int_eq(smtpd_path_parse(&p, VERB_RCPT, slice_str("TO:<a@b> ORCPT=rfc822;\303\244@d.e"), true), PATH_PARAMETER);
	ck_assert_int_eq(smtpd_path_parse(&p, VERB_RCPT, slice_str("TO:<a@b> NOTIFY=NEVER"), true), PATH_OK);
	ck_assert_str_eq(p.notify, "N");
	for (size_t n = ENVID_MAX; n <= ENVID_MAX + 1; n++) {
		struct buf b = BUF_INIT(sizeof text);
		buf_add_str(&b, "FROM:<a@b> ENVID=");
		memset(text, 'e', n);
		buf_add(&b, text, n);
		ck_assert_int_eq(smtpd_path_parse(&p, VERB_MAIL, buf_slice(&b), false), n == ENVID_MAX ? PATH_OK : PATH_PARAMETER);
		buf_free(&b);
	}
	for (size_t n = ORCPT_MAX; n <= ORCPT_MAX + 1; n++) {
		struct buf b = BUF_INIT(sizeof text);
		buf_add_str(&b, "TO:<a@b> ORCPT=x;");
		memset(text, 'e', n - 2);
		buf_add(&b, text, n - 2);
		ck_assert_int_eq(smtpd_path_parse(&p, VERB_RCPT, buf_slice(&b), false), n == ORCPT_MAX ? PATH_OK : PATH_PARAMETER);
		buf_free(&b);
	}
}
END_TEST

static const struct bdat_row {
	const char *argument;
	bool good, last;
	long long octets;
} bdats[] = {
	{"0", true, false, 0}, {"1", true, false, 1}, {"0 LAST", true, true, 0}, {"86 last", true, true, 86}, {"2147483648", true, false, 1ll << 31},
	{"4294967296 LAST", true, true, 1ll << 32}, {"4611686018427387904", true, false, 1ll << 62}, {"007", true, false, 7},
	{"4611686018427387905", false, false, 0}, {"9223372036854775808", false, false, 0}, {"18446744073709551616", false, false, 0},
	{"", false, false, 0}, {"LAST", false, false, 0}, {"-1", false, false, 0}, {"+1", false, false, 0}, {"0x10", false, false, 0}, {"1e3", false, false, 0},
	{"1 LATE", false, false, 0}, {"1 LAST x", false, false, 0}, {"1,LAST", false, false, 0}, {"99999999999999999999999999", false, false, 0},
};

START_TEST(bdat)
{
	const struct bdat_row *r = &bdats[_i];
	long long octets = -1;
	bool last = false;
	ck_assert_msg(smtpd_bdat_parse(&octets, &last, slice_str(r->argument)) == r->good, "BDAT %s", r->argument);
	ck_assert_msg(!r->good || (octets == r->octets && last == r->last), "BDAT %s: %lld", r->argument, octets);
}
END_TEST

START_TEST(helo)
{
	char name[257];
	memset(name, 'a', sizeof name);
	ck_assert(smtpd_helo_valid(slice_make(name, 255)));
	ck_assert(!smtpd_helo_valid(slice_make(name, 256)));
	ck_assert(!smtpd_helo_valid(slice_make(name, 0)));
	ck_assert(smtpd_helo_valid(slice_str("[192.0.2.1]")));
	ck_assert(smtpd_helo_valid(slice_str("under_score")));
	ck_assert(!smtpd_helo_valid(slice_str("a b")));
	ck_assert(!smtpd_helo_valid(slice_str("a\tb")));
	ck_assert(!smtpd_helo_valid(slice_str("\303\244")));
}
END_TEST

UNIT_MAIN("smtpd-outside/smtpd_command",
	tcase_add_loop_test(t, verb, 0, sizeof verbs / sizeof *verbs);
	tcase_add_loop_test(t, path, 0, sizeof paths / sizeof *paths);
	tcase_add_test(t, parameters);
	tcase_add_loop_test(t, bdat, 0, sizeof bdats / sizeof *bdats);
	tcase_add_test(t, helo);)
