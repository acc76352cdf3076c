/* The memory goes into the database and comes back whole; damage, another build's columns, pages and order of batches. */
#include "skim/skimdb.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "skim/desk.h"
#include "skim/skimdb_user.h"
#include "tests/unit/unit.h"

static struct skim_config cfg;
static struct control control = {.dir = "ctl"};
static char folder[40], file[80];

static struct engine fresh(void)
{
	return (struct engine){.cfg = &cfg, .history = history_make(1000)};
}

static void start(void)
{
	struct err e;
	ck_assert_int_eq(config_read(&cfg, &control, &e), 0);
	snprintf(folder, sizeof folder, "/tmp/postern-skim-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(file, sizeof file, "%s/history.db", folder);
}

static void stop(void)
{
	char command[100];
	for (int i = 0; i < 3; i++) {
		snprintf(command, sizeof command, "%s%s", file, ((const char *[]){"", "-wal", "-shm"})[i]);
		unlink(command);
	}
	rmdir(folder);
	config_free(&cfg);
}

static void event(struct engine *g, struct decision *d, const char *user, int64_t time, long unknown)
{
	struct skim_event ev = {.send = true, .success = true, .user = slice_str(user), .ip = slice_str("192.0.2.1"), .time = time, .recipients = 300, .external = 300,
		.unknown_recipients = unknown, .new_recipients = EVENT_NONE, .size = EVENT_NONE, .swept = EVENT_NONE, .client = slice_str("Thunderbird"),
		.body_hash = slice_str("abc"), .mail_from = slice_str(user), .url_host = slice_str("x.test"), .reply_to = slice_str("y@x.test")};
	engine_judge(d, g, &ev);
}

static struct db *open_db(void)
{
	struct db *db;
	struct err e;
	int rc = skimdb_open(&db, file, &e);
	ck_assert_msg(rc == 0, "%s", e.text);
	return db;
}

static void write_to(struct db *db, struct engine *g)
{
	struct buf b = BUF_INIT(1 << 26);
	struct err e;
	skimdb_collect(&b, g, SIZE_MAX, SIZE_MAX);
	ck_assert(b.n && !b.overflow && !history_changed(g->history));
	ck_assert_int_eq(skimdb_write(db, buf_slice(&b), &e), 0);
	buf_free(&b);
}

static void same(const struct engine *g, const struct engine *h, const char *name)
{
	const struct user *u = history_user(g->history, slice_str(name), false), *v = history_user(h->history, slice_str(name), false);
	struct buf a = BUF_INIT(SKIMDB_USER_MAX), b = BUF_INIT(SKIMDB_USER_MAX);
	int families;
	ck_assert(u && v);
	skimdb_user_encode(&a, u);
	skimdb_user_encode(&b, v);
	ck_assert(slice_eq(buf_slice(&a), buf_slice(&b)));
	ck_assert_int_eq(engine_score(g, u, g->clock, &families), engine_score(h, v, g->clock, &families));
	buf_free(&a);
	buf_free(&b);
}

START_TEST(round_trip)
{
	struct engine g = fresh(), h = fresh();
	struct decision d, after;
	struct db *db = open_db();
	struct err e;
	unsigned bad;
	history_keep(g.history, NULL);
	for (int i = 0; i < 50; i++) {
		char name[20];
		snprintf(name, sizeof name, "user%d", i);
		event(&g, &d, name, 1000000 + i, i);
	}
	ck_assert_int_eq(desk_flag(NULL, &g, slice_str("user3"), true, slice_str("told \xc3\xbcs"), 1000, 1000100, &e), 0);
	ck_assert_int_eq(desk_travel(NULL, &g, slice_str("user4"), slice_str("JP,KR"), slice_str("2030-01-01"), 1000100, &e), 0);
	write_to(db, &g);
	ck_assert_int_eq(skimdb_load(&h, db, &bad, &e), 0);
	ck_assert_uint_eq(bad, 0);
	ck_assert_uint_eq(history_count(h.history), 50);
	ck_assert_int_eq(h.clock, g.clock);
	for (int i = 0; i < 50; i++) {
		char name[20];
		snprintf(name, sizeof name, "user%d", i);
		same(&g, &h, name);
	}
	ck_assert_str_eq(history_user(h.history, slice_str("user3"), false)->mark->why, "told \xc3\xbcs");
	event(&g, &d, "user20", 1000100, 30);
	event(&h, &after, "user20", 1000100, 30);
	ck_assert_str_eq(d.why, after.why);
	/* the tables of all: who wrote to whom is known again */
	const struct user *u = history_user(g.history, slice_str("user1"), false), *v = history_user(h.history, slice_str("user1"), false);
	ck_assert(history_new_recipient(g.history, u, slice_str("a@b")) && history_new_recipient(h.history, v, slice_str("a@b")));
	write_to(db, &h);
	struct engine k = fresh();
	ck_assert_int_eq(skimdb_load(&k, db, &bad, &e), 0);
	ck_assert(!history_new_recipient(k.history, history_user(k.history, slice_str("user1"), false), slice_str("a@b")));
	history_free(g.history);
	history_free(h.history);
	history_free(k.history);
	db_close(db);
}
END_TEST

/* What is evicted or too old goes from the database too; flagged users stay. */
START_TEST(forgotten)
{
	struct engine g = fresh(), h = fresh();
	struct decision d;
	struct db *db = open_db();
	struct err e;
	unsigned bad;
	history_keep(g.history, NULL);
	event(&g, &d, "old", DAY, 0);
	event(&g, &d, "older", DAY, 0);
	event(&g, &d, "new", 500 * DAY, 0);
	ck_assert_int_eq(desk_flag(NULL, &g, slice_str("older"), false, slice_str("x"), 0, 2 * DAY, &e), 0);
	/* a first mass mailing leaves points; time takes them */
	size_t at = 0;
	for (struct user *u; (u = history_each(g.history, &at));)
		engine_settle(&g, u, 499 * DAY);
	write_to(db, &g);
	skimdb_prune(&g, 500 * DAY);
	ck_assert_ptr_null(history_user(g.history, slice_str("old"), false));
	write_to(db, &g);
	ck_assert_int_eq(skimdb_load(&h, db, &bad, &e), 0);
	ck_assert_uint_eq(history_count(h.history), 2);
	ck_assert_ptr_nonnull(history_user(h.history, slice_str("older"), false));
	history_free(g.history);
	history_free(h.history);
	db_close(db);
}
END_TEST

START_TEST(full_table)
{
	struct engine g = fresh(), h = fresh();
	struct decision d;
	struct db *db = open_db();
	struct err e;
	unsigned bad;
	history_keep(g.history, NULL);
	for (int i = 0; i < 3000; i++) {
		char name[20];
		snprintf(name, sizeof name, "user%d", i);
		event(&g, &d, name, 1000000 + i, 0);
		if (i % 700 == 0)
			write_to(db, &g);
	}
	write_to(db, &g);
	ck_assert_int_eq(skimdb_load(&h, db, &bad, &e), 0);
	ck_assert_uint_eq(history_count(g.history), 1000);
	ck_assert_uint_eq(history_count(h.history), 1000);
	size_t at = 0;
	for (struct user *u; (u = history_each(g.history, &at));)
		ck_assert_ptr_nonnull(history_user(h.history, slice_make(u->name, u->name_n), false));
	history_free(g.history);
	history_free(h.history);
	db_close(db);
}
END_TEST

/* A user of another build: columns that it did not have are 0, those that this one does not know are left out. */
START_TEST(other_build)
{
	struct user *u = skimdb_user_decode(slice_str("anna"), slice_make("\x02\x02\xc8\x01\x79\x03\x01\x02\x03\x03\x01\x07", 12));
	ck_assert_ptr_nonnull(u);
	ck_assert_int_eq(u->last, 100);
	ck_assert_uint_eq(u->logins_total, 7);
	ck_assert_int_eq(u->first, 0);
	history_user_free(u);
}
END_TEST

static const struct {
	const char *spec, *data;
	size_t n;
} bad_users[] = {
	{"cut off in a length", "\x02", 1}, {"longer than it is", "\x02\x05\x01", 3}, {"a number that does not end", "\x02\x01\xff", 3},
	{"a state that there is not", "\x07\x01\x06", 3}, {"too many numbers", "\x02\x02\x01\x01", 4}, {"a number too large for its field", "\x1e\x06\xff\xff\xff\xff\xff\x01", 8},
	{"more logins than there may be", "\x25\x01\x19", 3}, {"logins without a count", "\x32\x01\x02", 3}, {"neither yes nor no", "\x0b\x01\x02", 3},
	{"a time beyond reckoning", "\x02\x07\xff\xff\xff\xff\xff\xff\x7f", 9}, {"a count changed afterwards", "\x25\x01\x01\x32\x01\x02\x25\x01\x02", 9},
	{"a hit with a long name", "\x64\x03\x28" "AB", 5}, {"a mark cut off", "\x65\x01\x02", 3},
};

START_TEST(damaged_user)
{
	ck_assert_msg(!skimdb_user_decode(slice_str("anna"), slice_make(bad_users[_i].data, bad_users[_i].n)), "%s", bad_users[_i].spec);
}
END_TEST

/* Octets cut off or changed anywhere: a user or none, nothing else. */
START_TEST(damaged_anywhere)
{
	struct engine g = fresh();
	struct decision d;
	struct buf b = BUF_INIT(SKIMDB_USER_MAX);
	for (int i = 0; i < 30; i++)
		event(&g, &d, "anna", 1000000 + i * 1000, 30);
	skimdb_user_encode(&b, history_user(g.history, slice_str("anna"), false));
	for (size_t n = 0; n < b.n; n++) {
		char *copy = malloc(b.n);
		memcpy(copy, b.p, b.n);
		copy[n] = (char)(copy[n] ^ (int)(1 + n % 255));
		struct user *u = skimdb_user_decode(slice_str("anna"), slice_make(copy, b.n)), *v = skimdb_user_decode(slice_str("anna"), slice_make(b.p, n));
		if (u)
			history_user_free(u);
		if (v)
			history_user_free(v);
		free(copy);
	}
	history_free(g.history);
	buf_free(&b);
}
END_TEST

START_TEST(damaged_batch)
{
	static const char *const bad[] = {"1:u,", "1:u,4:anna,1:x,1:y,", "1:u,4:anna,1:1,", "1:p,", "garbage"};
	struct db *db = open_db();
	struct err e;
	long long n;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char text[100];
		snprintf(text, sizeof text, "1:u,4:bert,1:1,0:,%s", bad[i]);
		ck_assert_int_eq(skimdb_write(db, slice_str(text), &e), E_SYNTAX);
	}
	ck_assert_int_eq(db_number(db, &n, -1, "select count(*) from user", NULL, 0, &e), 0);
	ck_assert_int_eq(n, 0);
	db_close(db);
}
END_TEST

