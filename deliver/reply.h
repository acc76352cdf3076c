/* Replies of SMTP and LMTP servers, line by line, bounded (RFC 5321 4.2, RFC 2034).  What a server says ends up in logs and bounces: it is made
 * printable and cut here. */
#ifndef POSTERN_DELIVER_REPLY_H
#define POSTERN_DELIVER_REPLY_H
#include "lib/err.h"

#define REPLY_LINE_MAX 2048  /* octets with line end; RFC 5321 4.5.3.1.5 says 512 */
#define REPLY_LINES_MAX 100
#define REPLY_TEXT_MAX 300   /* octets kept */

struct reply {
	int code;                /* 200..599 */
	char enhanced[12];       /* the server's where it is one and fits the code, else "2.0.0", "4.0.0" or "5.0.0" */
	char text[REPLY_TEXT_MAX + 1]; /* code and text of all lines, printable */
	unsigned lines;
};
void reply_begin(struct reply *r);
/* One line without its line end (LF, CR LF).  *TEXT (may be NULL) is what follows the code, for EHLO.  0: the reply is complete; 1: another line
 * follows; E_PEER with *E: no reply (code, separator, another code in the middle, too many lines). */
MUST_CHECK int reply_add(struct reply *r, struct slice line, struct slice *text, struct err *e);
#endif
