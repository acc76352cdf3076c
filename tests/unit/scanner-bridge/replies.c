/* What scanners and the scan worker answer: honest replies, and those of a scanner that was taken over or is dying. */
#include "tests/unit/unit.h"

#include "scanner-bridge/clamd.h"
#include "scanner-bridge/inspect.h"
#include "scanner-bridge/spamd.h"

#define LIT(s) s, sizeof s - 1

static const struct {
	const char *spec, *reply;
	size_t n;
	enum virus_verdict verdict;
	const char *text; /* of FOUND: all; of ERROR: part */
} clamd[] = {
	{"clean", LIT("stream: OK\0"), VIRUS_CLEAN, ""},
	{"virus", LIT("stream: Win.Test.EICAR_HDB-1 FOUND\0"), VIRUS_FOUND, "Win.Test.EICAR_HDB-1"},
	{"unofficial", LIT("stream: X.UNOFFICIAL FOUND\0"), VIRUS_FOUND, "X.UNOFFICIAL"},
	{"over a limit", LIT("stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0"), VIRUS_ERROR, "limit"},
	{"error", LIT("INSTREAM size limit exceeded. ERROR\0"), VIRUS_ERROR, "size limit"},
	{"nothing", LIT(""), VIRUS_ERROR, "without a reply"},
	{"no end", LIT("stream: OK"), VIRUS_ERROR, "one line"},
	{"half", LIT("stream: O"), VIRUS_ERROR, "one line"},
	{"verdict after the end", LIT("stream: OK\0FOUND\0"), VIRUS_ERROR, "one line"},
	{"two verdicts", LIT("stream: OK\0stream: OK\0"), VIRUS_ERROR, "one line"},
	{"NUL first", LIT("\0"), VIRUS_ERROR, "clamd"},
	{"line feed", LIT("stream: OK\n\0"), VIRUS_ERROR, "printable"},
	{"other case", LIT("stream: ok\0"), VIRUS_ERROR, "ok"},
	{"blank after", LIT("stream: OK \0"), VIRUS_ERROR, "OK"},
	{"OK in the name", LIT("stream: OK FOUND\0"), VIRUS_FOUND, "OK"},
	{"no name", LIT("stream:  FOUND\0"), VIRUS_ERROR, ""},
	{"no name at all", LIT("stream: FOUND\0"), VIRUS_ERROR, "stream"},
	{"two words", LIT("stream: a b FOUND\0"), VIRUS_ERROR, "names no virus"},
	{"escape", LIT("stream: \033[1mX FOUND\0"), VIRUS_ERROR, "printable"},
	{"session form", LIT("1: stream: OK\0"), VIRUS_ERROR, ""},
	{"another thing", LIT("fd[11]: OK\0"), VIRUS_ERROR, ""},
};

START_TEST(clamd_replies)
{
	char text[INSPECT_TEXT_MAX + 1];
	enum virus_verdict v = clamd_parse(text, slice_make(clamd[_i].reply, clamd[_i].n));
	ck_assert_msg(v == clamd[_i].verdict, "%s: %c", clamd[_i].spec, v);
	if (v == VIRUS_FOUND)
		ck_assert_str_eq(text, clamd[_i].text);
	else
		ck_assert_msg(strstr(text, clamd[_i].text), "%s: %s", clamd[_i].spec, text);
}
END_TEST

