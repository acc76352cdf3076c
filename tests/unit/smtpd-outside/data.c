/* smtpd-outside/data and data_header.  The exhaustive part: every sequence of up to six of CR, LF, NUL, "." and "a" put into a message, at
 * every split of the input, must give one message with these very octets or none (SMTP smuggling, CVE-2023-51764). */
#include "smtpd-outside/data.h"

#include <time.h>

#include "lib/header.h"
#include "smtpd-outside/data_header.h"
#include "tests/unit/unit.h"

#define S(text) {text, sizeof text - 1}

static const struct row {
	const char *spec;
	struct slice in;
	struct slice text;     /* what comes out before the end or the fault */
	size_t used;
	enum data_state state;
	enum data_fault fault;
} rows[] = {
	{"4.1.1.4 empty message", S(".\r\n"), S(""), 3, DATA_END, DATA_CLEAN},
	{"2.3.8 one line", S("a\r\n.\r\n"), S("a\n"), 6, DATA_END, DATA_CLEAN},
	{"4.5.2 dot line", S("..\r\n.\r\n"), S(".\n"), 7, DATA_END, DATA_CLEAN},
	{"4.5.2 dot and text", S("..a\r\n.\r\n"), S(".a\n"), 8, DATA_END, DATA_CLEAN},
	{"4.5.2 dot that was not doubled", S(".a\r\n.\r\n"), S("a\n"), 7, DATA_END, DATA_CLEAN},
	{"4.5.2 three dots", S("...\r\n.\r\n"), S("..\n"), 8, DATA_END, DATA_CLEAN},
	{"dots inside a line stay", S("a..b.\r\n.\r\n"), S("a..b.\n"), 10, DATA_END, DATA_CLEAN},
	{"empty lines", S("\r\n\r\n.\r\n"), S("\n\n"), 7, DATA_END, DATA_CLEAN},
	{"2920 3.1 next command behind the end", S("a\r\n.\r\nMAIL"), S("a\n"), 6, DATA_END, DATA_CLEAN},
	{"eight bits", S("\200\377\r\n.\r\n"), S("\200\377\n"), 7, DATA_END, DATA_CLEAN},
	{"not ended", S("a\r\n"), S("a\n"), 3, DATA_LINE, DATA_CLEAN},
	{"not ended: dot", S("a\r\n."), S("a\n"), 4, DATA_DOT, DATA_CLEAN},
	{"not ended: dot CR", S("a\r\n.\r"), S("a\n"), 5, DATA_DOT_CR, DATA_CLEAN},
	{"LF . LF", S("a\n.\nb\r\n.\r\n"), S("a"), 10, DATA_END, DATA_BARE_LF},
	{"LF . CR LF", S("a\n.\r\nb\r\n.\r\n"), S("a"), 11, DATA_END, DATA_BARE_LF},
	{"CR LF . LF", S("a\r\n.\nb\r\n.\r\n"), S("a\n"), 11, DATA_END, DATA_BARE_LF},
	{"CR LF . CR", S("a\r\n.\rb\r\n.\r\n"), S("a\n"), 11, DATA_END, DATA_BARE_CR},
	{"CR . CR LF", S("a\r.\r\nb\r\n.\r\n"), S("a"), 11, DATA_END, DATA_BARE_CR},
	{"CR . CR", S("a\r.\rb\r\n.\r\n"), S("a"), 10, DATA_END, DATA_BARE_CR},
	{"CR CR LF", S("a\r\r\n.\r\n"), S("a"), 7, DATA_END, DATA_BARE_CR},
	{"CR LF NUL . CR LF", S("a\r\n\0.\r\nb\r\n.\r\n"), S("a\n"), 13, DATA_END, DATA_NUL},
	{"CR LF . NUL CR LF", S("a\r\n.\0\r\nb\r\n.\r\n"), S("a\n"), 13, DATA_END, DATA_NUL},
	{"2.3.8 LF first", S("\n.\r\n\r\n.\r\n"), S(""), 9, DATA_END, DATA_BARE_LF},
	{"the first fault is named", S("\r\0\n\r\n.\r\n"), S(""), 8, DATA_END, DATA_BARE_CR},
};

