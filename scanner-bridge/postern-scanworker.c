/* postern-scanworker: takes messages apart and looks for viruses with libclamav.
 *
 * User postern-scanworker, no network, Landlock: the signature folder (read) and STATE/scan/LANE (write).  Input: questions from postern-scan, whose
 * messages are hostile; signature files, trusted.  Standards: RFC 2045 to 2049, 2231, 2183. */
#include "lib/confine.h"
#include "lib/program.h"
#include "scanner-bridge/workers.h"

#include <stdio.h>
#include <sys/sysinfo.h>
#include <unistd.h>

static struct banned banned;
static struct workers_settings settings;

static void must(int rc, const struct err *e)
{
	if (rc < 0)
		program_fatal(e);
}

static void read_settings(void)
{
	const struct control *c = program_control();
	struct err e;
	int cpus = get_nprocs();
	must(scanners_parse(&settings.scanners, c, &e), &e);
	must(banned_parse(&banned, c, &e), &e);
	settings.banned = banned.name_count + banned.type_count ? &banned : NULL;
	settings.octets_max = (size_t)control_number(c, C_scanbytes);
	settings.seconds = control_number(c, C_scanseconds);
	settings.count = cpus < 2 ? 2 : cpus > WORKERS_MAX ? WORKERS_MAX : (unsigned)cpus;
	settings.sock = program_port(PORT_IN);
	snprintf(settings.tmp, sizeof settings.tmp, "%s/scan/%s", program_state(), graph_lane_name(program_lane()));
}

static void prepare_folders(void)
{
	char user[64];
	uid_t uid = 0;
	gid_t gid = 0;
	bool root = geteuid() == 0;
	struct err e;
	if (root)
		must(confine_user(&uid, &gid, graph_user(graph_of(P_SCANWORKER), user), &e), &e);
	must(workers_prepare(&settings, root ? (long)uid : -1, (long)gid, &e), &e);
}

int main(int argc, char **argv)
{
	struct err e;
	program_start(P_SCANWORKER, argc, argv);
	read_settings();
	prepare_folders();
	if (settings.scanners.embedded[0]) {
		char rule[300];
		snprintf(rule, sizeof rule, "r:%s", settings.scanners.embedded);
		program_allow_path(rule);
		must(engine_begin(&e), &e);
	}
	program_confine();
	must(workers_run(&settings, program_ready, &e), &e);
	return 0;
}