#define HEAD "SPAMD/1.1 0 EX_OK\r\n"
static const struct {
	const char *spec, *reply;
	size_t n;
	int rc;
	long long milli;
} spamd[] = {
	{"spam", LIT(HEAD "Content-length: 7\r\nSpam: True ; 1001.3 / 5.0\r\n\r\nGTUBE\r\n"), 0, 1001300},
	{"ham", LIT(HEAD "Spam: False ; -2.5 / 5.0\r\nContent-length: 0\r\n\r\n"), 0, -2500},
	{"two rules", LIT(HEAD "Content-length: 5\r\nSpam: False ; 1.0 / 5.0\r\n\r\nAB,C9"), 0, 1000},
	{"rounded up", LIT(HEAD "Content-length: 0\r\nSpam: False ; 5.0 / 5.0\r\n\r\n"), 0, 5000},
	{"nothing", LIT(""), E_PEER, 0},
	{"half a line", LIT("SPAMD/1.1 0 EX"), E_PEER, 0},
	{"code 69", LIT("SPAMD/1.0 69 Service Unavailable: x\r\n"), E_PEER, 0},
	{"code 00", LIT("SPAMD/1.1 00 EX_OK\r\nContent-length: 0\r\nSpam: False ; 0.0 / 5.0\r\n\r\n"), E_PEER, 0},
	{"no verdict", LIT(HEAD "Content-length: 0\r\n\r\n"), E_PEER, 0},
	{"two verdicts", LIT(HEAD "Content-length: 0\r\nSpam: False ; 0.0 / 5.0\r\nSpam: True ; 9.0 / 5.0\r\n\r\n"), E_PEER, 0},
	{"no length", LIT(HEAD "Spam: False ; 0.0 / 5.0\r\n\r\n"), E_PEER, 0},
	{"too short", LIT(HEAD "Content-length: 9\r\nSpam: False ; 0.0 / 5.0\r\n\r\nAB"), E_PEER, 0},
	{"too long", LIT(HEAD "Content-length: 1\r\nSpam: False ; 0.0 / 5.0\r\n\r\nAB"), E_PEER, 0},
	{"length 1 GiB", LIT(HEAD "Content-length: 1073741824\r\nSpam: False ; 0.0 / 5.0\r\n\r\nAB"), E_PEER, 0},
	{"header cut off", LIT(HEAD "Content-length: 0\r\nSpam: False ; 0.0 / 5.0\r\n"), E_PEER, 0},
	{"not a number", LIT(HEAD "Content-length: 0\r\nSpam: False ; nan / 5.0\r\n\r\n"), E_PEER, 0},
	{"infinite", LIT(HEAD "Content-length: 0\r\nSpam: True ; inf / 5.0\r\n\r\n"), E_PEER, 0},
	{"exponent", LIT(HEAD "Content-length: 0\r\nSpam: False ; 1e1 / 5.0\r\n\r\n"), E_PEER, 0},
	{"no threshold", LIT(HEAD "Content-length: 0\r\nSpam: False ; 1.0\r\n\r\n"), E_PEER, 0},
	{"neither", LIT(HEAD "Content-length: 0\r\nSpam: Maybe ; 1.0 / 5.0\r\n\r\n"), E_PEER, 0},
	{"do not agree", LIT(HEAD "Content-length: 0\r\nSpam: False ; 99.0 / 5.0\r\n\r\n"), E_PEER, 0},
	{"do not agree either", LIT(HEAD "Content-length: 0\r\nSpam: True ; 1.0 / 5.0\r\n\r\n"), E_PEER, 0},
	{"NUL in verdict", LIT(HEAD "Content-length: 0\r\nSpam: False\0 ; 1.0 / 5.0\r\n\r\n"), E_PEER, 0},
	{"NUL in rules", LIT(HEAD "Content-length: 3\r\nSpam: False ; 1.0 / 5.0\r\n\r\nA\0B"), E_PEER, 0},
	{"header in rules", LIT(HEAD "Content-length: 10\r\nSpam: False ; 1.0 / 5.0\r\n\r\nA\nBcc: x@y"), E_PEER, 0},
	{"bare line feeds", LIT("SPAMD/1.1 0 EX_OK\nContent-length: 0\nSpam: False ; 1.0 / 5.0\n\n"), E_PEER, 0},
	{"another protocol", LIT("HTTP/1.1 200 OK\r\n\r\n"), E_PEER, 0},
};

START_TEST(spamd_replies)
{
	struct spam s = {.milli = 77};
	struct err e = {0};
	int rc = spamd_parse(&s, slice_make(spamd[_i].reply, spamd[_i].n), &e);
	ck_assert_msg(rc == spamd[_i].rc, "%s: %d %s", spamd[_i].spec, rc, e.text);
	ck_assert_msg(s.milli == (rc ? 77 : spamd[_i].milli), "%s: %lld", spamd[_i].spec, s.milli);
}
END_TEST

/* Every prefix of a whole reply is an error. */
START_TEST(cut_off)
{
	static const char c[] = "stream: X FOUND", s[] = HEAD "Content-length: 7\r\nSpam: True ; 1001.3 / 5.0\r\n\r\nGTUBE\r\n";
	char text[INSPECT_TEXT_MAX + 1];
	struct spam out;
	for (size_t n = 0; n < sizeof c; n++)
		ck_assert_int_eq(clamd_parse(text, slice_make(c, n)), VIRUS_ERROR);
	for (size_t n = 0; n < sizeof s - 1; n++)
		ck_assert_int_eq(spamd_parse(&out, slice_make(s, n), NULL), E_PEER);
}
END_TEST

START_TEST(many_tests)
{
	struct buf b = BUF_INIT(SPAMD_REPLY_MAX);
	struct spam s;
	buf_add_format(&b, HEAD "Content-length: %d\r\nSpam: True ; 9.0 / 5.0\r\n\r\n", 300 * 6 + 1);
	for (int i = 0; i < 300; i++)
		buf_add_str(&b, "RULE_,");
	buf_add_char(&b, 'X');
	ck_assert_int_eq(spamd_parse(&s, buf_slice(&b), NULL), 0);
	ck_assert_uint_le(strlen(s.tests), SPAMD_TESTS_MAX);
	ck_assert(slice_ends(slice_str(s.tests), ",RULE_"));
	buf_free(&b);
}
END_TEST

