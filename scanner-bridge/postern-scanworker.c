/* postern-scanworker: takes messages apart and looks for viruses with libclamav.
 *
 * User postern-scanworker, no network, Landlock: the signature folder (read) and STATE/scan/LANE (write).  Input: questions from postern-scan, whose
 * messages are hostile; signature files, trusted.  Standards: RFC 2045 to 2049, 2231, 2183. */
#include "lib/confine.h"
#include "lib/program.h"
#include "scanner-bridge/workers.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define MEMORY_SPARE ((size_t)512 << 20)
#define UNPACKED_FACTOR 8   /* as engine.h: what is unpacked from one message */
#define SIGNATURE_FACTOR 24 /* a .cvd is compressed and takes about 5 times its size in memory; and twice that while changed ones are loaded */

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

/* Octets of all files in the signature folder; 0 when it cannot be read, which engine_load() will say. */
static size_t signature_octets(void)
{
	DIR *d = settings.scanners.embedded[0] ? opendir(settings.scanners.embedded) : NULL;
	struct stat st;
	size_t n = 0;
	if (!d)
		return 0;
	for (struct dirent *f; (f = readdir(d)); )
		if (fstatat(dirfd(d), f->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
			n += (size_t)st.st_size;
	closedir(d);
	return n;
}

/* What messages can make a worker use: memory beside two sets of signatures (while changed ones are loaded), and one temporary file.  Set
 * here, as the confined program can change no limit. */
static void limit_resources(void)
{
	struct rlimit data, file;
	struct err e;
	file.rlim_cur = file.rlim_max = settings.octets_max * UNPACKED_FACTOR;
	data.rlim_cur = data.rlim_max = MEMORY_SPARE + settings.octets_max * UNPACKED_FACTOR + SIGNATURE_FACTOR * signature_octets();
	if (setrlimit(RLIMIT_FSIZE, &file) < 0 || setrlimit(RLIMIT_DATA, &data) < 0)
		must(err_sys(&e, "setrlimit"), &e);
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
	limit_resources();
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
