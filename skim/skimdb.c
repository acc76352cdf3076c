/* The database of the memory: see skimdb.h.  Runs as postern-skim, or as the user of an existing qmail's queue (postern-skim --filter).  The file is our own, but
 * damaged perhaps: rows that make no sense are left out, and the detection learns those users anew. */
#include "skim/skimdb.h"

#include <limits.h>

#include "lib/netstring.h"
#include "skim/skimdb_user.h"

#define BATCH_MAX ((size_t)256 << 20)

static const char *const schema[] = {
	"create table user (name blob primary key, last integer not null, data blob not null) without rowid;"
	"create table page (region text not null, number integer not null, data blob not null, primary key (region, number)) without rowid;",
};

int skimdb_open(struct db **out, const char *file, struct err *e)
{
	return db_open(out, file, schema, sizeof schema / sizeof *schema, e);
}

struct loading {
	struct engine *g;
	unsigned bad;
	bool full;
};

static int load_page(void *arg, const struct db_value *v, size_t n)
{
	struct loading *l = arg;
	(void)n;
	(void)history_page_put(l->g->history, v[0].octets, v[1].number, v[2].octets); /* of another layout: left out */
	return 0;
}

static int load_user(void *arg, const struct db_value *v, size_t n)
{
	struct loading *l = arg;
	struct user *u = n == 2 ? skimdb_user_decode(v[0].octets, v[1].octets) : NULL;
	if (!u || !history_put(l->g->history, u)) {
		l->bad += !u;
		if (u)
			history_user_free(u);
	}
	return 0;
}

static void take_misc(struct engine *g)
{
	const struct history_misc *m = history_misc(g->history, false);
	g->clock = m->clock, g->lock_day = m->lock_day, g->locks = (long)m->locks;
}

int skimdb_load(struct engine *g, struct db *db, unsigned *bad, struct err *e)
{
	struct loading l = {.g = g};
	int rc = db_each(db, "select region, number, data from page", NULL, 0, load_page, &l, e);
	if (rc == 0)
		rc = db_each(db, "select name, data from user order by last desc limit $1", DB_VALUES(DB_N(config_number(g->cfg, N_users))), load_user, &l, e);
	if (rc == 0)
		rc = db_do(db, NULL, "delete from user where name in (select name from user order by last desc limit -1 offset $1)",
			DB_VALUES(DB_N(config_number(g->cfg, N_users))), e);
	take_misc(g);
	*bad = l.bad;
	history_keep(g->history, NULL);
	return rc;
}

static void put_misc(struct engine *g)
{
	struct history_misc *m = history_misc(g->history, true);
	m->clock = g->clock, m->lock_day = g->lock_day, m->locks = g->locks;
}

void skimdb_collect(struct buf *b, struct engine *g, size_t users, size_t pages)
{
	struct buf data = BUF_INIT(SKIMDB_USER_MAX), *gone = history_gone(g->history);
	struct slice rest = buf_slice(gone), name, octets;
	const char *region;
	long long number;
	struct user *u;
	buf_reset(b);
	while (rest.n && netstring_take(&name, &rest, ADDRESS_MAX) == 0) {
		netstring_add_str(b, "d");
		netstring_add(b, name);
	}
	buf_reset(gone);
	while (users-- > 0 && (u = history_take_touched(g->history))) {
		buf_reset(&data);
		skimdb_user_encode(&data, u);
		netstring_add_str(b, "u");
		netstring_add(b, slice_make(u->name, u->name_n));
		netstring_add_number(b, u->last);
		netstring_add(b, buf_slice(&data));
	}
	if (history_changed(g->history) || b->n)
		put_misc(g);
	while (pages-- > 0 && history_take_page(g->history, &region, &number, &octets)) {
		netstring_add_str(b, "p");
		netstring_add_str(b, region);
		netstring_add_number(b, number);
		netstring_add(b, octets);
	}
	buf_free(&data);
}

