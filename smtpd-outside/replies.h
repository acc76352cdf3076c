/* The table of replies, replies.def. */
#ifndef POSTERN_SMTPD_REPLIES_H
#define POSTERN_SMTPD_REPLIES_H
#include "lib/buf.h"

enum reply {
#define REPLY(ident, code, enhanced, text, when) REPLY_##ident,
#include "smtpd-outside/replies.def"
#undef REPLY
	REPLY_COUNT
};
struct reply_row {
	int code;
	const char *enhanced; /* "": none, as RFC 2034 wants it for 220 (greeting) and 354 */
	const char *text;     /* "*" stands for the detail */
	const char *when;     /* for the manual page */
};
extern const struct reply_row reply_rows[REPLY_COUNT];

/* The reply's line without CR LF: code, enhanced code, text with DETAIL (empty where the text has no "*"), ID unless it is "".
 * Octets of DETAIL that are not printable become "?".  At most 510 octets with DETAIL up to 330. */
void reply_line(struct buf *b, enum reply which, struct slice detail, const char *id);
#endif
