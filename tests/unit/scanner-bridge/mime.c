/* The MIME walker and the fields of parts. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <time.h>

#include "scanner-bridge/mime.h"

/* What was seen, as text: for each part "type|content" or "type{" for a container, then "=name" for each of its names. */
static void write_down(void *arg, const struct mime_part *part)
{
	struct buf *b = arg;
	buf_add_str(b, part->type);
	buf_add_str(b, part->container ? "{" : "|");
	if (part->content.n < 50)
		buf_add_slice(b, part->content);
	for (size_t i = 0; i < part->name_count; i++) {
		buf_add_str(b, "=");
		buf_add_slice(b, part->names[i]);
	}
	buf_add_str(b, ";");
}

#define MULTI "Content-Type: multipart/mixed; boundary=b\n\n"
#define PART(type, body) "--b\nContent-Type: " type "\n\n" body "\n"
#define FLAG(x) MALFORMED_##x
static const struct {
	const char *spec, *message, *seen;
	unsigned malformed;
} walks[] = {
	{"empty", "", "text/plain|;", 0},
	{"header alone", "A: b\n", "text/plain|;", 0},
	{"plain", "A: b\n\nhello\n", "text/plain|hello\n;", 0},
	{"CR LF", "A: b\r\nContent-Type: text/html\r\n\r\nhi\r\n", "text/html|hi\r\n;", 0},
	{"two parts", MULTI "pre\n" PART("text/plain", "one") PART("Image/PNG", "two") "--b--\npost\n",
	 "multipart/mixed{;text/plain|one;image/png|two;", 0},
	{"no end", MULTI PART("text/plain", "one"), "multipart/mixed{;text/plain|one\n;", 0},
	{"blanks after boundary", MULTI "--b \t\n\none\n--b-- \n", "multipart/mixed{;text/plain|one;", 0},
	{"boundary quoted", "Content-Type: multipart/mixed; boundary=\"a b:c\"\n\n--a b:c\n\none\n--a b:c--\n", "multipart/mixed{;text/plain|one;", 0},
	{"boundary folded", "Content-Type: multipart/mixed;\n boundary=\n b\n\n--b\n\none\n--b--\n", "multipart/mixed{;text/plain|one;", 0},
	{"nested", MULTI "--b\nContent-Type: multipart/alternative; boundary=bb\n\n--bb\n\nin\n--bb--\n" PART("a/b", "out") "--b--\n",
	 "multipart/mixed{;multipart/alternative{;text/plain|in;a/b|out;", 0},
	{"inner not closed", MULTI "--b\nContent-Type: multipart/alternative; boundary=i\n\n--i\n\nin\n" PART("a/b", "out") "--b--\n",
	 "multipart/mixed{;multipart/alternative{;text/plain|in;a/b|out;", 0},
	{"message inside", "Content-Type: message/rfc822\n\nSubject: x\nContent-Type: text/html\n\nin\n", "message/rfc822{;text/html|in\n;", 0},
	{"message in part", MULTI "--b\nContent-Type: message/rfc822\n\nA: b\n\nin\n" PART("a/b", "x") "--b--\n",
	 "multipart/mixed{;message/rfc822{;text/plain|in;a/b|x;", 0},
	{"message with From line", "Content-Type: message/rfc822\n\nFrom a@b\nContent-Type: a/b\n\nin", "message/rfc822{;a/b|in;", 0},
	{"digest", "Content-Type: multipart/digest; boundary=b\n\n--b\n\nContent-Type: a/b\n\nin\n--b--\n", "multipart/digest{;message/rfc822{;a/b|in;", 0},
	{"part without header end", MULTI "--b\nContent-Type: a/b\n--b--\n", "multipart/mixed{;a/b|;", 0},
	{"no field", "A: b\nnonsense\nContent-Type: a/b\n\nx", "text/plain|nonsense\nContent-Type: a/b\n\nx;", FLAG(HEADER)},
	{"continuation first", MULTI "--b\n x: y\n\nz\n--b--\n", "multipart/mixed{;text/plain| x: y\n\nz;", FLAG(HEADER)},
	{"name", "Content-Type: a/b; name=x.exe\n\n", "a/b|=x.exe;", 0},
	{"both names", "Content-Type: a/b; name=x.txt\nContent-Disposition: attachment; filename=\"y.exe\"\n\n", "a/b|=x.txt=y.exe;", 0},
	{"multipart with name", "Content-Type: multipart/x; boundary=b; name=x.exe\n\n--b\n\n--b--\n", "multipart/x{=x.exe;text/plain|;", 0},
	{"no boundary parameter", "Content-Type: multipart/mixed\n\n--b\n", "multipart/mixed|--b\n;", FLAG(BOUNDARY)},
	{"boundary never comes", MULTI "x\n", "multipart/mixed{;", FLAG(BOUNDARY)},
	{"multipart without body", MULTI "\n", "multipart/mixed{;", 0},
	{"bounce with the header alone", MULTI "--b\nContent-Type: message/rfc822\n\nContent-Type: multipart/x; boundary=c\n\n--b--\n",
	 "multipart/mixed{;message/rfc822{;multipart/x{;", 0},
	{"like the boundary", MULTI "--bx\n\none\n--b\n\ntwo\n--b--\n", "multipart/mixed{;text/plain|two;", FLAG(BOUNDARY)},
	{"type twice", "Content-Type: a/b\nContent-Type: c/d; name=x.exe\n\n", "a/b|=x.exe;", FLAG(FIELD_TWICE)},
	{"encoding twice", "Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n\n", "text/plain|;", FLAG(FIELD_TWICE)},
	{"disposition twice", "Content-Disposition: a; filename=1\nContent-Disposition: a; filename=2\n\n", "text/plain|=1=2;", FLAG(FIELD_TWICE)},
	{"boundary twice", "Content-Type: multipart/x; boundary=b; boundary=c\n\n--b\n\n1\n--b--\n", "multipart/x{;text/plain|1;", FLAG(PARAMETER_TWICE)},
	{"encoded multipart", "Content-Transfer-Encoding: base64\n" MULTI "--b\n\n1\n--b--\n", "multipart/mixed{;text/plain|1;", FLAG(ENCODING)},
	{"unknown encoding", "Content-Transfer-Encoding: rot13\n\nx", "text/plain|x;", FLAG(ENCODING)},
	{"partial", "Content-Type: message/partial; id=x; number=1\n\nx", "message/partial|x;", FLAG(PARTIAL)},
	{"type without slash", "Content-Type: attachment; name=x.exe\n\n", "text/plain|=x.exe;", FLAG(TYPE)},
	{"type text", "Content-Type: text\n\n", "text/plain|;", 0},
	{"empty type", "Content-Type:\n\n", "text/plain|;", 0},
	{"comment", "Content-Type: multipart/mixed (x); boundary=b\n\n--b\n\n1\n--b--\n", "multipart/mixed{;text/plain|1;", FLAG(TYPE)},
	{"boundary in an outer comment name", "Content-Type: multipart/mixed; (c) boundary=b\n\n--b\n\n1\n", "multipart/mixed|--b\n\n1\n;", FLAG(TYPE) | FLAG(BOUNDARY)},
	{"quote without end", "Content-Disposition: a; filename=\"x.exe\n\n", "text/plain|=x.exe;", FLAG(TYPE)},
	{"base64 message", "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQTogYgo=\n", "message/rfc822|QTogYgo=\n;", 0},
	{"right to left", "Content-Disposition: a; filename=\"x\xe2\x80\xae" "txt.exe\"\n\n", "text/plain|=x\xe2\x80\xaetxt.exe;", FLAG(NAME)},
	{"overlong dot", "Content-Disposition: a; filename=\"x\xc0\xae" "exe\"\n\n", "text/plain|=x\xc0\xae" "exe;", FLAG(NAME)},
	{"capitals", "CONTENT-TYPE: A/B; NAME=x\n\n", "a/b|=x;", 0},
	{"blank before colon", "Content-Type : a/b\n\n", "a/b|;", 0},
};

