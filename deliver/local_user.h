/* Whose files the worker touches.  Only the file-system user changes (setfsuid): the worker itself stays postern-mail, so the
 * user whose mail it writes can neither signal nor trace it. */
#ifndef POSTERN_DELIVER_LOCAL_USER_H
#define POSTERN_DELIVER_LOCAL_USER_H
#include <stdbool.h>
#include <sys/types.h>

#include "lib/err.h"

#define LOCAL_UID_LEAST 100 /* the directory never makes mail be delivered as a system's user (qmail-ldap: ldapuid) */

struct local_user {
	uid_t uid;
	gid_t gid;
};

/* Learn who the worker is and whether it may become others (CAP_SETUID and CAP_SETGID).  Call once, confined.
 * E_REFUSED when it runs as root: then nothing would hold it back. */
MUST_CHECK int local_user_start(struct err *e);
const struct local_user *local_user_self(void);
bool local_user_can_switch(void);
/* The user to deliver as for the directory's numbers (-1: not given): the worker's own without UID or where it may not switch.
 * 0, or E_REFUSED for a number below LOCAL_UID_LEAST. */
MUST_CHECK int local_user_for(struct local_user *out, long long uid, long long gid, struct err *e);
/* Touch files as U from now on.  0, or E_SYS (then as before or as the worker itself). */
MUST_CHECK int local_user_become(const struct local_user *u, struct err *e);
#endif
