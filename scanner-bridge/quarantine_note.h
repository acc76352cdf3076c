/* Why a message goes to quarantine: one line that the scan stage puts in front of the header of the job, and that postern-quarantine takes off again.
 *	X-Postern-Quarantine: CAUSE MALWARE SCORE REASON
 * CAUSE as in scanpolicy, MALWARE 0 or 1, SCORE in thousandths or "-", REASON printable. */
#ifndef POSTERN_SCAN_QUARANTINE_NOTE_H
#define POSTERN_SCAN_QUARANTINE_NOTE_H
#include "lib/buf.h"
#include "lib/err.h"
#include "scanner-bridge/scanpolicy.h"

#define NOTE_REASON_MAX 400
#define NOTE_MILLI_MAX 100000000 /* either way */

struct quarantine_note {
	enum cause cause;
	bool malware;      /* a virus was found, whatever the cause */
	bool scored;       /* spamd gave .milli */
	long long milli;
	char reason[NOTE_REASON_MAX + 1];
};
/* The line with its LF, appended to B. */
void quarantine_note_add(struct buf *b, const struct quarantine_note *n);
/* Take the line from the beginning of *HEADER.  0, or E_PEER with *HEADER untouched. */
MUST_CHECK int quarantine_note_take(struct quarantine_note *out, struct slice *header, struct err *e);
/* 0 and the cause's number for its name, else -1. */
MUST_CHECK int cause_named(enum cause *out, struct slice name);
#endif