START_TEST(walk)
{
	struct buf b = BUF_INIT(65536);
	unsigned malformed = 0;
	mime_walk(slice_str(walks[_i].message), &malformed, write_down, &b);
	ck_assert_msg(slice_eq_str(buf_slice(&b), walks[_i].seen), "%s: %.*s", walks[_i].spec, SLICE_FMT(buf_slice(&b)));
	ck_assert_msg(malformed == walks[_i].malformed, "%s: %x", walks[_i].spec, malformed);
	buf_free(&b);
}
END_TEST

/* name= of a Content-Type, all values that some reader may show. */
static const struct {
	const char *field, *seen;
	unsigned malformed;
} values[] = {
	{"name=a.exe", "=a.exe", 0},
	{"name=\"a.exe\"", "=a.exe", 0},
	{"name = \"a.exe\" ", "=a.exe", 0},
	{"name=\"a;b.exe\"; x=y", "=a;b.exe", 0},
	{"name=my file.exe", "=my file.exe=my", 0},
	{"name=\"a\\\"b.exe\"", "=a\"b.exe=a\\\"b.exe", 0},
	{"name=\"c:\\a.exe\"", "=c:a.exe=c:\\a.exe", 0},
	{"name=\"=?utf-8?B?eC5leGU=?=\"", "==?utf-8?B?eC5leGU=?==x.exe", 0},
	{"name==?utf-8?q?x=2Eexe?=", "==?utf-8?q?x=2Eexe?==x.exe", 0},
	{"name=\"=?utf-8?q?a?= =?utf-8?q?b.exe?=\"", "==?utf-8?q?a?= =?utf-8?q?b.exe?==ab.exe", 0},
	{"name=\"=?utf-8?q?a?=.exe\"", "==?utf-8?q?a?=.exe=a.exe", 0},
	{"name=\"=?utf-16?B?eA==?=\"", "==?utf-16?B?eA==?==x", FLAG(NAME)},
	{"name*=utf-8''x%2eexe", "=x.exe=utf-8''x%2eexe", 0},
	{"name*=utf-8'en'x%2Eex%65", "=x.exe=utf-8'en'x%2Eex%65", 0},
	{"name*=x%2eexe", "=x.exe=x%2eexe", 0},
	{"name*=utf-32''x", "=x=utf-32''x", FLAG(NAME)},
	{"name*0=a; name*1=.exe", "=a.exe", 0},
	{"name*0*=utf-8''%61; name*1=\".e\"; name*2*=%78e", "=a.exe", 0},
	{"name*0=\"=?utf-8?q?a\"; name*1=\"b.exe?=\"", "==?utf-8?q?ab.exe?==ab.exe", 0},
	{"name*1=.exe; name*0=a", "=a.exe", FLAG(PARAMETER_TWICE)},
	{"name*0=a; name*2=.exe", "=a.exe", FLAG(PARAMETER_TWICE)},
	{"name*0=a; name*0=b; name*1=.exe", "=b.exe", FLAG(PARAMETER_TWICE)},
	{"name*00=a", "=a", FLAG(PARAMETER_TWICE)},
	{"name*100=a", "=a", FLAG(PARAMETER_TWICE)},
	{"name=a; name=b", "=a=b", FLAG(PARAMETER_TWICE)},
	{"name=a; NAME=b", "=a=b", FLAG(PARAMETER_TWICE)},
	{"name=a.txt; name*=utf-8''a.exe", "=a.txt=a.exe=utf-8''a.exe", 0},
	{"name=\"a\"b.exe", "=a", FLAG(TYPE)},
	{"name=a\"b.exe", "=a\"b.exe", FLAG(TYPE)},
	{"name=\"a.exe", "=a.exe", FLAG(TYPE)},
	{"name=\"a.exe\\", "=a.exe\\", FLAG(TYPE)},
	{"name", "=", 0},
	{"name=", "=", 0},
	{";;; ; name=a;;", "=a", 0},
	{"xname=a", "", 0},
};

