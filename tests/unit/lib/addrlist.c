/* lib/addrlist: what stands where, written as local@domain| for each address ("~" where a comment or blank is inside). */
#include "lib/addrlist.h"

#include <time.h>

#include "lib/buf.h"
#include "tests/unit/unit.h"

static const struct row {
	const char *spec, *in, *out; /* out NULL: E_SYNTAX */
} rows[] = {
	{"3.4.1 addr-spec", " a@b.c", "a@b.c|"},
	{"3.4.1 dot-atom", "a.b.c@d.e.f", "a.b.c@d.e.f|"},
	{"3.4.1 quoted local part", "\"a b\"@c", "\"a b\"@c|"},
	{"3.4.1 quoted with at and comma", "\"a@b,c\"@d", "\"a@b,c\"@d|"},
	{"3.4.1 quoted with quote", "\"a\\\"b\"@d", "\"a\\\"b\"@d|"},
	{"3.4.1 literal", "a@[192.0.2.1]", "a@[192.0.2.1]|"},
	{"3.4.1 literal with specials", "a@[IPv6:2001:db8::1,<>]", "a@[IPv6:2001:db8::1,<>]|"},
	{"3.4 name-addr", "Anna B <a@b>", "a@b|"},
	{"3.4 name-addr without name", "<a@b>", "a@b|"},
	{"3.4 quoted name", "\"B, Anna\" <a@b>", "a@b|"},
	{"3.4 quoted name with an address", "\"x@y\" <a@b>", "a@b|"},
	{"3.4 quoted name with angles", "\"<x@y>\" <a@b>", "a@b|"},
	{"3.4 name with a dot", "Anna Q. B <a@b>", "a@b|"},
	{"3.4 list", "a@b, c@d,e@f", "a@b|c@d|e@f|"},
	{"3.4 list, folded", "a@b,\n\tc@d,\n e@f", "a@b|c@d|e@f|"},
	{"3.4 mixed list", "A <a@b>, c@d, \"E\" <e@f>", "a@b|c@d|e@f|"},
	{"3.4 group", "Team: a@b, C <c@d>;", "a@b|c@d|"},
	{"3.4 empty group", "undisclosed-recipients:;", ""},
	{"3.4 group with a comment", "Team: (none) ;", ""},
	{"3.4 group then address", "Team: a@b;, c@d", "a@b|c@d|"},
	{"3.4 two groups", "A: a@b;, B: c@d;", "a@b|c@d|"},
	{"3.4 quoted group name", "\"A: B\": a@b;", "a@b|"},
	{"group not closed", "Team: a@b, c@d", "a@b|c@d|"},
	{"3.2.2 comment before", "(x) a@b", "a@b|"},
	{"3.2.2 comment after", "a@b (Anna)", "a@b|"},
	{"3.2.2 comment with an address", "a@b (old: x@y)", "a@b|"},
	{"3.2.2 nested comment", "a@b (x (y <z@w>) v)", "a@b|"},
	{"3.2.2 escaped paren", "a@b (x \\) y@z)", "a@b|"},
	{"3.2.2 quote in a comment", "(\") a@b", "a@b|"},
	{"3.2.2 comment in a quoted string is none", "\"(\" <a@b>", "a@b|"},
	{"3.2.2 comments around at", "a (x) @ (y) b", "a@b|"},
	{"3.2.2 comments in angles", "A (x) < (y) a (z) @ (v) b (w) > (u)", "a@b|"},
	{"3.2.2 folds around at", "a\n @\n b", "a@b|"},
	{"4.4 blanks inside the domain", "a@b . c", "~a@b . c|"},
	{"4.4 comment inside the domain", "a@b.(x)c", "~a@b.(x)c|"},
	{"4.4 blanks inside the local part", "a . b@c", "~a . b@c|"},
	{"4.4 words in the local part", "\"a\".b@c", "\"a\".b@c|"},
	{"4.4 route", "<@x:a@b>", "a@b|"},
	{"4.4 long route", "<@x,@y.z:a@b>", "a@b|"},
	{"4.4 route with blanks", "<@x , , @y : a@b>", "a@b|"},
	{"4.4 empty elements", ",, a@b,, c@d ,", "a@b|c@d|"},
	{"4.4 name with dots alone", "... <a@b>", "a@b|"},
	{"2047 encoded name", "=?utf-8?Q?J=C3=BCrgen?= <a@b>", "a@b|"},
	{"2047 several", "=?utf-8?B?SsO8?= =?utf-8?Q?rgen?= <a@b>", "a@b|"},
	{"2047 with a comma inside", "=?utf-8?Q?B,_Anna?= <a@b>", "a@b|"},
	{"2047 with an address inside", "=?utf-8?Q?x@y?= <a@b>", "a@b|"},
	{"2047 with angles inside", "=?utf-8?Q?<x@y>?= <a@b>", "a@b|"},
	{"2047 adjacent without blank", "=?utf-8?Q?a?==?utf-8?Q?b?= <a@b>", "a@b|"},
	{"2047 in quotes", "\"=?utf-8?Q?x?=\" <a@b>", "a@b|"},
	{"2047 in a comment", "a@b (=?utf-8?Q?(?=))", "a@b|"},
	{"2047 as a local part", "=?utf-8?Q?x?=@b", "=?utf-8?Q?x?=@b|"},
	{"2047 not one: no end", "=?utf-8?Q?x <a@b>", "a@b|"},
	{"2047 not one: encoding", "=?utf-8?X?x,y?= <a@b>", "a@b|"},
	{"6532 raw UTF-8 name", "J\303\274rgen <a@b>", "a@b|"},
	{"6532 raw UTF-8 address", "j\303\274rgen@b\303\274cher", "j\303\274rgen@b\303\274cher|"},
	{"raw Latin-1 name", "J\374rgen <a@b>", "a@b|"},
	{"an address as the name", "x@y <a@b>", "a@b|"},
	{"no domain", "postmaster, a@b", "a@b|"},
	{"no domain in angles", "<postmaster>, a@b", "a@b|"},
	{"empty angles", "<>", ""},
	{"empty", "", ""},
	{"blanks", " \n ", ""},
	{"only a comment", " (nobody) ", ""},
	{"only words", "the whole world", ""},
	{"two ats", "a@b@c", NULL},
	{"no local part", "@b", NULL},
	{"no domain after at", "a@", NULL},
	{"no domain in angles after at", "<a@>", NULL},
	{"words before at", "Anna a@b", NULL},
	{"dot before at", "a.@b", NULL},
	{"two dots", "a..b@c", NULL},
	{"dot first", ".a@b", NULL},
	{"domain ends with a dot", "a@b.", NULL},
	{"quoted domain", "a@\"b\"", NULL},
	{"blank between addresses", "a@b c@d", NULL},
	{"semicolon between addresses", "a@b; c@d", NULL},
	{"two angles", "<a@b> <c@d>", NULL},
	{"angle in angle", "<<a@b>>", NULL},
	{"angle not closed", "Anna <a@b", NULL},
	{"angle not opened", "a@b>", NULL},
	{"comment not closed", "a@b (x", NULL},
	{"comment not closed, nested", "a@b ((x)", NULL},
	{"comment not closed, escaped", "a@b (x\\)", NULL},
	{"comment not opened", "a@b )", NULL},
	{"quote not closed", "\"Anna <a@b>", NULL},
	{"literal not closed", "a@[192.0.2.1", NULL},
	{"bracket alone", "a@b]", NULL},
	{"backslash", "a\\b@c", NULL},
	{"group in a group", "A: B: a@b;;", NULL},
	{"colon first", ": a@b;", NULL},
	{"words after a group", "A: a@b; x", NULL},
	{"route without colon", "<@x a@b>", NULL},
	{"words after angles", "<a@b> x", NULL},
	{"control character", "a\001@b", NULL},
	{"DEL", "a\177@b", NULL},
	{"a number that is a token kind of the parser", "\002\003 a@b", NULL},
};

