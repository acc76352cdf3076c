/* A message as a local program wrote it, in the form of the suite: line ends LF, header and body apart. */
#ifndef POSTERN_INJECT_MESSAGE_H
#define POSTERN_INJECT_MESSAGE_H
#include "lib/buf.h"
#include "lib/err.h"

/* Read TEXT once, a piece at a time; line ends may be LF or CR LF, a last line without one gets it.  HEADER receives the header with its blank
 * line (HEADER->max is its limit), BODY_FD, an empty memfd, the rest; *HOPS the number of Received and Delivered-To fields.
 * 0; E_SYNTAX (a CR without LF, a NUL: the text says which), E_TOO_LONG (the header), E_SYS. */
MUST_CHECK int message_split(struct buf *header, unsigned *hops, int body_fd, struct slice text, struct err *e);
#endif
