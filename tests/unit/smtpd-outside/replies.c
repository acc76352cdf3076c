/* smtpd-outside/replies: every row is a good reply, and the manual page shows just these.  With the argument "man" the program prints the
 * section for man/postern-smtpd.8. */
#include "smtpd-outside/replies.h"

#include <stdio.h>

#include "tests/unit/unit.h"

/* Words in lines of at most 78 octets, as mandoc likes them. */
static void wrap(struct buf *b, const char *text)
{
	struct slice word, rest = slice_str(text);
	for (size_t column = 0; slice_word(&word, &rest); column += word.n + 1) {
		if (column + word.n > 77) {
			buf_add_char(b, '\n');
			column = 0;
		} else if (column) {
			buf_add_char(b, ' ');
		}
		buf_add_slice(b, word);
	}
}

static void man_row(struct buf *b, const struct reply_row *r)
{
	buf_add_format(b, ".It Li \"%d%s%s %s\"\n", r->code, *r->enhanced ? " " : "", r->enhanced, r->text);
	wrap(b, r->when);
	buf_add_str(b, ".\n");
}

START_TEST(row)
{
	const struct reply_row *r = &reply_rows[_i];
	struct buf b = BUF_INIT(1024);
	char detail[400];
	memset(detail, 'd', sizeof detail);
	reply_line(&b, (enum reply)_i, slice_make(detail, sizeof detail), "0123456789abc");
	ck_assert_msg(!b.overflow && b.n <= 510, "%s: %zu octets", r->text, b.n); /* RFC 5321 4.5.3.1.5 */
	ck_assert_msg(slice_printable(buf_slice(&b)) && slice_ends(buf_slice(&b), " 0123456789abc"), "%s", r->text);
	ck_assert_msg(r->code >= 200 && r->code < 600 && *r->when, "%s", r->text);
	/* RFC 2034 4: the class of the enhanced code is the reply's first digit; no enhanced code in 220 greeting and 354; RFC 4954 4: nor in 334 */
	if (*r->enhanced)
		ck_assert_msg(r->enhanced[0] - '0' == (r->code / 100 == 3 ? 2 : r->code / 100), "%s", r->text);
	else
		ck_assert_msg(r->code == 220 || r->code == 334 || r->code == 354, "%s", r->text);
	buf_free(&b);
}
END_TEST

START_TEST(detail)
{
	struct buf b = BUF_INIT(1024);
	reply_line(&b, REPLY_unknown_recipient, slice_make("a\r\n\0\377@b", 7), "id");
	ck_assert_msg(slice_eq_str(buf_slice(&b), "550 5.1.1 <a????@b> is not an address here id"), "%.*s", SLICE_FMT(buf_slice(&b)));
	buf_reset(&b);
	reply_line(&b, REPLY_ok, slice_str("unused"), "");
	ck_assert(slice_eq_str(buf_slice(&b), "250 2.0.0 ok"));
	buf_free(&b);
}
END_TEST

START_TEST(manual)
{
	static char page[64 * 1024];
	FILE *f = fopen("man/postern-smtpd.8", "r");
	ck_assert_msg(f != NULL, "run this in the project's folder");
	size_t n = fread(page, 1, sizeof page - 1, f);
	fclose(f);
	page[n] = 0;
	struct buf b = BUF_INIT(1024);
	man_row(&b, &reply_rows[_i]);
	buf_add_char(&b, 0);
	ck_assert_msg(strstr(page, b.p) != NULL, "man/postern-smtpd.8 lacks:\n%s", b.p);
	buf_free(&b);
}
END_TEST

static int print(void)
{
	struct buf b = BUF_INIT(64 * 1024);
	for (size_t i = 0; i < REPLY_COUNT; i++)
		man_row(&b, &reply_rows[i]);
	printf("%.*s", SLICE_FMT(buf_slice(&b)));
	buf_free(&b);
	return 0;
}

#define main unit_main
static UNIT_MAIN("smtpd-outside/replies",
	tcase_add_loop_test(t, row, 0, REPLY_COUNT);
	tcase_add_test(t, detail);
	tcase_add_loop_test(t, manual, 0, REPLY_COUNT);)
#undef main

int main(int argc, char **argv)
{
	return argc > 1 && !strcmp(argv[1], "man") ? print() : unit_main();
}
