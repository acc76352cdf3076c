/* The memory of the detection in a database (lib/db: SQLite in STATE/skim/history.db), so that it outlives restarts, kills and upgrades.  The working set stays
 * in memory; what changed goes to the database in batches, by a thread, so that mail never waits for a disk.  postern-skim(5), HISTORY. */
#ifndef POSTERN_SKIM_SKIMDB_H
#define POSTERN_SKIM_SKIMDB_H
#include "lib/db.h"
#include "skim/rules.h"

/* Open or make FILE.  0; E_REFUSED: a later program's; E_TIMEOUT, E_SYS (with a damaged file too). */
MUST_CHECK int skimdb_open(struct db **out, const char *file, struct err *e);
/* Read all into a fresh G, the latest users first; from now on G notes what changes.  *BAD: users that were damaged and are left out.  0, E_TIMEOUT, E_SYS. */
MUST_CHECK int skimdb_load(struct engine *g, struct db *db, unsigned *bad, struct err *e);

/* What changed since the last time, at most USERS of them and PAGES, into B (emptied before; its max is the limit) for skimdb_write(). */
void skimdb_collect(struct buf *b, struct engine *g, size_t users, size_t pages);
/* One transaction.  0, or nothing of it is kept: E_TIMEOUT, E_SYS, E_SYNTAX. */
MUST_CHECK int skimdb_write(struct db *db, struct slice batch, struct err *e);
/* Remove users that were not seen for [score] remember days and are free, from memory and so from the database.  Once a day. */
void skimdb_prune(struct engine *g, int64_t now);

/* For a process that judges one event: begin a transaction, and read what is asked for when it is asked for.  SOURCE must outlive G's history.  Ends with
 * skimdb_end(), which writes what changed. */
struct skimdb_source {
	struct db *db;
	struct history_source source;
};
MUST_CHECK int skimdb_begin(struct skimdb_source *s, struct engine *g, struct db *db, struct err *e);
MUST_CHECK int skimdb_end(struct skimdb_source *s, struct engine *g, struct err *e);

/* The thread that writes.  0 or E_SYS. */
struct skimdb_writer;
MUST_CHECK int skimdb_writer_start(struct skimdb_writer **out, struct db *db, struct err *e);
/* Hand over what changed, if the batch before is written; never waits.  True: something is still under way or left. */
bool skimdb_writer_tick(struct skimdb_writer *w, struct engine *g);
/* Write all, wait for it (at most MSEC), end the thread, close the database.  False: not all was written. */
bool skimdb_writer_stop(struct skimdb_writer *w, struct engine *g, int64_t msec);
#endif
