/* The memory of users in a file, so that it outlives a restart; and the list of flagged users for `postern skim list`. */
#ifndef POSTERN_SKIM_SNAPSHOT_H
#define POSTERN_SKIM_SNAPSHOT_H
#include "skim/rules.h"

/* Write all that G remembers into FOLDER/memory, by way of FOLDER/memory.new: the old one stays whole until the new one is durable.  0 or E_SYS. */
MUST_CHECK int snapshot_write(const struct engine *g, int folder, struct err *e);
/* Read it back into a fresh G.  0; E_NOT_FOUND; E_SYNTAX (another version's, or damaged: nothing is taken over past the damage), E_SYS. */
MUST_CHECK int snapshot_read(struct engine *g, int folder, struct err *e);
/* FOLDER/flags: one JSON object a line for each user whose state is not free: user, state, since, score, rules, why, code.  0 or E_SYS. */
MUST_CHECK int flags_write(const struct engine *g, int folder, struct err *e);
/* One of these lines, without its end. */
void flag_json(struct buf *b, const struct engine *g, const struct user *u, int64_t now);
#endif
