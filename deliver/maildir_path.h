/* Finding and making the folder of a Maildir without trusting any folder on the way. */
#ifndef POSTERN_DELIVER_MAILDIR_PATH_H
#define POSTERN_DELIVER_MAILDIR_PATH_H
#include "deliver/local_user.h"

#define MAILDIR_PATH_MAX 4000

/* Where a Maildir is to be. */
struct maildir_place {
	const char *path;       /* absolute, maildir_path_check() passed */
	const char *base;       /* STATE/mail: people's folders in it are made by the worker and given to them */
	struct local_user user; /* delivers; owns the Maildir */
};

/* Absolute, at least two names, none of them empty, "." or "..", at most MAILDIR_PATH_MAX octets.  0 or E_SYNTAX. */
MUST_CHECK int maildir_path_check(const char *path, struct err *e);
/* Open the folder PATH for reading as the file-system user.  Symbolic links on the way are followed only when they belong to root or to
 * TRUSTED: another user's link could lead one person's mail into another's Maildir.
 * The descriptor; E_NOT_FOUND (some part does not exist), E_REFUSED (a foreign link), E_SYS. */
int maildir_path_open(const char *path, uid_t trusted, struct err *e);
/* The same, making what is missing with mode 0700 as the user (the first folder below .base: by the worker, then given to
 * the user).  *MADE tells whether anything was. */
int maildir_path_make(bool *made, const struct maildir_place *place, struct err *e);
#endif
