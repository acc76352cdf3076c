/* The layer over the database: what is kept, what is not, faults, two processes, kills. */
#include "lib/db.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static const char *const schema[] = {
	"create table t (n bigint primary key, name text, data blob);",
	"create table u (n bigint references t on delete cascade); create index u_n on u (n);",
	"create table v (broken",
};
static char folder[64], file[96];

static void make_folder(void)
{
	snprintf(folder, sizeof folder, "/tmp/postern-db-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(file, sizeof file, "%s/x.sqlite", folder);
}

static void remove_folder(void)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	for (int i = 0; i < 3; i++) {
		char path[128];
		snprintf(path, sizeof path, "%s%s", file, ends[i]);
		unlink(path);
	}
	ck_assert_int_eq(rmdir(folder), 0);
}

static struct db *must_open(int count)
{
	struct db *db;
	struct err e = {0};
	ck_assert_msg(db_open(&db, file, schema, count, &e) == 0, "%s", e.text);
	return db;
}

static long long number(struct db *db, const char *sql)
{
	long long v;
	ck_assert_int_eq(db_number(db, &v, -7, sql, NULL, 0, NULL), 0);
	return v;
}

static int check_row(void *arg, const struct db_value *v, size_t n)
{
	ck_assert_uint_eq(n, 4);
	ck_assert(v[0].kind == DB_NUMBER && v[0].number == -5);
	ck_assert(v[1].kind == DB_TEXT && slice_eq_str(v[1].octets, "'; drop table t; --"));
	ck_assert(v[2].kind == DB_OCTETS && slice_eq(v[2].octets, slice_make("a\0b\xff", 4)));
	ck_assert(v[3].kind == DB_NULL);
	++*(int *)arg;
	return 0;
}

START_TEST(values)
{
	make_folder();
	struct db *db = must_open(1);
	int rows = 0;
	long long changed;
	/* The order of the numbers is not that of their places. */
	ck_assert_int_eq(db_do(db, &changed, "insert into t (data, n, name) values ($3, $1, $2)",
		DB_VALUES(DB_N(-5), DB_T("'; drop table t; --"), DB_O(slice_make("a\0b\xff", 4))), NULL), 0);
	ck_assert_int_eq(changed, 1);
	ck_assert_int_eq(db_each(db, "select n, name, data, null from t where $1 = $1 and n = $2", DB_VALUES(DB_NONE, DB_N(-5)), check_row, &rows, NULL), 0);
	ck_assert_int_eq(rows, 0);
	ck_assert_int_eq(db_each(db, "select n, name, data, null from t where n = $1", DB_VALUES(DB_N(-5)), check_row, &rows, NULL), 0);
	ck_assert_int_eq(rows, 1);
	ck_assert_int_eq(number(db, "select n from t where n = 9"), -7);
	db_close(db);
	remove_folder();
}
END_TEST

static int stop_at_three(void *arg, const struct db_value *v, size_t n)
{
	(void)n;
	*(long long *)arg = v->number;
	return v->number == 3 ? 33 : 0;
}

static int same_again(void *arg, const struct db_value *v, size_t n)
{
	struct err e;
	(void)v;
	(void)n;
	return db_each(arg, "select n from t", NULL, 0, NULL, NULL, &e);
}

START_TEST(faults)
{
	struct err e = {0};
	long long last = 0;
	make_folder();
	struct db *db = must_open(1), *other;
	for (int i = 1; i <= 5; i++)
		ck_assert_int_eq(db_do(db, NULL, "insert into t (n) values ($1)", DB_VALUES(DB_N(i)), &e), 0);
	ck_assert_int_eq(db_do(db, NULL, "insert into t (n) values ($1)", DB_VALUES(DB_N(3)), &e), E_SYS);
	ck_assert_msg(strstr(e.text, "UNIQUE"), "%s", e.text);
	ck_assert_int_eq(db_do(db, NULL, "insert into t (n) values ($1)", NULL, 0, &e), E_SYS);
	ck_assert_msg(strstr(e.text, "missing"), "%s", e.text);
	ck_assert_int_eq(db_do(db, NULL, "insert into nothing values (1)", NULL, 0, &e), E_SYS);
	ck_assert_int_eq(db_each(db, "select n from t order by n", NULL, 0, stop_at_three, &last, &e), 33);
	ck_assert_int_eq(last, 3);
	ck_assert_int_eq(db_each(db, "select n from t", NULL, 0, same_again, db, &e), E_SYS);
	/* A file of a later version, no folder, no database, a schema that fails. */
	db_close(db);
	db = must_open(2);
	db_close(db);
	ck_assert_int_eq(db_open(&other, file, schema, 1, &e), E_REFUSED);
	ck_assert_int_eq(db_open(&other, "/nonexistent/x", schema, 1, &e), E_SYS);
	ck_assert_int_eq(db_open(&other, file, schema, 3, &e), E_SYS);
	db = must_open(2);
	ck_assert_int_eq(number(db, "pragma user_version"), 2);
	ck_assert_int_eq(number(db, "select count(*) from t"), 5);
	db_close(db);
	remove_folder();
	make_folder();
	FILE *f = fopen(file, "w");
	for (int i = 0; i < 500; i++)
		fputs("this is no database ", f);
	fclose(f);
	ck_assert_int_eq(db_open(&other, file, schema, 1, &e), E_SYS);
	remove_folder();
}
END_TEST

