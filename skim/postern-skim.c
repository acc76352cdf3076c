/* postern-skim: looks at each message that an authenticated user submits, for signs that the account was stolen.  User postern-skim; no network; Landlock:
 * STATE/skim alone, where it keeps what it remembers.  Trusts the settings; jobs are checked, headers and bodies hostile. */
#include <fcntl.h>
#include <stdio.h>

#include "lib/program.h"
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

static int open_folder(void)
{
	char path[4096];
	struct err e;
	if (snprintf(path, sizeof path, "%s/skim", program_state()) >= (int)sizeof path)
		return -1;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		err_sys(&e, "%s", path);
		LOG(EV_skim_memory, NULL, F_ERR(&e));
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct err e;
	program_start(P_SKIM, argc, argv);
	if (read_settings(&current, program_control(), &e) < 0)
		program_fatal(&e);
	struct engine g = {.cfg = &current.cfg, .geo = current.geo};
	g.history = history_make((size_t)config_number(&current.cfg, N_users));
	if (!g.history) {
		err_set(&e, E_SYS, "no memory");
		program_fatal(&e);
	}
	int folder = open_folder();
	program_confine();
	int rc = folder < 0 ? E_NOT_FOUND : snapshot_read(&g, folder, &e);
	if (rc == 0)
		LOG(EV_skim_memory, NULL, F_NUM("users", history_count(g.history)));
	else if (rc != E_NOT_FOUND)
		LOG(EV_skim_memory, NULL, F_NUM("users", history_count(g.history)), F_ERR(&e));
	program_ready();
	struct guard_ports ports = {program_port(PORT_IN), program_port(PORT_NEXT), program_port(PORT_RESPOND), program_port(PORT_FEED), program_port(PORT_COMMAND), folder};
	return guard_run(&g, &ports, reload);
}
