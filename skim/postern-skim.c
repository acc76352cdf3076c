/* postern-skim: looks at each message that an authenticated user submits, for signs that the account was stolen.  User postern-skim; no network; Landlock:
 * STATE/skim alone, where it keeps what it remembers.  Trusts the settings; jobs are checked, headers and bodies hostile. */
#include <stdio.h>

#include "lib/program.h"
#include "skim/filter.h"
#include "skim/guard.h"

struct settings {
	struct skim_config cfg;
	struct geo *geo;
};
static struct settings current;

static int read_settings(struct settings *s, const struct control *c, struct err *e)
{
	int rc = config_read(&s->cfg, c, e);
	if (rc < 0)
		return rc;
	rc = geo_open(&s->geo, control_blob(c, C_geoip), e);
	if (rc < 0)
		config_free(&s->cfg);
	return rc;
}

/* The old settings stay in use when the new ones are wrong. */
static int reload(struct engine *g)
{
	static struct settings fresh;
	struct err e;
	int rc = program_reload(&e);
	if (rc == 0)
		rc = read_settings(&fresh, program_control(), &e);
	if (rc < 0) {
		if (rc != E_EOF)
			LOG(EV_control_fault, NULL, F_ERR(&e));
		return rc;
	}
	config_free(&current.cfg);
	geo_close(current.geo);
	current = fresh;
	g->cfg = &current.cfg, g->geo = current.geo;
	return 0;
}

/* A file that is no database any more is put aside: the detection learns anew, and somebody may look at it. */
static int open_store(struct db **db, const char *file, struct err *e)
{
	char aside[4200];
	int rc = skimdb_open(db, file, e);
	if (rc != E_SYS || (!strstr(e->text, "not a database") && !strstr(e->text, "malformed")))
		return rc;
	LOG(EV_skim_memory, NULL, F_ERR(e));
	snprintf(aside, sizeof aside, "%s.damaged", file);
	return rename(file, aside) < 0 ? err_sys(e, "%s", file) : skimdb_open(db, file, e);
}

/* NULL: nothing is kept; the detection works all the same. */
static struct skimdb_writer *open_memory(struct engine *g, const char *file)
{
	struct skimdb_writer *w = NULL;
	struct db *db = NULL;
	struct err e;
	unsigned bad = 0;
	int rc = open_store(&db, file, &e);
	if (rc == 0)
		rc = skimdb_load(g, db, &bad, &e);
	if (rc == 0)
		rc = skimdb_writer_start(&w, db, &e);
	if (rc < 0) {
		LOG(EV_skim_memory, NULL, F_NUM("users", history_count(g->history)), F_ERR(&e));
		db_close(db);
		return NULL;
	}
	if (bad)
		LOG(EV_skim_memory, NULL, F_NUM("users", history_count(g->history)), F_STR("error", "some users were damaged and are left out"));
	else
		LOG(EV_skim_memory, NULL, F_NUM("users", history_count(g->history)));
	return w;
}

int main(int argc, char **argv)
{
	static char file[4096];
	struct err e;
	if (filter_named(argc, argv))
		return filter_run(argc, argv);
	program_start(P_SKIM, argc, argv);
	if (read_settings(&current, program_control(), &e) < 0)
		program_fatal(&e);
	struct engine g = {.cfg = &current.cfg, .geo = current.geo};
	g.charges = charges_make();
	g.history = history_make((size_t)config_number(&current.cfg, N_users));
	if (!g.history || snprintf(file, sizeof file, "%s/skim/history.db", program_state()) >= (int)sizeof file) {
		err_set(&e, E_SYS, "no memory");
		program_fatal(&e);
	}
	program_confine();
	struct skimdb_writer *writer = open_memory(&g, file);
	struct guard_ports ports = {program_port(PORT_IN), program_port(PORT_NEXT), program_port(PORT_RESPOND), program_port(PORT_FEED), program_port(PORT_COMMAND)};
	program_ready();
	return guard_run(&g, &ports, writer, reload);
}