/* Feed IN in pieces of STEP octets; the text is appended to OUT.  Returns the octets used. */
static size_t feed(struct data *d, struct buf *out, struct slice in, size_t step)
{
	size_t at = 0;
	char space[64];
	while (at < in.n && d->state != DATA_END) {
		struct slice piece = slice_upto(slice_from(in, at), step < sizeof space ? step : sizeof space);
		size_t clean;
		memcpy(space, piece.p, piece.n);
		size_t used = data_feed(d, space, piece.n, &clean);
		ck_assert(used == piece.n || d->state == DATA_END);
		ck_assert_msg(!memcmp(space + used, piece.p + used, piece.n - used), "input behind the end was touched");
		buf_add(out, space, clean);
		at += used;
	}
	return at;
}

START_TEST(table)
{
	const struct row *r = &rows[_i];
	for (size_t step = 1; step <= r->in.n; step++) {
		struct data d = {0};
		struct buf out = BUF_INIT(4096);
		size_t used = feed(&d, &out, r->in, step);
		ck_assert_msg(used == r->used && d.state == r->state && d.fault == r->fault && slice_eq(buf_slice(&out), r->text),
			"%s, pieces of %zu: used %zu state %d fault %d text %.*s", r->spec, step, used, d.state, d.fault, SLICE_FMT(buf_slice(&out)));
		buf_free(&out);
	}
}
END_TEST

/* The plainest possible statement of the rule, to compare with: where does the message end, and is it clean? */
static size_t end_of(struct slice in)
{
	if (slice_starts(in, ".\r\n"))
		return 3;
	for (size_t i = 0; i + 5 <= in.n; i++)
		if (!memcmp(in.p + i, "\r\n.\r\n", 5))
			return i + 5;
	return 0;
}

static bool clean(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!s.p[i] || (s.p[i] == '\n' && (!i || s.p[i - 1] != '\r')) || (s.p[i] == '\r' && (i + 1 == s.n || s.p[i + 1] != '\n')))
			return false;
	return true;
}

static void decode(struct buf *out, struct slice whole)
{
	struct slice rest = slice_upto(whole, whole.n - 3), line;
	while (rest.n) {
		size_t n = slice_find(rest, '\n');
		line = slice_upto(rest, n - 1);
		rest = slice_from(rest, n + 1);
		buf_add_slice(out, slice_from(line, line.n && line.p[0] == '.'));
		buf_add_char(out, '\n');
	}
}

static void one_sequence(struct slice in)
{
	struct buf want = BUF_INIT(4096);
	size_t end = end_of(in);
	bool good = end && clean(slice_upto(in, end));
	if (good)
		decode(&want, slice_upto(in, end));
	for (size_t split = 1; split < in.n; split++) {
		struct data d = {0};
		struct buf out = BUF_INIT(4096);
		size_t used = feed(&d, &out, slice_upto(in, split), split);
		if (d.state != DATA_END)
			used += feed(&d, &out, slice_from(in, split), in.n);
		ck_assert_msg((d.state == DATA_END) == (end > 0), "split %zu: end of data", split);
		ck_assert_msg(!end || used == end, "split %zu: used %zu, the end is at %zu", split, used, end);
		ck_assert_msg(!end || (d.fault == DATA_CLEAN) == good, "split %zu: fault %d", split, d.fault);
		ck_assert_msg(!good || slice_eq(buf_slice(&out), buf_slice(&want)), "split %zu: other text", split);
		ck_assert_msg(!out.n || (!memchr(out.p, '\r', out.n) && !memchr(out.p, 0, out.n)), "split %zu: CR or NUL came out", split);
		buf_free(&out);
	}
	buf_free(&want);
}

