/* Message header fields (RFC 5322 2.2): walking over a header without changing an octet of it. */
#ifndef POSTERN_LIB_HEADER_H
#define POSTERN_LIB_HEADER_H
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"

struct header_field {
	struct slice name;  /* without the colon and blanks before it */
	struct slice value; /* after the colon up to and without the last LF, folds and leading blanks included */
	struct slice whole; /* all octets of the field with its last LF */
};

/* Take the next field from *REST.  Returns false at the blank line, at the end, or at a line that is neither a field
 * nor a continuation; *REST then begins there.  Lines end with LF. */
bool header_next(struct header_field *field, struct slice *rest);
/* The first field NAME (ASCII case does not count) of HEADER; false when there is none. */
bool header_find(struct header_field *field, struct slice header, const char *name);
size_t header_count(struct slice header, const char *name);
/* VALUE without folds (LF before blank dropped) and without blanks at both ends, appended to B. */
void header_unfold(struct buf *b, struct slice value);
/* Octets of MESSAGE that are header, its blank line included: up to and including the first empty line; where a line comes first that is
 * neither field nor continuation, up to that line (*NO_BLANK true: the blank line is missing). */
size_t header_length(struct slice message, bool *no_blank);
/* RFC 5322 3.3 date-time of WALL_USEC in UTC, "Sun, 22 Nov 2026 10:36:00 +0000". */
void header_date(struct buf *b, int64_t wall_usec);
#endif