START_TEST(transactions)
{
	struct err e = {0};
	make_folder();
	struct db *db = must_open(2), *other = must_open(2);
	ck_assert_int_eq(db_begin(db, &e), 0);
	ck_assert_int_eq(db_do(db, NULL, "insert into t (n) values (1)", NULL, 0, &e), 0);
	ck_assert_int_eq(number(other, "select count(*) from t"), 0); /* and does not wait */
	db_rollback(db);
	db_rollback(db);
	ck_assert_int_eq(number(db, "select count(*) from t"), 0);
	ck_assert_int_eq(db_begin(db, &e), 0);
	ck_assert_int_eq(db_do(db, NULL, "insert into t (n) values (1)", NULL, 0, &e), 0);
	ck_assert_int_eq(db_do(db, NULL, "insert into u (n) values (1)", NULL, 0, &e), 0);
	ck_assert_int_eq(db_commit(db, &e), 0);
	ck_assert_int_eq(number(other, "select count(*) from u"), 1);
	ck_assert_int_eq(db_do(db, NULL, "delete from t", NULL, 0, &e), 0);
	ck_assert_int_eq(number(other, "select count(*) from u"), 0);
	ck_assert_int_eq(db_do(db, NULL, "insert into u (n) values (8)", NULL, 0, &e), E_SYS);
	/* Another process in the middle of a transaction: a wait, then an error that says so. */
	ck_assert_int_eq(db_begin(other, &e), 0);
	ck_assert_int_eq(db_begin(db, &e), E_TIMEOUT);
	db_close(other);
	ck_assert_int_eq(db_begin(db, &e), 0);
	db_close(db);
	remove_folder();
}
END_TEST

/* Killed at any moment: each transaction is there whole or not at all, and what was acknowledged is there. */
START_TEST(killed)
{
	volatile long long *acked = mmap(NULL, sizeof *acked, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	make_folder();
	db_close(must_open(2));
	*acked = -7; /* as number() says of an empty table: a child may be killed before its first commit */
	for (int round = 0; round < 15 || (*acked <= 20 && round < 150); round++) {
		pid_t pid = fork();
		if (pid == 0) {
			struct db *db = must_open(2);
			for (long long n = number(db, "select max(n) from t") + 1;; n++) {
				if (n < 0)
					n = 0;
				if (db_begin(db, NULL) < 0 || db_do(db, NULL, "insert into t (n) values ($1)", DB_VALUES(DB_N(n)), NULL) < 0 ||
				    db_do(db, NULL, "insert into u (n) values ($1)", DB_VALUES(DB_N(n)), NULL) < 0 || db_commit(db, NULL) < 0)
					_exit(1);
				*acked = n;
			}
		}
		usleep(10000 + 7000 * (unsigned)(round % 15));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		struct db *db = must_open(2);
		long long most = number(db, "select max(n) from t");
		ck_assert_int_ge(most, *acked);
		ck_assert_int_eq(number(db, "select count(*) from t"), most < 0 ? 0 : most + 1);
		ck_assert_int_eq(number(db, "select count(*) from u"), number(db, "select count(*) from t"));
		db_close(db);
	}
	ck_assert_int_gt(*acked, 20);
	remove_folder();
}
END_TEST

UNIT_MAIN("db", tcase_add_test(t, values); tcase_add_test(t, faults); tcase_add_test(t, transactions); tcase_add_test(t, killed);)
