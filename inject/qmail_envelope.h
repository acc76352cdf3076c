/* The envelope as programs hand it to qmail-queue on descriptor 1: F sender NUL, T recipient NUL ..., NUL.  qmail-queue(8). */
#ifndef POSTERN_INJECT_QMAIL_ENVELOPE_H
#define POSTERN_INJECT_QMAIL_ENVELOPE_H
#include "lib/buf.h"
#include "lib/err.h"

#define QMAIL_ADDRESS_MAX 320 /* octets: ADDRESS_MAX of lib/envelope.h */

/* IN, whole, as netstrings (sender, recipients) appended to OUT.  Linear.
 * 0; E_SYNTAX (not the format, cut off, no recipient), E_TOO_LONG (an address; too many of them; OUT is full). */
MUST_CHECK int qmail_envelope(struct buf *out, struct slice in);
#endif