/* One process after the other, each reading only what it needs. */
START_TEST(one_event_a_process)
{
	struct db *db = open_db();
	struct engine whole = fresh();
	struct decision a, b = {0};
	struct err e;
	for (int i = 0; i < 20; i++) {
		struct skimdb_source s;
		struct engine g = fresh();
		const char *name = i % 3 ? "anna" : "bert";
		ck_assert_int_eq(skimdb_begin(&s, &g, db, &e), 0);
		event(&g, &b, name, 1000000 + i * 100, i % 5 * 10);
		event(&whole, &a, name, 1000000 + i * 100, i % 5 * 10);
		ck_assert_int_eq(a.action, b.action);
		ck_assert_int_eq(a.score, b.score);
		ck_assert_str_eq(a.why, b.why);
		ck_assert_int_eq(skimdb_end(&s, &g, &e), 0);
		history_free(g.history);
	}
	ck_assert_int_ge(b.action, ACTION_HOLD);
	history_free(whole.history);
	db_close(db);
}
END_TEST

START_TEST(writer)
{
	struct engine g = fresh(), h = fresh();
	struct skimdb_writer *w;
	struct decision d;
	struct err e;
	unsigned bad;
	ck_assert_int_eq(skimdb_writer_start(&w, open_db(), &e), 0);
	history_keep(g.history, NULL);
	for (int i = 0; i < 900; i++) {
		char name[20];
		snprintf(name, sizeof name, "user%d", i);
		event(&g, &d, name, 1000000 + i, 0);
		if (i % 100 == 0)
			skimdb_writer_tick(w, &g);
	}
	ck_assert(skimdb_writer_stop(w, &g, 10000));
	struct db *db = open_db();
	ck_assert_int_eq(skimdb_load(&h, db, &bad, &e), 0);
	ck_assert_uint_eq(history_count(h.history), 900);
	for (int i = 0; i < 900; i++) {
		char name[20];
		snprintf(name, sizeof name, "user%d", i);
		same(&g, &h, name);
	}
	history_free(g.history);
	history_free(h.history);
	db_close(db);
}
END_TEST

UNIT_MAIN("skim/skimdb", tcase_add_checked_fixture(t, start, stop); tcase_add_test(t, round_trip); tcase_add_test(t, forgotten); tcase_add_test(t, full_table);
	tcase_add_test(t, other_build); tcase_add_loop_test(t, damaged_user, 0, sizeof bad_users / sizeof *bad_users); tcase_add_test(t, damaged_anywhere);
	tcase_add_test(t, damaged_batch); tcase_add_test(t, one_event_a_process); tcase_add_test(t, writer);)
