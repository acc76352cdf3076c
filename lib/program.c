/* Start-up and life of every program: see program.h.  Begins as root (or as the user that started the suite), ends start-up as the program's own
 * user inside its confinement.  Trusts the supervisor: the descriptors and settings it hands over, and the graph table. */
#include "lib/program.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/confine.h"
#include "lib/io.h"

#define LIFELINE_FD 3
#define SETTINGS_FD 4
#define PORTS_FD 5

static struct {
	const struct graph_row *row;
	enum lane lane;
	char state[256];
	struct control control, former;
	int port[PORTS_MAX]; /* descriptors, as the row has them; -1: nothing is started behind it */
	unsigned listens;
	const char *rule[PATH_RULES_MAX];
	size_t rules;
	struct filter filter, narrow;
	const char *const *narrow_of;
	bool replaced;
} self;

_Noreturn void program_fatal(const struct err *e)
{
	LOG(EV_fatal, NULL, F_ERR(e));
	char text[300];
	int n = snprintf(text, sizeof text, "fatal:%s", e->text);
	if (n > 0)
		(void)!send(LIFELINE_FD, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	exit(EXIT_TEMPORARY);
}

static void must(int rc, const struct err *e)
{
	if (rc < 0)
		program_fatal(e);
}

_Noreturn static void usage(const char *name)
{
	fprintf(stderr, "postern-%s is started by postern-supervise with its descriptors; use: postern serve\n", name);
	exit(EXIT_USAGE);
}

static void take_arguments(int argc, char **argv)
{
	int lane = argc == 4 ? LANE_NONE : LANE_COUNT;
	while (lane < LANE_COUNT && strcmp(argv[1], graph_lane_name((enum lane)lane)) != 0)
		lane++;
	if (lane >= LANE_COUNT || slice_copy(self.state, sizeof self.state, slice_str(argv[3])) < 0 || self.state[0] != '/')
		usage(self.row->name);
	self.lane = (enum lane)lane;
}

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof value;
	return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

/* A port is a socket (PORT_SPACE a memfd), or /dev/null where nothing is started behind it: false. */
static bool check_port(int fd, enum port port)
{
	struct stat st;
	struct err e;
	bool listens = port == PORT_LISTEN || port == PORT_COMMAND;
	if (port == PORT_SPACE && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return true;
	if (fstat(fd, &st) < 0 || (!S_ISSOCK(st.st_mode) && !S_ISCHR(st.st_mode)) || (S_ISSOCK(st.st_mode) && socket_option(fd, SO_ACCEPTCONN) != listens))
		must(err_set(&e, E_PEER, "descriptor %d is not the port %s", fd, graph_port_name(port)), &e);
	return S_ISSOCK(st.st_mode);
}

/* What a parent left open by mistake (or on purpose) is closed before the first byte of input. */
static void take_descriptors(void)
{
	struct err e;
	int fd = PORTS_FD;
	if (socket_option(LIFELINE_FD, SO_TYPE) != SOCK_SEQPACKET)
		usage(self.row->name);
	for (const enum port *p = self.row->ports; *p != PORT_END; p++, fd++)
		self.port[p - self.row->ports] = check_port(fd, *p) ? fd : -1;
	if (graph_has_port(self.row, PORT_LISTEN))
		for (self.listens = 1; socket_option(fd, SO_ACCEPTCONN) == 1; fd++)
			self.listens++;
	if (close_range((unsigned)fd, ~0u, 0) < 0)
		must(err_sys(&e, "close_range"), &e);
}

void program_start(enum program which, int argc, char **argv)
{
	struct err e;
	self.row = graph_of(which);
	log_program(self.row->name);
	take_arguments(argc, argv);
	take_descriptors();
	program_catch_stop();
	must(filter_handler(&e), &e);
	must(control_unpack(&self.control, SETTINGS_FD, &e), &e);
	close(SETTINGS_FD);
	umask(077);
	tzset(); /* reads /etc/localtime once, while it can */
}

void program_allow_path(const char *path)
{
	struct err e;
	if (self.rules == PATH_RULES_MAX)
		must(err_set(&e, E_TOO_LONG, "more than %d paths", PATH_RULES_MAX), &e);
	if (!(self.rule[self.rules++] = strdup(path)))
		must(err_sys(&e, "path"), &e);
}

static void allow(struct landlock *l, const char *rule)
{
	struct err e;
	char text[PATH_MAX];
	const char *under = strlen(rule) > 2 && strncmp(rule + 2, "STATE/", 6) == 0 ? rule + 7 : NULL;
	int n = under ? snprintf(text, sizeof text, "%.2s%s%s", rule, self.state, under) : snprintf(text, sizeof text, "%s", rule);
	if (n < 0 || (size_t)n >= sizeof text)
		must(err_set(&e, E_TOO_LONG, "path too long: %.100s", rule), &e);
	int rc = landlock_allow(l, text, &e);
	if (rc != E_NOT_FOUND || rule[0] != 'r')
		must(rc, &e);
}

/* Paths are opened while the host's file system is still in view and the rights to look into all of it are there. */
static void prepare_landlock(struct landlock *l)
{
	struct err e;
	*l = (struct landlock){.fd = -1};
	if (self.row->runs_programs)
		return; /* its programs may use what their user may */
	must(landlock_begin(l, self.row->tcp_connect, &e), &e);
	if (self.row->root == ROOT_QUEUE)
		allow(l, "w:STATE/queue");
	for (size_t i = 0; i < sizeof self.row->paths / sizeof *self.row->paths && self.row->paths[i]; i++)
		allow(l, self.row->paths[i]);
	for (size_t i = 0; i < self.rules; i++)
		allow(l, self.rule[i]);
}

static void enter_root(bool as_root)
{
	struct err e;
	char folder[sizeof self.state + 8];
	if (self.row->root == ROOT_HOST)
		snprintf(folder, sizeof folder, "/");
	else
		snprintf(folder, sizeof folder, "%s/%s", self.state, self.row->root == ROOT_QUEUE ? "queue" : "empty");
	if (as_root && self.row->root != ROOT_HOST)
		must(confine_root(folder, &e), &e);
	else if (chdir(folder) < 0)
		must(err_sys(&e, "%s", folder), &e);
}

void program_confine(void)
{
	struct err e;
	struct landlock l;
	char user[64];
	uid_t uid = 0;
	gid_t gid = 0;
	bool as_root = geteuid() == 0;
	const char *const *lists[] = {graph_common_syscalls, self.row->syscalls};
	must(self.row->runs_programs ? filter_build_open(&self.filter, &e) : filter_build(&self.filter, lists, 2, &e), &e);
	if (as_root)
		must(confine_user(&uid, &gid, graph_user(self.row, user), &e), &e);
	prepare_landlock(&l);
	must(confine_limits(self.row, as_root, &e), &e);
	enter_root(as_root);
	if (as_root)
		must(confine_identity(uid, gid, graph_capabilities(self.row, &self.control), &e), &e);
	must(confine_process(self.row->makes_code || self.row->runs_programs, &e), &e);
	must(landlock_enforce(&l, &e), &e);
	must(filter_apply(&self.filter, &e), &e);
}

void program_ready(void)
{
	struct err e;
	if (send(LIFELINE_FD, "ready", 5, MSG_NOSIGNAL) != 5)
		must(err_sys(&e, "lifeline"), &e);
	LOG(EV_started, NULL, F_STR("version", POSTERN_VERSION));
}

const struct control *program_control(void)
{
	return &self.control;
}

int program_port(enum port port)
{
	struct err e;
	for (int i = 0; self.row->ports[i] != PORT_END; i++)
		if (self.row->ports[i] == port)
			return self.port[i];
	err_set(&e, E_NOT_FOUND, "the graph gives no port %s", graph_port_name(port));
	program_fatal(&e);
}

unsigned program_listen_count(void)
{
	return self.listens;
}

enum lane program_lane(void)
{
	return self.lane;
}

const char *program_state(void)
{
	return self.state;
}

int program_lifeline(void)
{
	return LIFELINE_FD;
}

bool program_replaced(void)
{
	char text[16];
	ssize_t n = recv(LIFELINE_FD, text, sizeof text, MSG_DONTWAIT | MSG_PEEK);
	if (n == 0)
		self.replaced = false;
	if (n <= 0 || !slice_eq_str(slice_make(text, (size_t)n), "replaced"))
		return self.replaced;
	(void)!recv(LIFELINE_FD, text, sizeof text, MSG_DONTWAIT);
	self.replaced = true;
	return true;
}

int program_reload(struct err *e)
{
	char text[16];
	int fds[PASS_FDS_MAX];
	size_t n, count;
	struct control fresh;
	int rc = pass_recv(LIFELINE_FD, text, sizeof text, &n, fds, &count, DEADLINE_NEVER, e);
	if (rc < 0)
		return rc;
	if (count != 1 || !slice_eq_str(slice_make(text, n), "settings"))
		rc = err_set(e, E_PEER, "the supervisor sent no settings");
	if (rc == 0)
		rc = control_unpack(&fresh, fds[0], e);
	close_fds(fds, count);
	if (rc == 0) {
		control_free(&self.former);
		self.former = self.control;
		self.control = fresh;
	}
	return rc;
}

int program_narrow_prepare(const char *const *syscalls, struct err *e)
{
	int rc = filter_build(&self.narrow, &syscalls, 1, e);
	self.narrow_of = rc == 0 ? syscalls : NULL;
	return rc;
}

int program_narrow(const char *const *syscalls, struct err *e)
{
	int rc = self.narrow_of == syscalls ? 0 : program_narrow_prepare(syscalls, e);
	return rc < 0 ? rc : filter_apply(&self.narrow, e);
}
