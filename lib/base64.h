/* Base64 as SASL exchanges it: strictly RFC 4648 4, with padding and nothing beside it (RFC 4954 4). */
#ifndef POSTERN_LIB_BASE64_H
#define POSTERN_LIB_BASE64_H
#include "lib/buf.h"

/* Decode the whole of IN into OUT of SIZE octets; *USED is how many came out.  0, or with OUT's content of no use: E_SYNTAX (an octet outside the
 * alphabet, a length that is no multiple of four, padding elsewhere than at the end, bits left over that are not zero),
 * E_TOO_LONG (more than SIZE).  Linear. */
MUST_CHECK int base64_decode(char *out, size_t size, size_t *used, struct slice in);
/* IN with padding, appended to B: four characters for each three octets begun. */
void base64_encode(struct buf *b, struct slice in);
#endif
