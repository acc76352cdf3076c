/* See replies.h.  Pure text; DETAIL may come from the client. */
#include "smtpd-outside/replies.h"

const struct reply_row reply_rows[REPLY_COUNT] = {
#define REPLY(ident, code, enhanced, text, when) {code, enhanced, text, when},
#include "smtpd-outside/replies.def"
#undef REPLY
};

static void add_printable(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_add_char(b, s.p[i] >= 32 && s.p[i] < 127 ? s.p[i] : '?');
}

void reply_line(struct buf *b, enum reply which, struct slice detail, const char *id)
{
	const struct reply_row *row = &reply_rows[which];
	struct slice text = slice_str(row->text);
	size_t star = slice_find(text, '*');
	buf_add_format(b, "%d ", row->code);
	if (*row->enhanced)
		buf_add_format(b, "%s ", row->enhanced);
	buf_add_slice(b, slice_upto(text, star));
	if (star < text.n)
		add_printable(b, slice_upto(detail, 330));
	buf_add_slice(b, slice_from(text, star + 1));
	if (*id)
		buf_add_format(b, " %s", id);
}