START_TEST(row)
{
	const struct row *r = &rows[_i];
	struct addrlist l;
	struct addrlist_item item;
	struct buf b = BUF_INIT(4096);
	size_t n = strlen(r->in);
	char *exact = malloc(n ? n : 1); /* a sanitizer sees a read past the end */
	ck_assert_ptr_nonnull(exact);
	memcpy(exact, r->in, n);
	int rc;
	addrlist_start(&l, slice_make(exact, n));
	while ((rc = addrlist_next(&item, &l)) > 0)
		buf_add_format(&b, "%s%.*s@%.*s|", item.plain ? "" : "~", SLICE_FMT(item.local), SLICE_FMT(item.domain));
	ck_assert_msg(rc == (r->out ? 0 : E_SYNTAX), "%s: %d %s", r->spec, rc, l.why ? l.why : "");
	if (r->out)
		ck_assert_msg(slice_eq_str(buf_slice(&b), r->out), "%s: %.*s", r->spec, SLICE_FMT(buf_slice(&b)));
	else
		ck_assert_msg(l.why && addrlist_next(&item, &l) == E_SYNTAX, "%s: no reason, or it went on", r->spec);
	buf_free(&b);
	free(exact);
}
END_TEST

static int walk(struct slice in)
{
	struct addrlist l;
	struct addrlist_item item;
	int rc;
	addrlist_start(&l, in);
	while ((rc = addrlist_next(&item, &l)) > 0)
		;
	return rc;
}

