/* Completing the header of a message that a person's program wrote: what sendmail and qmail-inject add, rewrite and drop. */
#ifndef POSTERN_INJECT_COMPLETE_H
#define POSTERN_INJECT_COMPLETE_H
#include <stdint.h>

#include "inject/request.h"

struct author {
	struct slice user;      /* local part, or a whole address, of a From that is missing */
	struct slice host;      /* its domain; empty: names.host */
	struct slice full_name; /* display name, UTF-8; or empty */
	bool drop_from, drop_message_id; /* as written by the caller; they are made anew */
};

struct recipients {
	struct buf list; /* netstrings */
	size_t count;
};
#define RECIPIENTS_INIT ((struct recipients){BUF_INIT(ENVELOPE_MAX), 0})

/* LOCAL and DOMAIN (may be empty) as a whole address after what N says: appended to B. */
void complete_address(struct buf *b, const struct names *n, struct slice local, struct slice domain);
/* Add the addresses of a list ("root", "a@b, c@d", "A Name <a@b>") to R, completed.  0; E_SYNTAX (the text says why), E_TOO_LONG. */
MUST_CHECK int complete_list(struct recipients *r, const struct names *n, struct slice list, struct err *e);
/* Add the recipients that HEADER names: of To, Cc and Bcc, or where there is any Resent- field, of Resent-To, Resent-Cc and
 * Resent-Bcc alone.  As complete_list(). */
MUST_CHECK int complete_recipients(struct recipients *r, const struct names *n, struct slice header, struct err *e);
/* HEADER completed, with its blank line, appended to OUT: addresses without a domain get one, and a host without a dot defaultdomain; Bcc,
 * Resent-Bcc, Return-Path, Apparently-To and Content-Length are dropped; Date, Message-ID and From are added where missing (and their
 * Resent- forms in a resent message); To: undisclosed-recipients:; where neither To nor Cc is left.  A field that cannot be read as
 * addresses stays as it is.  The caller checks OUT->overflow.  RFC 5322 3.6, RFC 6409 8. */
void complete_header(struct buf *out, const struct names *n, const struct author *a, struct slice header, int64_t wall_usec);
/* The address of the first Return-Path, completed; empty: none, or <>; *PRESENT says which. */
void complete_return_path(struct buf *b, bool *present, const struct names *n, struct slice header);
#endif
