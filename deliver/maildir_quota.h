/* Maildir++ quotas (https://www.courier-mta.org/imap/README.maildirquota.html): the file maildirsize in the Maildir, first line the limits
 * "OCTETSS,COUNTC", then one line "octets count" per change.  The limits themselves come from the directory (mailQuotaSize and
 * mailQuotaCount). */
#ifndef POSTERN_DELIVER_MAILDIR_QUOTA_H
#define POSTERN_DELIVER_MAILDIR_QUOTA_H
#include "deliver/maildir.h"

#define MAILDIRSIZE_MAX 5120 /* octets; a larger file is made anew */

struct maildir_quota {
	long long octets, count; /* limits; 0: none */
};
struct maildir_usage {
	long long octets, count;
	int lines;               /* of changes */
};

/* Would a message of OCTETS more be over the limits?  Reads maildirsize, counts the Maildir anew where the file is missing, of other limits,
 * malformed, or old and over.  1 over (with *USAGE), 0 not, E_SYS. */
MUST_CHECK int maildir_quota_over(struct maildir_usage *usage, const struct maildir *m, const struct maildir_quota *quota, long long octets,
	struct err *e);
/* Note in maildirsize that OCTETS in one message came.  A failure is left to the next count. */
void maildir_quota_add(const struct maildir *m, long long octets);

/* Internal, for tests: the text of maildirsize.  0; E_SYNTAX (not of this form, other limits, or sums below zero). */
MUST_CHECK int maildir_quota_parse(struct maildir_usage *usage, const struct maildir_quota *quota, struct slice text);
/* Octets that a file's name says (",S=123"), or -1. */
long long maildir_quota_size_in_name(struct slice name);
#endif
