/* From findings to action, answer and header fields. */
#include "tests/unit/unit.h"

#include <stdio.h>

#include "scanner-bridge/verdict.h"

static struct scanpolicy policy_of(const char *text)
{
	struct control c;
	struct scanpolicy p;
	memset(&c, 0, sizeof c);
	c.value[C_scanpolicy].content = slice_str(text);
	c.value[C_scanpolicy].present = true;
	ck_assert_int_eq(scanpolicy_parse(&p, &c, NULL), 0);
	return p;
}

enum { VIRUS = 1, BANNED = 2, MALFORMED = 4, ERROR = 8, SPAM6 = 16, SPAM20 = 32 };

static struct facts facts_of(int what)
{
	struct facts f = {0};
	if (what & VIRUS)
		facts_add(&f, VIRUS_FOUND, slice_str("Eicar\x1b"));
	if (what & BANNED) {
		f.in.banned_count = 1;
		f.in.banned[0] = (struct banned_part){slice_str("*.exe"), slice_str("a\"\n\xc3\xa4.exe"), slice_str("application/x-a"), 1};
	}
	f.in.malformed = what & MALFORMED ? MALFORMED_TYPE | MALFORMED_BOUNDARY : 0;
	if (what & ERROR) {
		facts_add(&f, VIRUS_ERROR, slice_str("clamd: gone"));
		f.virus_unchecked = true;
	}
	f.spam_checked = what & (SPAM6 | SPAM20);
	f.spam.milli = what & SPAM20 ? 20000 : 6300;
	f.spam.required_milli = 5000;
	memcpy(f.spam.tests, "A,B", 4);
	return f;
}

static const struct {
	const char *policy;
	int facts;
	enum action action;
	enum cause cause;
	int line;
	const char *answer;
} decisions[] = {
	{"", 0, ACTION_PASS, CAUSE_NONE, 0, ""},
	{"", VIRUS, ACTION_REJECT, CAUSE_VIRUS, 0, "550 5.7.1 message refused: virus Eicar? (ID)"},
	{"", BANNED, ACTION_REJECT, CAUSE_BANNED, 0, "550 5.7.1 message refused: attachment \"a????.exe\" is not accepted here (ID)"},
	{"", MALFORMED, ACTION_TAG, CAUSE_MALFORMED, 0, ""},
	{"", ERROR, ACTION_TEMPFAIL, CAUSE_ERROR, 0, "451 4.7.1 message could not be scanned now, try again later (ID)"},
	{"", SPAM6, ACTION_TAG, CAUSE_SPAM, 0, ""},
	{"", SPAM20, ACTION_REJECT, CAUSE_SPAM, 0, "550 5.7.1 message refused: it looks like spam, score 20.0 (ID)"},
	{"", VIRUS | ERROR, ACTION_REJECT, CAUSE_VIRUS, 0, NULL},
	{"virus tag\n", VIRUS | ERROR, ACTION_TEMPFAIL, CAUSE_ERROR, 0, NULL},
	{"virus discard\n", VIRUS, ACTION_DISCARD, CAUSE_VIRUS, 1, "250 2.0.0 ok ID"},
	{"virus discard\n", VIRUS | SPAM20, ACTION_REJECT, CAUSE_SPAM, 0, NULL},
	{"virus pass\nerror pass\n", VIRUS | ERROR, ACTION_PASS, CAUSE_VIRUS, 1, NULL},
	{"virus tempfail\n", VIRUS, ACTION_TEMPFAIL, CAUSE_VIRUS, 1, "451 4.7.1 message not accepted now: virus Eicar? (ID)"},
	{"malformed reject\n", MALFORMED, ACTION_REJECT, CAUSE_MALFORMED, 1, "550 5.7.1 message refused: its MIME structure is ambiguous: type,boundary (ID)"},
	{"spam>=5 tag\nspam>=6.3 discard\nspam>=6.301 reject\n", SPAM6, ACTION_DISCARD, CAUSE_SPAM, 2, "250 2.0.0 ok ID"},
	{"error reject\n", ERROR, ACTION_REJECT, CAUSE_ERROR, 1, "550 5.7.1 message refused: it could not be scanned (ID)"},
};

START_TEST(decision)
{
	struct scanpolicy p = policy_of(decisions[_i].policy);
	struct facts f = facts_of(decisions[_i].facts);
	struct decision d = decide(&p, &f);
	char text[512];
	ck_assert_int_eq(d.action, decisions[_i].action);
	ck_assert_int_eq(d.cause, decisions[_i].cause);
	ck_assert_int_eq(d.line, decisions[_i].line);
	verdict_answer(text, &d, &f, "ID");
	if (decisions[_i].answer && decisions[_i].answer[0])
		ck_assert_str_eq(text, decisions[_i].answer);
}
END_TEST

