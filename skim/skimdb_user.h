/* One user's memory as octets that outlive a build: tagged columns of numbers, so that a field may come or go.  postern-skim(5), HISTORY. */
#ifndef POSTERN_SKIM_SKIMDB_USER_H
#define POSTERN_SKIM_SKIMDB_USER_H
#include "skim/history.h"

#define SKIMDB_USER_MAX ((size_t)65536)

/* Append U to B (check .overflow); its name is not part of it. */
void skimdb_user_encode(struct buf *b, const struct user *u);
/* A fresh user NAME of DATA, for history_put() or history_user_free(); NULL: damaged, or no memory.  Columns that this build does not know are left out,
 * those that are missing are 0. */
struct user *skimdb_user_decode(struct slice name, struct slice data);
#endif