static void add_value(void *arg, struct slice value)
{
	buf_add_str(arg, "=");
	buf_add_slice(arg, value);
}

START_TEST(parameter)
{
	struct buf b = BUF_INIT(65536), field = BUF_INIT(1000);
	struct mime_params p;
	unsigned malformed = 0;
	buf_add_format(&field, "a/b; %s", values[_i].field);
	mime_params_parse(&p, &malformed, buf_slice(&field));
	mime_param_values(&p, "name", &malformed, add_value, &b);
	ck_assert_msg(slice_eq_str(buf_slice(&b), values[_i].seen), "%s: %.*s", values[_i].field, SLICE_FMT(buf_slice(&b)));
	ck_assert_msg(malformed == values[_i].malformed, "%s: %x", values[_i].field, malformed);
	buf_free(&b);
	buf_free(&field);
}
END_TEST

static const struct {
	enum mime_encoding encoding;
	const char *raw, *decoded;
	unsigned malformed;
} codes[] = {
	{ENCODING_BASE64, "", "", 0}, {ENCODING_BASE64, "TQ==", "M", 0}, {ENCODING_BASE64, "TWE=", "Ma", 0}, {ENCODING_BASE64, "TWFu", "Man", 0},
	{ENCODING_BASE64, "TW\nFu\r\n TQ ==\n", "ManM", 0}, {ENCODING_BASE64, "TWFuTQ", "ManM", FLAG(BASE64)}, {ENCODING_BASE64, "TW!Fu", "Man", FLAG(BASE64)},
	{ENCODING_BASE64, "TQ==TWFu", "MMan", FLAG(BASE64)}, {ENCODING_BASE64, "T", "", FLAG(BASE64)}, {ENCODING_BASE64, "TWE=\n\n", "Ma", 0},
	{ENCODING_BASE64, "T===", "", FLAG(BASE64)}, {ENCODING_BASE64, "TWF-", "Ma", FLAG(BASE64)},
	{ENCODING_QP, "a=3Db", "a=b", 0}, {ENCODING_QP, "a=3db", "a=b", 0}, {ENCODING_QP, "a=\nb", "ab", 0}, {ENCODING_QP, "a= \t\r\nb", "ab", 0},
	{ENCODING_QP, "a=zzb", "a=zzb", 0}, {ENCODING_QP, "a=", "a", 0}, {ENCODING_QP, "a=4", "a=4", 0}, {ENCODING_QP, "a_b", "a_b", 0},
	{ENCODING_IDENTITY, "a=3D", "a=3D", 0},
};

