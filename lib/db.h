/* A database for what must outlive a process and be searched: SQLite in a file, behind an interface that a server (PostgreSQL) can serve too.
 *
 * What callers keep to, so that both understand it: parameters are $1, $2 …; octets from outside are DB_OCTETS in columns of type blob; `returning`
 * instead of a last row id; no function of one database alone.  SQL is always a string literal: statements are prepared once and found again by
 * the literal's address, and no text from outside can become SQL.
 *
 * Every db_do() outside of db_begin() is a transaction of its own; when it or db_commit() has returned 0, it is on the disk.  Several processes may use
 * one file.  A handle belongs to one process: open it after fork(). */
#ifndef POSTERN_LIB_DB_H
#define POSTERN_LIB_DB_H
#include "lib/err.h"

#define DB_VALUES_MAX 24                    /* parameters or columns of one statement */
#define DB_OCTETS_MAX ((size_t)64 << 20)    /* of one value */
#define DB_BUSY_MSEC 5000                   /* longest wait for another process's transaction */

struct db;

enum db_kind { DB_NULL, DB_NUMBER, DB_TEXT, DB_OCTETS };
struct db_value {
	enum db_kind kind;
	long long number;
	struct slice octets;
};
#define DB_N(v) ((struct db_value){.kind = DB_NUMBER, .number = (v)})
#define DB_T(s) ((struct db_value){.kind = DB_TEXT, .octets = slice_str(s)})
#define DB_O(s) ((struct db_value){.kind = DB_OCTETS, .octets = (s)})
#define DB_NONE ((struct db_value){.kind = DB_NULL})

/* Open or make the database FILE.  SCHEMA[i] is the SQL (several statements, each ended by ";") that leads from version i to i + 1; those that are missing
 * are run, each in a transaction with the new version.  Waits for others at most DB_BUSY_MSEC.
 * 0; E_REFUSED: the file is of a later version than COUNT (an older program must not write it); E_TIMEOUT; E_SYS. */
MUST_CHECK int db_open(struct db **out, const char *file, const char *const *schema, int count, struct err *e);
void db_close(struct db *db); /* NULL does nothing; what is not committed is lost */

/* A transaction that may write, from the start.  0; E_TIMEOUT: another process writes; E_SYS. */
MUST_CHECK int db_begin(struct db *db, struct err *e);
/* 0; or nothing of the transaction is kept: E_TIMEOUT, E_SYS. */
MUST_CHECK int db_commit(struct db *db, struct err *e);
/* Give it up; does nothing where none is under way. */
void db_rollback(struct db *db);

/* Run one statement; *CHANGED (may be NULL) is how many rows it changed.  0, E_TIMEOUT, E_SYS (the text says what the database said). */
MUST_CHECK int db_do(struct db *db, long long *changed, const char *sql, const struct db_value *values, size_t n, struct err *e);
/* Call EACH for every row; values borrow until it returns; not 0 ends the walk, and db_each() returns it.  EACH may run other statements, not the same.
 * 0, E_TIMEOUT, E_SYS, or what EACH returned. */
typedef int db_row(void *arg, const struct db_value *column, size_t n);
MUST_CHECK int db_each(struct db *db, const char *sql, const struct db_value *values, size_t n, db_row *each, void *arg, struct err *e);
/* The one number that a statement gives, or DEF where there is no row or it is null. */
MUST_CHECK int db_number(struct db *db, long long *out, long long def, const char *sql, const struct db_value *values, size_t n, struct err *e);

#define DB_VALUES(...) (const struct db_value[]){__VA_ARGS__}, sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value)
#endif
