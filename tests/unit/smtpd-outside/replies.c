/* smtpd-outside/replies: every row is a good reply. */
#include "smtpd-outside/replies.h"


#include "tests/unit/unit.h"

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

UNIT_MAIN("smtpd-outside/replies", {
	tcase_add_loop_test(t, row, 0, REPLY_COUNT);
	tcase_add_test(t, detail);
})
