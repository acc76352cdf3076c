/* Delivery status notifications (RFC 3464 in an RFC 6522 multipart/report). */
#ifndef POSTERN_QUEUE_BOUNCE_H
#define POSTERN_QUEUE_BOUNCE_H
#include "lib/content.h"

enum bounce_action {
	BOUNCE_FAILED,
	BOUNCE_DELAYED,   /* still tried; RFC 3464 2.3.3 */
	BOUNCE_EXPANDED,  /* to several members, which are told of no success */
	BOUNCE_RELAYED,   /* to a host that sends no notices of success */
	BOUNCE_DELIVERED,
	BOUNCE_ACTIONS,
};
struct bounce_rcpt {
	struct slice address;  /* final recipient */
	struct slice original; /* what the client gave; the same where nothing was expanded */
	struct slice orcpt;    /* RFC 3461 ORCPT (xtext), or empty */
	enum bounce_action action;
	const char *enhanced;
	struct slice host;     /* the far side, or empty */
	struct slice text;
};
struct bounce {
	const char *id;               /* of the report */
	const char *me, *from;        /* host; local@domain of the From */
	struct slice to;              /* without <> */
	int64_t wall_usec;
	int64_t until_usec;           /* delayed ones are tried until then */
	const struct envelope *env;   /* of the message that is reported */
	struct slice header;
	struct content *body;         /* looked at only for RET=FULL, and only of a failure (RFC 3461 4.3) */
	const struct bounce_rcpt *rcpt;
	size_t rcpts;
	size_t most;                  /* octets of the original in the report, and of the list of recipients */
	bool to_postmaster;           /* a double bounce */
};
/* The report's header into HEADER and the rest into BODY (check .overflow).  Whatever came from outside is made printable and cut, so that it can neither
 * begin a field nor a part. */
void bounce_make(struct buf *header, struct buf *body, const struct bounce *b);
/* xtext (RFC 3461 4) decoded and appended where it is valid and comes to printable ASCII; else nothing. */
void bounce_xtext(struct buf *b, struct slice xtext);
#endif
