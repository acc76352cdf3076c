/* Confinement of the calling process: the steps of program_confine(), each for itself, so that tests and `postern privileges` can use them.
 * All of them block on local files at most.  None can be undone. */
#ifndef POSTERN_LIB_CONFINE_H
#define POSTERN_LIB_CONFINE_H
#include <linux/filter.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "supervise/graph.h"

/* User and group id of NAME in /etc/passwd (no name service is asked: a program's own user is a local one).
 * 0, E_NOT_FOUND, E_SYS. */
MUST_CHECK int confine_user(uid_t *uid, gid_t *gid, const char *name, struct err *e);

/* Resource limits of ROW; OWN_USER false (not started as root): the limit of processes, which counts all of the user's, is left out, and no limit
 * rises over what the process was given.  0 or E_SYS. */
MUST_CHECK int confine_limits(const struct graph_row *row, bool own_user, struct err *e);
MUST_CHECK int confine_root(const char *folder, struct err *e); /* chroot; 0 or E_SYS */
/* From root to UID, GID, no other groups, with just CAPABILITIES (bits) permitted and effective, none to be had by exec; the secure bits are
 * locked.  0 or E_SYS. */
MUST_CHECK int confine_identity(uid_t uid, gid_t gid, unsigned long capabilities, struct err *e);
/* no-new-privileges, not dumpable (so not traceable by its own user), no new executable memory unless MAKES_CODE or the kernel has no
 * such thing, dies with its parent.  0 or E_SYS. */
MUST_CHECK int confine_process(bool makes_code, struct err *e);
/* Can the running kernel refuse memory that becomes executable (Linux 6.3)? */
bool confine_mdwe(void);

/* Landlock.  Its version in the running kernel, 0: none, or version 1 (Linux 5.13 to 5.18), under which no Maildir could be delivered to. */
int landlock_abi(void);
struct landlock {
	int fd; /* -1: the kernel has none */
	int abi;
};
/* Begin: no path, no TCP connection (unless TCP_CONNECT), no TCP listening may be opened any more; and from version 6 on no signal to, and no abstract
 * socket of, a process outside.  0 (with fd -1 where the kernel has no Landlock) or E_SYS. */
MUST_CHECK int landlock_begin(struct landlock *l, bool tcp_connect, struct err *e);
/* Allow RULE, "r:PATH" or "w:PATH".  PATH must not end where there is nothing: E_NOT_FOUND; E_SYS. */
MUST_CHECK int landlock_allow(struct landlock *l, const char *rule, struct err *e);
/* Needs no-new-privileges.  0 or E_SYS. */
MUST_CHECK int landlock_enforce(struct landlock *l, struct err *e);

/* seccomp.  A violation ends the process by SIGSYS after one line `syscall-refused NUMBER` on descriptor 2, from which the supervisor logs the name. */
#define FILTER_INSTRUCTIONS_MAX 2048
struct filter {
	struct sock_filter code[FILTER_INSTRUCTIONS_MAX];
	unsigned short n;
};
/* The program for the lists (each NULL-ended) together.  0; E_REFUSED for a call that no program may have; E_NOT_FOUND for one that libseccomp
 * does not know; E_TOO_LONG, E_SYS. */
MUST_CHECK int filter_build(struct filter *f, const char *const *const *lists, size_t count, struct err *e);
/* The program for rows that run programs of the host: all calls but those that no program may have (these fail with EPERM), execve allowed.  0 or E_SYS. */
MUST_CHECK int filter_build_open(struct filter *f, struct err *e);
/* From now on, for this process and its children.  Needs no-new-privileges.  Async-signal-safe.  0 or E_SYS. */
MUST_CHECK int filter_apply(const struct filter *f, struct err *e);
/* Installs the handler that names the refused call; filter_build()'s filters keep it from being replaced.  0 or E_SYS. */
MUST_CHECK int filter_handler(struct err *e);
/* May no program have this call, whatever its row says? */
bool filter_forbidden(const char *syscall);
/* The call's name, for people; NULL: unknown.  The string is the caller's to free. */
char *filter_call_name(int number);
#endif
