/* Databases: see db.h.  SQLite 3 in WAL mode with synchronous=full, so that a commit that returned is on the disk and a reader never waits for a
 * writer.  Runs as whichever user owns the file.  The file is the program's own; its content is believed as far as types go and no further. */
#include "lib/db.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define PREPARED_MAX 48

struct db {
	sqlite3 *handle;
	int count;
	struct prepared {
		const char *sql; /* the literal: its address is the key */
		sqlite3_stmt *stmt;
	} prepared[PREPARED_MAX];
};

static int fault(struct err *e, const struct db *db, const char *what)
{
	int code = sqlite3_errcode(db->handle) & 0xff;
	err_set(e, code == SQLITE_BUSY || code == SQLITE_LOCKED ? E_TIMEOUT : E_SYS, "database: %s: %s", what, sqlite3_errmsg(db->handle));
	return code == SQLITE_BUSY || code == SQLITE_LOCKED ? E_TIMEOUT : E_SYS;
}

static int run_text(struct db *db, const char *sql, struct err *e)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fault(e, db, "cannot run");
}

int db_begin(struct db *db, struct err *e)
{
	return run_text(db, "begin immediate", e);
}

void db_rollback(struct db *db)
{
	if (!sqlite3_get_autocommit(db->handle))
		(void)run_text(db, "rollback", NULL);
}

int db_commit(struct db *db, struct err *e)
{
	int rc = run_text(db, "commit", e);
	if (rc < 0)
		db_rollback(db);
	return rc;
}

static sqlite3_stmt *prepare(struct db *db, const char *sql, struct err *e)
{
	for (int i = 0; i < db->count; i++)
		if (db->prepared[i].sql == sql)
			return db->prepared[i].stmt;
	sqlite3_stmt *stmt = NULL;
	if (db->count == PREPARED_MAX)
		err_set(e, E_SYS, "database: more than %d statements", PREPARED_MAX);
	else if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL) != SQLITE_OK)
		fault(e, db, sql);
	else
		db->prepared[db->count++] = (struct prepared){sql, stmt};
	return stmt;
}

static int bind_one(sqlite3_stmt *stmt, int at, const struct db_value *v)
{
	const char *p = v->octets.p ? v->octets.p : "";
	switch (v->kind) {
	case DB_NUMBER: return sqlite3_bind_int64(stmt, at, v->number);
	case DB_TEXT: return sqlite3_bind_text64(stmt, at, p, v->octets.n, SQLITE_STATIC, SQLITE_UTF8);
	case DB_OCTETS: return sqlite3_bind_blob64(stmt, at, p, v->octets.n, SQLITE_STATIC);
	default: return sqlite3_bind_null(stmt, at);
	}
}

/* $1 is a name to SQLite, numbered as it first occurs. */
static int bind(struct db *db, sqlite3_stmt *stmt, const struct db_value *values, size_t n, struct err *e)
{
	char name[8];
	int used = sqlite3_bind_parameter_count(stmt);
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof name, "$%u", (unsigned)(i + 1) % 1000);
		int at = sqlite3_bind_parameter_index(stmt, name);
		if (at && bind_one(stmt, at, &values[i]) != SQLITE_OK)
			return fault(e, db, "a parameter");
		used -= at > 0;
	}
	return used ? err_set(e, E_SYS, "database: a parameter is missing") : 0;
}

static struct db_value column(sqlite3_stmt *stmt, int i)
{
	struct db_value v = {0};
	switch (sqlite3_column_type(stmt, i)) {
	case SQLITE_INTEGER:
		return DB_N(sqlite3_column_int64(stmt, i));
	case SQLITE_TEXT:
		v.kind = DB_TEXT;
		v.octets.p = (const char *)sqlite3_column_text(stmt, i);
		break;
	case SQLITE_BLOB:
		v.kind = DB_OCTETS;
		v.octets.p = sqlite3_column_blob(stmt, i);
		break;
	default:
		return DB_NONE;
	}
	v.octets.n = v.octets.p ? (size_t)sqlite3_column_bytes(stmt, i) : 0;
	if (!v.octets.p)
		v.octets.p = "";
	return v;
}

static int give_row(sqlite3_stmt *stmt, db_row *each, void *arg)
{
	struct db_value row[DB_VALUES_MAX];
	int n = sqlite3_column_count(stmt);
	for (int i = 0; i < n; i++)
		row[i] = column(stmt, i);
	return each ? each(arg, row, (size_t)n) : 0;
}