START_TEST(inspection_round_trip)
{
	struct inspection in = {.virus = VIRUS_FOUND, .text = slice_str("X\001Y"), .malformed = MALFORMED_BASE64 | MALFORMED_TYPE,
		.incomplete = slice_str("why"), .banned_count = 2}, out;
	struct buf b = BUF_INIT(65536);
	in.banned[0] = (struct banned_part){slice_str("*.exe"), slice_str("a.exe"), slice_str("a/b"), 17};
	in.banned[1] = (struct banned_part){slice_str("a/*"), slice_str(""), slice_str("a/b"), 0};
	inspect_encode(&b, &in);
	ck_assert_int_eq(inspect_decode(&out, buf_slice(&b), NULL), 0);
	ck_assert_int_eq(out.virus, VIRUS_FOUND);
	ck_assert(slice_eq(out.text, in.text) && slice_eq(out.incomplete, in.incomplete));
	ck_assert_uint_eq(out.malformed, in.malformed);
	ck_assert_uint_eq(out.banned_count, 2);
	ck_assert(slice_eq(out.banned[0].name, in.banned[0].name) && slice_eq(out.banned[1].pattern, in.banned[1].pattern));
	ck_assert_int_eq(out.banned[0].octets, 17);
	for (size_t n = 0; n < b.n; n++)
		ck_assert_int_eq(inspect_decode(&out, slice_make(b.p, n), NULL), E_PEER);
	buf_free(&b);
}
END_TEST

static const char *const bad_inspections[] = {
	"", "1:C,", "1:.,", "1:X,1:.,", "2:CX,1:.,", "1:V,1:.,", "1:E,1:.,", "1:C,1:.,1:.,", "1:C,1:C,1:.,", "1:C,2:Mx,1:.,",
	"1:C,5:Mtype,5:Mtype,1:.,", "1:C,1:I,1:.,", "1:C,2:Ia,2:Ib,1:.,", "1:C,1:B,1:.,", "1:C,1:B,1:a,1:b,1:c,2:-1,1:.,", "1:C,2:Bx,1:a,1:b,1:c,1:1,1:.,",
};

START_TEST(inspection_faults)
{
	struct inspection out;
	ck_assert_msg(inspect_decode(&out, slice_str(bad_inspections[_i]), NULL) == E_PEER, "%s", bad_inspections[_i]);
}
END_TEST

START_TEST(inspection_limits)
{
	struct inspection in = {.virus = VIRUS_CLEAN, .banned_count = INSPECT_BANNED_MAX}, out;
	char name[1000];
	struct buf b = BUF_INIT(65536);
	memset(name, 'n', sizeof name);
	for (int i = 0; i < INSPECT_BANNED_MAX; i++)
		in.banned[i] = (struct banned_part){slice_str("p"), slice_make(name, sizeof name), slice_str("t"), 1};
	inspect_encode(&b, &in);
	ck_assert_int_eq(inspect_decode(&out, buf_slice(&b), NULL), 0);
	ck_assert_uint_eq(out.banned[15].name.n, INSPECT_TEXT_MAX);
	b.n -= strlen("1:.,");
	buf_add_str(&b, "1:B,1:p,1:n,1:t,1:1,1:.,");
	ck_assert_int_eq(inspect_decode(&out, buf_slice(&b), NULL), E_PEER);
	buf_free(&b);
}
END_TEST

START_TEST(questions)
{
	struct buf b = BUF_INIT(200);
	struct slice id;
	size_t at;
	inspect_question(&b, slice_str("0123456789abc"), 42);
	ck_assert_int_eq(inspect_question_decode(&id, &at, buf_slice(&b)), 0);
	ck_assert_uint_eq(at, 42);
	for (size_t n = 0; n < b.n; n++)
		ck_assert_int_eq(inspect_question_decode(&id, &at, slice_make(b.p, n)), E_SYNTAX);
	buf_add_char(&b, 'x');
	ck_assert_int_eq(inspect_question_decode(&id, &at, buf_slice(&b)), E_SYNTAX);
	buf_free(&b);
}
END_TEST

UNIT_MAIN("replies",
	tcase_add_loop_test(t, clamd_replies, 0, sizeof clamd / sizeof *clamd);
	tcase_add_loop_test(t, spamd_replies, 0, sizeof spamd / sizeof *spamd);
	tcase_add_test(t, cut_off);
	tcase_add_test(t, many_tests);
	tcase_add_test(t, inspection_round_trip);
	tcase_add_loop_test(t, inspection_faults, 0, sizeof bad_inspections / sizeof *bad_inspections);
	tcase_add_test(t, inspection_limits);
	tcase_add_test(t, questions);)
