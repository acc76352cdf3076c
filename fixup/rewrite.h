/* Rewriting of one message: its envelope's addresses and the addresses in its header. */
#ifndef POSTERN_FIXUP_REWRITE_H
#define POSTERN_FIXUP_REWRITE_H
#include "fixup/rules.h"
#include "lib/arena.h"
#include "lib/envelope.h"

/* What was done, for the log. */
struct changes {
	unsigned sender;     /* 0 or 1 */
	unsigned recipients; /* rewritten */
	unsigned merged;     /* recipients dropped because they came to be the same as another */
	unsigned fields;     /* header fields in which something was rewritten */
	unsigned addresses;  /* in them */
	unsigned left;       /* header fields left as they are because they could not be read */
	unsigned added;      /* From, Date, Message-ID */
	unsigned dropped;    /* Bcc, Resent-Bcc */
};

/* What fields that are missing are made of. */
struct completion {
	struct slice from;  /* an address, local@domain; empty: a From field is not added */
	struct slice id, me; /* of the Message-ID */
	int64_t wall_usec;  /* Date */
	bool drop_bcc;      /* Bcc and Resent-Bcc leave: nobody is to read whom the sender meant to hide (RFC 5322 3.6.3) */
};

/* Rewrite ENV, which envelope_copy() made: sender, recipients.  A recipient that changes gets an ORCPT with its old address, unless it has one.
 * A rewritten recipient that equals another is dropped, so that nobody gets two copies; the first keeps its ORCPT, and
 * notices that either asked for are sent.  New text goes into A.  0 or E_SYS (no memory; ENV is then of no use). */
MUST_CHECK int rewrite_envelope(struct envelope *env, struct arena *a, struct rules *r, struct changes *n);

/* Rewrite HEADER (with its blank line) into OUT: the local part and domain of addresses in the address fields, nothing else; then From, Date
 * and Message-ID where they are missing, at the end (RFC 6409 8, RFC 5322 3.6).  A field that is no address list, or in which a line would become longer
 * than 998 octets, stays as it is and is logged.  OUT is empty at first.
 * 1: changed, OUT is the new header; 0: HEADER stands, OUT is of no use; E_TOO_LONG (OUT's maximum), E_SYS (no memory). */
MUST_CHECK int rewrite_header(struct buf *out, struct slice header, struct rules *r, const struct completion *missing, struct changes *n);
#endif