/* All sequences of length _i between "a" and "b" on a line of its own, and with nothing before them. */
START_TEST(sequences)
{
	static const char alphabet[] = {'\r', '\n', '\0', '.', 'a'};
	size_t total = 1;
	for (int k = 0; k < _i; k++)
		total *= sizeof alphabet;
	for (size_t number = 0; number < total; number++) {
		char in[64];
		size_t n = 0, rest = number;
		in[n++] = 'x';
		for (int k = 0; k < _i; k++, rest /= sizeof alphabet)
			in[n++] = alphabet[rest % sizeof alphabet];
		memcpy(in + n, "b\r\n.\r\n", 6);
		one_sequence(slice_make(in, n + 6));
		one_sequence(slice_make(in + 1, n + 5));
	}
}
END_TEST

START_TEST(dots_around_the_end)
{
	char in[64];
	struct data d = {0};
	struct buf out = BUF_INIT(64);
	for (size_t dots = 2; dots < 40; dots++) {
		memset(in, '.', dots);
		memcpy(in + dots, "\r\n.\r\n", 6);
		d = (struct data){0};
		buf_reset(&out);
		ck_assert_uint_eq(feed(&d, &out, slice_make(in, dots + 5), 7), dots + 5);
		ck_assert_uint_eq(out.n, dots);
	}
	buf_free(&out);
}
END_TEST

/* BDAT: the text lies in two chunks, each read in two pieces.  The rule: every CR stands before a LF and every LF behind a CR, there is no NUL, dots
 * are plain text; a last line without its end gets one. */
static void chunk(struct data *d, struct buf *out, struct slice in)
{
	char space[64];
	size_t clean;
	memcpy(space, in.p, in.n);
	data_feed_chunk(d, space, in.n, &clean);
	buf_add(out, space, clean);
}

static void one_chunked(struct slice in)
{
	struct buf want = BUF_INIT(4096);
	bool good = clean(in), open = in.n && in.p[in.n - 1] != '\n';
	for (size_t i = 0; good && i < in.n; i++)
		if (in.p[i] != '\r')
			buf_add_char(&want, in.p[i]);
	for (size_t split = 0; split <= in.n; split++) {
		struct data d = {0};
		struct buf out = BUF_INIT(4096);
		struct slice first = slice_upto(in, split), second = slice_from(in, split);
		chunk(&d, &out, slice_upto(first, split / 2));
		chunk(&d, &out, slice_from(first, split / 2));
		chunk(&d, &out, second);
		bool lacks = data_end_chunks(&d);
		ck_assert_msg((d.fault == DATA_CLEAN) == good, "split %zu: fault %d", split, d.fault);
		ck_assert_msg(!good || (slice_eq(buf_slice(&out), buf_slice(&want)) && lacks == open), "split %zu: other text", split);
		ck_assert_msg(!out.n || (!memchr(out.p, '\r', out.n) && !memchr(out.p, 0, out.n)), "split %zu: CR or NUL came out", split);
		ck_assert_int_eq(d.state, DATA_END);
		buf_free(&out);
	}
	buf_free(&want);
}

START_TEST(chunks)
{
	static const char alphabet[] = {'\r', '\n', '\0', '.', 'a'};
	size_t total = 1;
	for (int k = 0; k < _i; k++)
		total *= sizeof alphabet;
	for (size_t number = 0; number < total; number++) {
		char in[64];
		size_t n = 0, rest = number;
		in[n++] = 'x';
		for (int k = 0; k < _i; k++, rest /= sizeof alphabet)
			in[n++] = alphabet[rest % sizeof alphabet];
		memcpy(in + n, "\r\n.\r\nb\r\n", 8);
		one_chunked(slice_make(in, n + 8));
		one_chunked(slice_make(in + 1, n - 1));
	}
}
END_TEST