static int write_one(struct db *db, struct slice *rest, struct err *e)
{
	struct slice kind, name, data = {"", 0};
	long long number = 0;
	int rc = netstring_take(&kind, rest, 1);
	if (rc == 0)
		rc = netstring_take(&name, rest, ADDRESS_MAX);
	bool gone = rc == 0 && slice_eq_str(kind, "d");
	if (rc == 0 && !gone)
		rc = netstring_take_number(&number, rest, LLONG_MIN, LLONG_MAX);
	if (rc == 0 && !gone)
		rc = netstring_take(&data, rest, SKIMDB_USER_MAX);
	if (rc < 0)
		return err_set(e, E_SYNTAX, "a batch is not whole");
	if (gone)
		return db_do(db, NULL, "delete from user where name = $1", DB_VALUES(DB_O(name)), e);
	if (slice_eq_str(kind, "u"))
		return db_do(db, NULL, "insert into user (name, last, data) values ($1, $2, $3) on conflict (name) do update set last = $2, data = $3",
			DB_VALUES(DB_O(name), DB_N(number), DB_O(data)), e);
	return db_do(db, NULL, "insert into page (region, number, data) values ($1, $2, $3) on conflict (region, number) do update set data = $3",
		DB_VALUES({.kind = DB_TEXT, .octets = name}, DB_N(number), DB_O(data)), e);
}

static int write_all(struct db *db, struct slice batch, struct err *e)
{
	int rc = 0;
	while (rc == 0 && batch.n)
		rc = write_one(db, &batch, e);
	return rc;
}

int skimdb_write(struct db *db, struct slice batch, struct err *e)
{
	int rc = db_begin(db, e);
	if (rc == 0)
		rc = write_all(db, batch, e);
	if (rc == 0)
		return db_commit(db, e);
	db_rollback(db);
	return rc;
}

void skimdb_prune(struct engine *g, int64_t now)
{
	struct history_misc *m = history_misc(g->history, false);
	if (m->pruned == now / DAY)
		return;
	history_forget(g->history, now - config_number(g->cfg, N_remember) * DAY);
	history_misc(g->history, true)->pruned = now / DAY;
}

static int take_one(void *arg, const struct db_value *v, size_t n)
{
	struct user **u = arg;
	*u = n == 2 ? skimdb_user_decode(v[0].octets, v[1].octets) : NULL;
	return 0;
}

/* Names are kept in lower case. */
static struct user *source_user(void *arg, struct slice name)
{
	struct skimdb_source *s = arg;
	struct user *u = NULL;
	char lower[ADDRESS_MAX];
	struct err e;
	for (size_t i = 0; i < name.n; i++)
		lower[i] = (char)(name.p[i] >= 'A' && name.p[i] <= 'Z' ? name.p[i] + 32 : name.p[i]);
	(void)!db_each(s->db, "select name, data from user where name = $1", DB_VALUES(DB_O(slice_make(lower, name.n))), take_one, &u, &e);
	return u;
}

static void source_page(void *arg, struct history *h, const char *region, long long number)
{
	struct skimdb_source *s = arg;
	struct engine g = {.history = h};
	struct loading l = {.g = &g};
	struct err e;
	(void)!db_each(s->db, "select region, number, data from page where region = $1 and number = $2", DB_VALUES(DB_T(region), DB_N(number)), load_page, &l, &e);
}

int skimdb_begin(struct skimdb_source *s, struct engine *g, struct db *db, struct err *e)
{
	*s = (struct skimdb_source){db, {source_user, source_page, s}};
	int rc = db_begin(db, e);
	if (rc < 0)
		return rc;
	history_keep(g->history, &s->source);
	take_misc(g);
	return 0;
}

int skimdb_end(struct skimdb_source *s, struct engine *g, struct err *e)
{
	struct buf b = BUF_INIT(BATCH_MAX);
	skimdb_collect(&b, g, SIZE_MAX, SIZE_MAX);
	int rc = b.overflow ? err_set(e, E_SYS, "no memory") : write_all(s->db, buf_slice(&b), e);
	buf_free(&b);
	if (rc == 0)
		return db_commit(s->db, e);
	db_rollback(s->db);
	return rc;
}