START_TEST(decoding)
{
	struct buf b = BUF_INIT(65536);
	unsigned malformed = 0;
	mime_decode(&b, codes[_i].encoding, &malformed, slice_str(codes[_i].raw));
	ck_assert_msg(slice_eq_str(buf_slice(&b), codes[_i].decoded), "%s: %.*s", codes[_i].raw, SLICE_FMT(buf_slice(&b)));
	ck_assert_msg(malformed == codes[_i].malformed, "%s", codes[_i].raw);
	buf_free(&b);
}
END_TEST

static void count(void *arg, const struct mime_part *part)
{
	(void)part;
	++*(size_t *)arg;
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Each "%zu" in PIECE becomes I. */
static void add_piece(struct buf *b, const char *piece, size_t i)
{
	for (const char *p; (p = strstr(piece, "%zu")); piece = p + 3) {
		buf_add(b, piece, (size_t)(p - piece));
		buf_add_format(b, "%zu", i);
	}
	buf_add_str(b, piece);
}

static struct buf repeat(const char *head, const char *piece, size_t n)
{
	struct buf b = BUF_INIT((size_t)64 << 20);
	buf_add_str(&b, head);
	for (size_t i = 0; i < n; i++)
		add_piece(&b, piece, i);
	return b;
}

#define HUNG "Content-Type: a/b; "
static const struct {
	const char *spec, *head, *piece;
	size_t n, most_parts;
	unsigned malformed; /* among others */
} floods[] = {
	{"10^5 nested multiparts", "A: b\n", "Content-Type: multipart/x; boundary=b%zu\n\n--b%zu\n", 100000, 65, FLAG(LIMIT)},
	{"10^5 nested messages", "A: b\n", "Content-Type: message/rfc822\n\n", 100000, 65, FLAG(LIMIT)},
	{"10^6 parts", MULTI, "--b\n\nx\n", 1000000, 1001, FLAG(LIMIT)},
	{"10^6 boundaries", MULTI "--b\n\n", "--bx\n", 1000000, 2, FLAG(BOUNDARY)},
	{"10^6 lines of hyphens", MULTI "--b\n\n", "--\n", 1000000, 2, 0},
	{"name*0 to *9999", HUNG "x=y", "; name*%zu=a", 10000, 1, FLAG(LIMIT)},
	{"60,000 parameters", HUNG "x=y", "; a%zu=b", 60000, 1, FLAG(LIMIT)},
	{"5 MB boundary", "Content-Type: multipart/x; boundary=", "xxxxx", 1000000, 1, FLAG(LIMIT)},
	{"5 MB of parentheses", HUNG, "(((((", 1000000, 1, FLAG(LIMIT)},
	{"5 MB of quotes", HUNG "name=", "\\\"\"\\\"", 1000000, 1, FLAG(LIMIT)},
	{"encoded words", HUNG "name=\"", "=?a?q?b?=", 500, 1, 0},
	{"words without end", HUNG "name=\"", "=?a?q?", 500, 1, 0},
	{"fields", "", "X-%zu: y\n", 300000, 1, 0},
	{"types", "", "Content-Type: a/b; name=x\n", 300000, 1, FLAG(LIMIT) | FLAG(FIELD_TWICE)},
	{"group addresses", "To: ", "a:", 3000000, 1, 0},
};

/* Seconds of CPU for 5 to 10 MB; the bounds are loose, as the point is that nothing is quadratic. */
START_TEST(flood)
{
	struct buf b = repeat(floods[_i].head, floods[_i].piece, floods[_i].n);
	size_t parts = 0;
	unsigned malformed = 0;
	double t;
	buf_add_str(&b, "\n\nend\n");
	ck_assert(!b.overflow);
	t = seconds();
	mime_walk(buf_slice(&b), &malformed, count, &parts);
	t = seconds() - t;
	ck_assert_msg(t < 2.0, "%s: %f s", floods[_i].spec, t);
	ck_assert_msg(parts <= floods[_i].most_parts, "%s: %zu parts", floods[_i].spec, parts);
	ck_assert_msg((malformed & floods[_i].malformed) == floods[_i].malformed, "%s: %x", floods[_i].spec, malformed);
	buf_free(&b);
}
END_TEST

/* As many as are looked at are no fault; one more is. */
START_TEST(bounds)
{
	static const struct { const char *head, *piece; size_t most; } at[] = {
		{"A: b\n", "Content-Type: message/rfc822\n\n", MIME_DEPTH_MAX},
		{MULTI, "--b\n\nx\n", MIME_PARTS_MAX - 1},
		{"Content-Type: a/b", "; x%zu=y", MIME_PARTS_MAX},
	};
	size_t most = _i == 2 ? MIME_PARAMS_MAX : at[_i].most;
	for (size_t over = 0; over < 2; over++) {
		struct buf b = repeat(at[_i].head, at[_i].piece, most + over);
		size_t parts = 0;
		unsigned malformed = 0;
		buf_add_str(&b, "\n\n");
		mime_walk(buf_slice(&b), &malformed, count, &parts);
		ck_assert_msg(malformed == (over ? MALFORMED_LIMIT : 0), "%d %zu: %x", _i, over, malformed);
		buf_free(&b);
	}
}
END_TEST

UNIT_MAIN("mime",
	tcase_add_loop_test(t, walk, 0, sizeof walks / sizeof *walks);
	tcase_add_loop_test(t, parameter, 0, sizeof values / sizeof *values);
	tcase_add_loop_test(t, decoding, 0, sizeof codes / sizeof *codes);
	tcase_add_loop_test(t, flood, 0, sizeof floods / sizeof *floods);
	tcase_add_loop_test(t, bounds, 0, 3);)