static const struct split_row {
	const char *spec;
	struct slice in;
	unsigned hops;
} splits[] = {
	{"2.2 fields", S("A: b\nC: d\n\nbody\n"), 0},
	{"no body", S("A: b\n\n"), 0},
	{"no blank line at the end", S("A: b\n"), 0},
	{"no header", S("\nbody\n"), 0},
	{"nothing", S(""), 0},
	{"not a field", S("hello\nworld\n"), 0},
	{"not a field after one", S("A: b\nhello\nC: d\n\nx\n"), 0},
	{"continuation first", S(" a\nB: c\n\nx\n"), 0},
	{"2.2.3 folds", S("A: b\n c\n\td\nE: f\n\nx\n"), 0},
	{"mbox line", S("From a@b Sun\nA: b\n\nx\n"), 0},
	{"4.5 blank before the colon", S("A : b\n\nx\n"), 0},
	{"6.3 hops", S("Received: a\nreceived: b\n by c\nDelivered-To: d\nX-Received: e\n\nReceived: body\n"), 3},
	{"eight bits in a name", S("\303\244: b\n\nx\n"), 0},
	{"no name", S(": b\n\nx\n"), 0},
};

START_TEST(split)
{
	const struct split_row *r = &splits[_i];
	bool no_blank;
	size_t header = header_length(r->in, &no_blank);
	for (size_t step = 1; step <= r->in.n + 1; step++) {
		struct data_header h = DATA_HEADER_INIT(4096);
		struct buf body = BUF_INIT(4096);
		for (size_t at = 0; at < r->in.n; ) {
			struct slice piece = slice_upto(slice_from(r->in, at), step);
			size_t used = h.done ? 0 : data_header_feed(&h, piece);
			if (h.done && used + (at ? 0 : 1) && !body.n)
				buf_add_slice(&body, data_header_spill(&h));
			if (h.done) {
				h.text.n = h.line;
				buf_add_slice(&body, slice_from(piece, used));
			} else {
				ck_assert_uint_eq(used, piece.n);
			}
			at += piece.n;
		}
		data_header_end(&h);
		ck_assert_msg(h.line == header && h.no_blank == no_blank, "%s, pieces of %zu: header of %zu, not %zu", r->spec, step, h.line, header);
		ck_assert_msg(slice_eq(data_header_header(&h), slice_upto(r->in, header)), "%s: other header", r->spec);
		ck_assert_msg(slice_eq(buf_slice(&body), slice_from(r->in, header)), "%s, pieces of %zu: other body", r->spec, step);
		ck_assert_msg(h.hops == r->hops, "%s: %u hops", r->spec, h.hops);
		buf_free(&h.text);
		buf_free(&body);
	}
}
END_TEST

START_TEST(header_limit)
{
	for (size_t most = 9; most <= 10; most++) {
		struct data_header h = DATA_HEADER_INIT(most);
		ck_assert_uint_eq(data_header_feed(&h, slice_str("A: bcdef\n\nxyz")), most == 10 ? 10 : 13);
		ck_assert_int_eq(h.text.overflow, most == 9);
		ck_assert_int_eq(h.done, most == 10);
		buf_free(&h.text);
	}
}
END_TEST

/* What is full of octets that end a run costs no more for each of them in a large buffer than in a small one: 4 MiB in pieces as a session reads
 * them took six seconds when the next CR was looked for through all the rest. */
START_TEST(linear)
{
	static const char *const patterns[] = {"", "\n", "\r", "a", ".\r", "a\n", "aaaaaaaaaaaaaaa"};
	static char space[128 * 1024];
	const size_t period = strlen(patterns[_i]) + 1; /* with its NUL */
	struct data d = {0};
	size_t clean;
	clock_t begin = clock();
	for (size_t all = 0; all < 1 << 22; all += sizeof space) {
		for (size_t i = 0; i < sizeof space; i++)
			space[i] = patterns[_i][i % period];
		ck_assert_uint_eq(data_feed(&d, space, sizeof space, &clean), sizeof space);
	}
	ck_assert_int_eq(clock() - begin < CLOCKS_PER_SEC, true);
}
END_TEST

UNIT_MAIN("smtpd-outside/data",
	tcase_add_loop_test(t, linear, 0, 7);
	tcase_add_loop_test(t, table, 0, sizeof rows / sizeof *rows);
	tcase_add_loop_test(t, sequences, 0, 7);
	tcase_add_loop_test(t, chunks, 0, 7);
	tcase_add_test(t, dots_around_the_end);
	tcase_add_loop_test(t, split, 0, sizeof splits / sizeof *splits);
	tcase_add_test(t, header_limit);)
