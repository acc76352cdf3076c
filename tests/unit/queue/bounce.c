/* queue/bounce: hostile texts stay in their place; xtext; sizes. */
#include "queue/bounce.h"
#include "tests/unit/unit.h"

static const struct xtext_row {
	const char *spec, *in, *out;
} xtexts[] = {
	{"RFC 3461 4: plain", "rfc822;u@x.test", "rfc822;u@x.test"},
	{"RFC 3461 4: hexchar", "a+2Bb+3Dc", "a+b=c"},
	{"lower-case hex is none", "a+2bb", ""},
	{"cut off", "a+2", ""},
	{"a bare =", "a=b", ""},
	{"coded line end", "a+0D+0AX-Evil: yes", ""},
	{"coded NUL", "a+00", ""},
	{"empty", "", ""},
};

START_TEST(xtext)
{
	struct buf b = BUF_INIT(1000);
	bounce_xtext(&b, slice_str(xtexts[_i].in));
	ck_assert_msg(slice_eq_str(buf_slice(&b), xtexts[_i].out), "%s: %.*s", xtexts[_i].spec, SLICE_FMT(buf_slice(&b)));
	buf_free(&b);
}
END_TEST

static struct envelope env = {.id = {"0123456789abc", 13}, .class = CLASS_OUTSIDE, .wall_usec = 1800000000000000, .sender = {"a@x.test", 8}};

static struct content no_body = CONTENT_INIT;

static void make(struct buf *header, struct buf *body, const struct bounce_rcpt *r, size_t n, const char *original, size_t most)
{
	bounce_make(header, body, &(struct bounce){
		.id = "abcdefghjkmnp", .me = "mx.test", .from = "MAILER-DAEMON@mx.test", .to = slice_str("a@x.test"), .wall_usec = 1800000000000000, .env = &env,
		.header = slice_str(original), .body = &no_body, .rcpt = r, .rcpts = n, .most = most});
}

static size_t lines_with(struct slice text, const char *start)
{
	struct slice line;
	size_t n = 0;
	while (slice_cut(&line, &text, '\n'))
		n += slice_case_starts(line, start);
	return n;
}

/* Replies, host names and addresses with line ends, boundaries and fields in them. */
START_TEST(nothing_is_injected)
{
	static const char *const evil[] = {
		"\r\nX-Evil: yes", "\nX-Evil: yes\n\nX-Evil: body", "\n--=_abcdefghjkmnp--\nX-Evil: yes", "\n\n--=_abcdefghjkmnp\nX-Evil: yes", "\rX-Evil: yes",
	};
	struct buf header = BUF_INIT(1 << 20), body = BUF_INIT(1 << 20);
	struct slice s = slice_str(evil[_i]);
	struct bounce_rcpt r = {.address = s, .original = s, .orcpt = slice_str("rfc822;x+0AX-Evil:"), .enhanced = "5.0.0", .host = s, .text = s};
	env.helo = s;
	env.envid = slice_str("a+0AX-Evil: yes");
	make(&header, &body, &r, 1, "Subject: x\n\n", 1000);
	ck_assert_uint_eq(lines_with(buf_slice(&header), "x-evil"), 0);
	ck_assert_uint_eq(lines_with(buf_slice(&body), "x-evil"), 0);
	ck_assert_uint_eq(lines_with(buf_slice(&body), "--=_"), 4);
	ck_assert_uint_eq(lines_with(buf_slice(&body), "final-recipient:"), 1);
	buf_free(&header);
	buf_free(&body);
	env.helo = env.envid = slice_str("");
}
END_TEST

/* A thousand recipients are one report of bounded size. */
START_TEST(size_is_bounded)
{
	static struct bounce_rcpt r[1000];
	struct buf header = BUF_INIT(1 << 20), body = BUF_INIT(1 << 20);
	char *original = malloc(500001);
	memset(original, 'x', 500000);
	for (size_t i = 70; i < 500000; i += 71)
		original[i] = '\n';
	original[500000] = 0;
	for (size_t i = 0; i < 1000; i++)
		r[i] = (struct bounce_rcpt){.address = slice_str("someone@far.test"), .original = slice_str("someone@far.test"), .enhanced = "5.1.1",
			.text = slice_str("there is no such mailbox here, and there never was one as far as anybody remembers")};
	make(&header, &body, r, 1000, original, 20000);
	ck_assert(!body.overflow);
	ck_assert_uint_lt(body.n, 20000 + 20000 + 8000);
	ck_assert_uint_gt(lines_with(buf_slice(&body), "final-recipient:"), 50);
	ck_assert_uint_eq(lines_with(buf_slice(&body), "  and 950 more."), 1);
	free(original);
	buf_free(&header);
	buf_free(&body);
}
END_TEST

/* RFC 6533: an address outside ASCII makes the report an international one. */
START_TEST(international)
{
	struct buf header = BUF_INIT(1 << 20), body = BUF_INIT(1 << 20);
	struct slice address = slice_str("gr\xc3\xbc\xc3\x9f" "e@far.test");
	struct bounce_rcpt r = {.address = address, .original = address, .enhanced = "5.1.1", .text = slice_str("no")};
	make(&header, &body, &r, 1, "Subject: x\n\n", 1000);
	ck_assert_uint_eq(lines_with(buf_slice(&body), "content-type: message/global-delivery-status"), 1);
	ck_assert_uint_eq(lines_with(buf_slice(&body), "final-recipient: utf-8; "), 1);
	buf_free(&header);
	buf_free(&body);
}
END_TEST

UNIT_MAIN("queue-bounce", tcase_add_loop_test(t, xtext, 0, sizeof xtexts / sizeof *xtexts); tcase_add_loop_test(t, nothing_is_injected, 0, 5);
	tcase_add_test(t, size_is_bounded); tcase_add_test(t, international);)