#define H "Received: x\nSubject: y\n\tz\nX-Other: 1\n\n"
static const struct {
	const char *policy;
	int facts;
	bool spam;
	const char *in, *out; /* out NULL: unchanged */
} stamps[] = {
	{"", 0, true, H, NULL},
	{"", 0, false, "X-Spam-Flag: YES\n" H, NULL},
	{"", 0, true, "X-Spam-Flag: YES\nx-spam-STATUS : Yes,\n folded\n" H "X-Spam-Flag: in the body\n", H "X-Spam-Flag: in the body\n"},
	{"", 0, false, "A: b\nX-Virus-Status: clean\nX-Virus-Scanned: y\nX-Virus-Statuses: n\n\n", "A: b\nX-Virus-Statuses: n\n\n"},
	{"", 0, false, "X-Virus-Status: clean\n\n", "\n"},
	{"virus tag\n", VIRUS, false, H, "X-Virus-Status: infected (Eicar?)\n" H},
	{"virus pass\n", VIRUS, false, H, NULL},
	{"banned tag\n", BANNED, false, H, "X-Virus-Status: banned (a????.exe)\n" H},
	{"", MALFORMED, false, H, "X-Virus-Status: malformed (type,boundary)\n" H},
	{"malformed pass\n", MALFORMED, false, H, NULL},
	{"error pass\n", ERROR, false, "X-Virus-Status: clean\n" H, "X-Virus-Status: unchecked\n" H},
	{"", SPAM6, true, H, "X-Spam-Flag: YES\nX-Spam-Level: ******\nX-Spam-Status: Yes, score=6.3 required=5.0\n\ttests=A,B\n" H},
	{"spam>=6.4 tag\n", SPAM6, true, "X-Spam-Flag: YES\n" H, "X-Spam-Level: ******\nX-Spam-Status: No, score=6.3 required=6.4\n\ttests=A,B\n" H},
	{"spam>=6 pass\nspam>=30 reject\n", SPAM6, true, H, "X-Spam-Level: ******\nX-Spam-Status: No, score=6.3 required=30.0\n\ttests=A,B\n" H},
};

START_TEST(stamp)
{
	struct scanpolicy p = policy_of(stamps[_i].policy);
	struct facts f = facts_of(stamps[_i].facts);
	struct buf b = BUF_INIT(65536);
	bool changed = stamp_header(&b, slice_str(stamps[_i].in), (struct stamp_names){stamps[_i].spam}, &p, &f);
	ck_assert_msg(changed == (stamps[_i].out != NULL), "%s", stamps[_i].in);
	if (changed)
		ck_assert_msg(slice_eq_str(buf_slice(&b), stamps[_i].out), "%.*s", SLICE_FMT(buf_slice(&b)));
	buf_free(&b);
}
END_TEST

/* Long lists of rules are folded: no line over the limit of RFC 5322 2.1.1 (78 recommended). */
START_TEST(folds)
{
	struct scanpolicy p = policy_of("");
	struct facts f = facts_of(SPAM20);
	struct buf b = BUF_INIT(65536);
	struct slice line, rest;
	size_t n = 0;
	while (n + 12 < SPAMD_TESTS_MAX)
		n += (size_t)snprintf(f.spam.tests + n, 14, "LONG_RULE_%02zu,", n % 100);
	f.spam.tests[n - 1] = '\0';
	ck_assert(stamp_header(&b, slice_str(H), (struct stamp_names){true}, &p, &f));
	for (rest = buf_slice(&b); slice_cut(&line, &rest, '\n'); )
		ck_assert_uint_le(line.n, 78);
	buf_free(&b);
}
END_TEST

START_TEST(negative_scores)
{
	struct scanpolicy p = policy_of("");
	struct facts f = facts_of(SPAM6);
	struct buf b = BUF_INIT(65536);
	f.spam.milli = -2550;
	f.spam.tests[0] = '\0';
	ck_assert(stamp_header(&b, slice_str("\n"), (struct stamp_names){true}, &p, &f));
	ck_assert_msg(slice_eq_str(buf_slice(&b), "X-Spam-Status: No, score=-2.5 required=5.0\n\ttests=none\n\n"), "%.*s", SLICE_FMT(buf_slice(&b)));
	buf_free(&b);
}
END_TEST

UNIT_MAIN("verdict",
	tcase_add_loop_test(t, decision, 0, sizeof decisions / sizeof *decisions);
	tcase_add_loop_test(t, stamp, 0, sizeof stamps / sizeof *stamps);
	tcase_add_test(t, folds);
	tcase_add_test(t, negative_scores);)
