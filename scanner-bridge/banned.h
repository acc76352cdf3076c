/* control/banned: attachment names and MIME types that are not accepted, one a line.
 *	*.exe                        a name; "*" any run of characters, "?" any one octet; ASCII case does not count
 *	application/x-msdownload     a MIME type
 *	video/<star>                 all types of one kind
 * A line with "/" is a type, every other one a name. */
#ifndef POSTERN_SCAN_BANNED_H
#define POSTERN_SCAN_BANNED_H
#include "lib/control.h"

#define BANNED_MAX 1000       /* lines */
#define BANNED_LINE_MAX 128   /* octets */

struct banned {
	struct slice names[BANNED_MAX], types[BANNED_MAX]; /* borrow from the control file's content */
	size_t name_count, type_count;
};
/* 0, or E_SYNTAX with "banned:LINE: reason". */
MUST_CHECK int banned_parse(struct banned *out, const struct control *c, struct err *e);
/* The pattern that NAME or one of its parts between "/" and "\" matches, as given or with blanks and dots at its end taken off (as
 * Windows does); an empty slice when none does.  Steps are at most octets of the patterns times octets of NAME, and for
 * patterns with one "*" their sum. */
struct slice banned_name(const struct banned *b, struct slice name);
struct slice banned_type(const struct banned *b, struct slice type);
#endif
