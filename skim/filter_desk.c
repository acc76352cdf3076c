/* `qmail-skim list` and its like, on the history that the filter keeps: see filter.h.  As the operator, who may write the database. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/io.h"
#include "skim/desk.h"
#include "skim/filter.h"
#include "skim/skimdb.h"

#define EXIT_USAGE 100
#define EXIT_TEMPORARY 111

static int usage(void)
{
	fprintf(stderr, "usage: qmail-skim list | flag USER REASON | lock USER REASON | clear USER | restore USER | travel USER COUNTRY,... YYYY-MM-DD\n"
		"Without arguments it is a qmail-queue.  QMAILSKIMCONF, QMAILSKIMCONTROL, QMAILSKIMSTATE, QMAILSKIMQUEUE: postern-skim(8).\n");
	return EXIT_USAGE;
}

static void print_time(struct buf *b, int64_t t)
{
	char text[40];
	struct tm tm;
	time_t when = (time_t)t;
	gmtime_r(&when, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_add_str(b, text);
}

/* One JSON object a line, with the keys of `postern skim list --json`. */
static void print_user(const struct engine *g, const struct user *u, int64_t now)
{
	struct buf b = BUF_INIT(65536);
	char why[WHY_MAX + 1];
	int families;
	bool first = true;
	why_text(why, u, g->cfg, 0, now);
	buf_add_str(&b, "{\"user\":\"");
	json_escape(&b, slice_make(u->name, u->name_n));
	buf_add_format(&b, "\",\"state\":\"%s\",\"since\":\"", state_name(u->state));
	print_time(&b, u->since);
	buf_add_format(&b, "\",\"score\":%d,\"rules\":[", engine_score(g, u, now, &families));
	for (int r = 0; u->hits && r < R_COUNT; r++)
		if (hit_points(&u->hits->of[r], &g->cfg->rule[r], now) > 0) {
			buf_add_format(&b, "%s\"%s\"", first ? "" : ",", rule_info[r].name);
			first = false;
		}
	buf_add_str(&b, "],\"why\":\"");
	json_escape(&b, slice_str(why));
	buf_add_format(&b, "\",\"code\":\"%s\"}\n", u->code);
	fwrite(b.p, 1, b.n, stdout);
	buf_free(&b);
}

static int list(struct engine *g, int64_t now)
{
	size_t at = 0;
	for (struct user *u; (u = history_each(g->history, &at));) {
		engine_settle(g, u, now);
		if (u->state != USER_FREE)
			print_user(g, u, now);
	}
	return fflush(stdout) ? EXIT_TEMPORARY : 0;
}

static int act(struct engine *g, int argc, char *const *argv, int64_t now, struct err *e)
{
	struct slice verb = slice_str(argv[0]), user = slice_str(argc > 1 ? argv[1] : "");
	bool lock = slice_eq_str(verb, "lock");
	if ((lock || slice_eq_str(verb, "flag")) && argc == 3)
		return desk_flag(NULL, g, user, lock, slice_str(argv[2]), getuid(), now, e);
	if (slice_eq_str(verb, "clear") && argc == 2)
		return desk_clear(NULL, g, user, now, e);
	if (slice_eq_str(verb, "restore") && argc == 2)
		return desk_restore(NULL, g, user, now, e);
	if (slice_eq_str(verb, "travel") && argc == 4)
		return desk_travel(NULL, g, user, slice_str(argv[2]), slice_str(argv[3]), now, e);
	return err_set(e, E_SYNTAX, "%s", "");
}

/* Under the lock of a transaction: messages wait meanwhile, for milliseconds. */
static int change(struct engine *g, struct db *db, int argc, char *const *argv, int64_t now, struct err *e)
{
	static struct skimdb_source source;
	int rc = skimdb_begin(&source, g, db, e);
	if (rc == 0)
		rc = act(g, argc, argv, now, e);
	return rc ? rc : skimdb_end(&source, g, e);
}

static int list_all(struct engine *g, struct db *db, int64_t now, struct err *e)
{
	unsigned bad;
	int rc = skimdb_load(g, db, &bad, e);
	return rc ? rc : list(g, now);
}

int filter_desk(int argc, char *const *argv)
{
	struct filter_places p = filter_places();
	struct engine g;
	struct db *db = NULL;
	struct err e;
	char file[4096];
	int64_t now = clock_wall_usec() / 1000000;
	bool listing = strcmp(argv[0], "list") == 0 && argc == 1;
	int rc = filter_engine(&g, &p, &e);
	if (rc == 0)
		rc = (size_t)snprintf(file, sizeof file, "%s/history.db", p.state) >= sizeof file ? err_set(&e, E_TOO_LONG, "QMAILSKIMSTATE is too long") :
			skimdb_open(&db, file, &e);
	if (rc == 0)
		rc = listing ? list_all(&g, db, now, &e) : change(&g, db, argc, argv, now, &e);
	db_close(db);
	if (rc < 0 && !e.text[0])
		return usage();
	if (rc < 0)
		fprintf(stderr, "qmail-skim: %s\n", e.text);
	return rc >= 0 ? rc : rc == E_NOT_FOUND || rc == E_REFUSED ? 1 : rc == E_SYNTAX ? EXIT_USAGE : EXIT_TEMPORARY;
}