static int walk(struct db *db, sqlite3_stmt *stmt, db_row *each, void *arg, struct err *e)
{
	int step, rc = 0;
	while (rc == 0 && (step = sqlite3_step(stmt)) == SQLITE_ROW)
		rc = give_row(stmt, each, arg);
	return rc ? rc : step == SQLITE_DONE ? 0 : fault(e, db, "cannot go on");
}

int db_each(struct db *db, const char *sql, const struct db_value *values, size_t n, db_row *each, void *arg, struct err *e)
{
	sqlite3_stmt *stmt = prepare(db, sql, e);
	if (!stmt)
		return E_SYS;
	if (sqlite3_stmt_busy(stmt) || sqlite3_column_count(stmt) > DB_VALUES_MAX)
		return err_set(e, E_SYS, "database: a statement inside of itself, or with too many columns");
	int rc = bind(db, stmt, values, n, e);
	if (rc == 0)
		rc = walk(db, stmt, each, arg, e);
	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return rc;
}

int db_do(struct db *db, long long *changed, const char *sql, const struct db_value *values, size_t n, struct err *e)
{
	int rc = db_each(db, sql, values, n, NULL, NULL, e);
	if (rc == 0 && changed)
		*changed = sqlite3_changes64(db->handle);
	return rc;
}

static int note_number(void *arg, const struct db_value *v, size_t n)
{
	if (n && v->kind == DB_NUMBER)
		*(long long *)arg = v->number;
	return 0;
}

int db_number(struct db *db, long long *out, long long def, const char *sql, const struct db_value *values, size_t n, struct err *e)
{
	*out = def;
	return db_each(db, sql, values, n, note_number, out, e);
}

/* One step of the schema, and the version, or neither. */
static int upgrade(struct db *db, const char *sql, long long version, struct err *e)
{
	char set[64];
	snprintf(set, sizeof set, "pragma user_version = %lld", version);
	int rc = run_text(db, sql, e);
	if (rc == 0)
		rc = run_text(db, set, e);
	return rc;
}

/* Another process may be at the same: the version is read inside of the transaction. */
static int migrate(struct db *db, const char *const *schema, int count, struct err *e)
{
	long long version;
	int rc = db_begin(db, e);
	if (rc == 0)
		rc = db_number(db, &version, 0, "pragma user_version", NULL, 0, e);
	if (rc == 0 && (version < 0 || version > count))
		rc = err_set(e, E_REFUSED, "the database has version %lld, this program knows up to %d; start the newer program", version, count);
	for (; rc == 0 && version < count; version++)
		rc = upgrade(db, schema[version], version + 1, e);
	if (rc == 0)
		return db_commit(db, e);
	db_rollback(db);
	return rc;
}

static int note_wal(void *arg, const struct db_value *v, size_t n)
{
	*(bool *)arg = n && slice_case_eq_str(v->octets, "wal");
	return 0;
}

static int settings(struct db *db, struct err *e)
{
	bool wal = false;
	sqlite3_busy_timeout(db->handle, DB_BUSY_MSEC);
	sqlite3_limit(db->handle, SQLITE_LIMIT_LENGTH, (int)DB_OCTETS_MAX);
	sqlite3_limit(db->handle, SQLITE_LIMIT_ATTACHED, 0);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	int rc = db_each(db, "pragma journal_mode = wal", NULL, 0, note_wal, &wal, e);
	if (rc == 0 && !wal)
		rc = err_set(e, E_SYS, "database: the file system does not allow a write-ahead log");
	return rc ? rc : run_text(db, "pragma synchronous = full; pragma foreign_keys = on; pragma temp_store = memory; pragma secure_delete = on", e);
}

int db_open(struct db **out, const char *file, const char *const *schema, int count, struct err *e)
{
	struct db *db = calloc(1, sizeof *db);
	if (!db)
		return err_set(e, E_SYS, "no memory");
	int rc = 0;
	if (sqlite3_open_v2(file, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK)
		rc = db->handle ? fault(e, db, file) : err_set(e, E_SYS, "no memory");
	if (rc == 0)
		rc = settings(db, e);
	if (rc == 0)
		rc = migrate(db, schema, count, e);
	if (rc < 0)
		db_close(db);
	*out = rc < 0 ? NULL : db;
	return rc;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	for (int i = 0; i < db->count; i++)
		sqlite3_finalize(db->prepared[i].stmt);
	sqlite3_close(db->handle);
	free(db);
}
