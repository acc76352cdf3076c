/* Netstrings: LEN ":" octets ",".  The one framing of everything that Postern's programs say to each other.
 * http://cr.yp.to/proto/netstrings.txt: no leading zeros. */
#ifndef POSTERN_LIB_NETSTRING_H
#define POSTERN_LIB_NETSTRING_H
#include "lib/buf.h"
#include "lib/err.h"

void netstring_add(struct buf *b, struct slice s);
void netstring_add_str(struct buf *b, const char *s);
void netstring_add_number(struct buf *b, long long v);
/* Take one netstring of at most MAX octets from *REST.  0, or with nothing taken E_SYNTAX, E_TOO_LONG, E_EOF
 * (cut off: more octets could make it whole; an empty *REST too). */
MUST_CHECK int netstring_take(struct slice *out, struct slice *rest, size_t max);
/* The same, and a whole decimal number in LEAST..MOST.  0, E_SYNTAX, E_EOF. */
MUST_CHECK int netstring_take_number(long long *out, struct slice *rest, long long least, long long most);
#endif
