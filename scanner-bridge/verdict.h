/* What the scanners said of one message, what the policy makes of it, and how it is told: to the client, in the header, in the log. */
#ifndef POSTERN_SCAN_VERDICT_H
#define POSTERN_SCAN_VERDICT_H
#include "lib/envelope.h"
#include "scanner-bridge/inspect.h"
#include "scanner-bridge/scanpolicy.h"
#include "scanner-bridge/spamd.h"

struct facts {
	struct inspection in;                  /* borrows from the worker's answer */
	char virus[INSPECT_TEXT_MAX + 1];      /* name, "" none */
	char error[INSPECT_TEXT_MAX + 1];      /* the first thing that failed, "" none */
	bool virus_unchecked, spam_unchecked;  /* which of them failed */
	bool spam_checked;
	struct spam spam;
};
struct decision {
	enum action action;
	enum cause cause;                      /* CAUSE_NONE: no line applied */
	int line;                              /* in control/scanpolicy; 0: default */
};
/* Take VERDICT of an engine into F; the first virus and the first error stay. */
void facts_add(struct facts *f, enum virus_verdict verdict, struct slice text);
/* The strongest action of all lines that apply. */
struct decision decide(const struct scanpolicy *p, const struct facts *f);
/* The answer to the session for reject, discard and tempfail, e.g. "550 5.7.1 message refused: virus NAME (ID)"; printable. */
void verdict_answer(char text[512], const struct decision *d, const struct facts *f, const char *id);

/* Why: "virus NAME" and the like; printable. */
void verdict_reason(struct buf *b, const struct decision *d, const struct facts *f);

/* Which fields in the message are ours to write. */
struct stamp_names {
	bool spam; /* SpamAssassin is asked: X-Spam-…; X-Virus-Status is ours in any case */
};
/* The header with our fields in front and incoming fields of our names taken out, into B.  False when nothing is to be changed (B stays
 * empty).  The caller checks B->overflow. */
bool stamp_header(struct buf *b, struct slice header, struct stamp_names ours, const struct scanpolicy *p,
	const struct facts *f);
/* "boundary,type" of the bits. */
void malformed_text(struct buf *b, unsigned malformed);
#endif