static struct slice repeated(struct buf *b, const char *piece, size_t times)
{
	*b = BUF_INIT(1 << 26);
	for (size_t i = 0; i < times; i++)
		buf_add_str(b, piece);
	ck_assert(!b->overflow);
	return buf_slice(b);
}

START_TEST(address_limit)
{
	struct buf b;
	ck_assert_int_eq(walk(repeated(&b, "a@b,", ADDRLIST_MAX)), 0);
	buf_free(&b);
	ck_assert_int_eq(walk(repeated(&b, "a@b,", ADDRLIST_MAX + 1)), E_TOO_LONG);
	buf_free(&b);
}
END_TEST

/* Hostile shapes of 10^5 pieces and ten times as many: about ten times the time; a quadratic parser would take a hundred times. */
static const char *const shapes[] = {
	"(", "()", "((", "<", "<>", "<>()", "\"", "\"\"", "\\", "=?", "=?a?q?", "=?a?q?b?=", "=?a?q?b?= ", ",", ":", ";", "@", "@a,", ".", "a.", "a ",
	"a@", "[", "[]", "\n ", "a@b,", "(\\", "<@a:b@c>,", "a:;,",
};

static double seconds(struct slice in)
{
	struct timespec from, to;
	double best = 1e9;
	for (int i = 0; i < 3; i++) {
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
		int rc = walk(in);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
		ck_assert_int_le(rc, 0);
		double t = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
		best = t < best ? t : best;
	}
	return best;
}

START_TEST(linear)
{
	struct buf small, large;
	double one = seconds(repeated(&small, shapes[_i], 100000)), ten = seconds(repeated(&large, shapes[_i], 1000000));
	ck_assert_msg(ten < 40 * one + 0.01, "%s: %f s, ten times as many: %f s", shapes[_i], one, ten);
	buf_free(&small);
	buf_free(&large);
}
END_TEST

#define ROWS(a) (int)(sizeof(a) / sizeof *(a))
UNIT_MAIN("addrlist",
	tcase_add_loop_test(t, row, 0, ROWS(rows));
	tcase_add_loop_test(t, linear, 0, ROWS(shapes));
	tcase_add_test(t, address_limit);)
