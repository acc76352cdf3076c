/* What must stand on disk before anything starts: users, the state folder and the folders in it, one lock. */
#ifndef POSTERN_SUPERVISE_FOLDERS_H
#define POSTERN_SUPERVISE_FOLDERS_H
#include <stddef.h>

#include "lib/err.h"

/* As root: create the users of the graph that are missing, with useradd(8).  0, or E_SYS with what to do. */
MUST_CHECK int folders_users(struct err *e);
/* Create STATE (its absolute name into PATH of SIZE octets) and its folders with their owners and modes; as root, check that programs' users can
 * reach it.  0, E_SYS, E_REFUSED, E_TOO_LONG. */
MUST_CHECK int folders_make(char *path, size_t size, const char *state, struct err *e);
/* Take the lock STATE/lock, for as long as this process lives.  The descriptor (keep it), or E_REFUSED when another supervisor has it; E_SYS. */
int folders_lock(const char *state, struct err *e);
#endif
