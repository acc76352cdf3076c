/* postern-supervise -c CONTROL -s STATE: runs the whole suite in the foreground.  One event loop; root, or the user who starts it.
 *
 * It parses no mail and nothing from the network.  Its inputs: control files (the administrator's), log lines and lifeline words of its own programs
 * (not trusted: logs.c), commands of operators (lib/command.c), signals.
 *
 * Order of start: control files checked, users, folders, lock, sockets, programs of the line, door; then STATE/ready.  Whatever fails before
 * that stops all and is told on standard error, exit 111. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/command.h"
#include "lib/confine.h"
#include "lib/log.h"
#include "lib/program.h"
#include "supervise/folders.h"
#include "supervise/suite.h"

#define COMMAND_MSEC 5000
#define LOG_PAUSE_MSEC 10 /* between looks at the log pipes: lines of a busy suite are taken many at a time (a pipe holds 256 KiB) */
#define POLLS_MAX (PROCESSES_MAX + ROWS_MAX + 8)

static struct suite suite;
static struct command caller = {.fd = -1};
static int64_t caller_deadline;

_Noreturn static void die(const struct err *e)
{
	dprintf(2, "postern-supervise: %s\n", e->text);
	exit(EXIT_TEMPORARY);
}

static void must(int rc, const struct err *e)
{
	if (rc < 0)
		die(e);
}

_Noreturn static void usage(void)
{
	dprintf(2, "usage: postern-supervise -c CONTROL -s STATE\n");
	exit(EXIT_USAGE);
}

static void take_arguments(int argc, char **argv, const char **state)
{
	const char *control = NULL;
	int option;
	*state = NULL;
	while ((option = getopt(argc, argv, "c:s:")) >= 0)
		switch (option) {
		case 'c':
			control = optarg;
			break;
		case 's':
			*state = optarg;
			break;
		default:
			usage();
		}
	if (!control || !*state || optind != argc)
		usage();
	struct err e;
	char *real = realpath(control, NULL);
	must(real ? 0 : err_sys(&e, "control folder %s", control), &e);
	must(slice_copy(suite.control_dir, sizeof suite.control_dir, slice_str(real)) < 0 ? err_set(&e, E_TOO_LONG, "%s: name too long", control) : 0, &e);
	free(real);
}

/* Programs lie beside this one. */
static void find_programs(struct suite *s)
{
	struct err e;
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", s->bin, sizeof s->bin - 1);
	must(n <= 0 ? err_sys(&e, "/proc/self/exe") : 0, &e);
	s->bin[n] = 0;
	*strrchr(s->bin, '/') = 0;
	for (unsigned i = 0; i < s->groups; i++) {
		snprintf(path, sizeof path, "%s/postern-%s", s->bin, s->group[i].row->name);
		if (s->group[i].wanted && access(path, X_OK) < 0)
			must(err_sys(&e, "the program %s is missing; build or install it", path), &e);
	}
}

/* 0, 1 and 2 are open, whatever we were given; children get high limits as far as we may. */
static void set_up_process(void)
{
	struct err e;
	struct rlimit r;
	int fd;
	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= 2)
		;
	must(fd < 0 ? err_sys(&e, "/dev/null") : 0, &e);
	must(dup2(fd, 0) < 0 || close_range(3, ~0u, 0) < 0 ? err_sys(&e, "/dev/null") : 0, &e);
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* sessions whose parent died become ours to reap */
	signal(SIGPIPE, SIG_IGN);
	umask(022);
}

static int catch_signals(void)
{
	struct err e;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	int fd = sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -1 : signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	must(fd < 0 ? err_sys(&e, "signals") : 0, &e);
	return fd;
}

/* Said once, here: programs confine themselves with what there is. */
static void tell_lacks(void)
{
	int abi = landlock_abi();
	if (geteuid() != 0)
		LOG(EV_not_root, NULL, F_STR("warning", "all programs run as one user and without root folders of their own; start as root to keep them apart"));
	if (abi == 0)
		LOG(EV_kernel_lacks, NULL, F_STR("what", "Landlock (version 2, Linux 5.19): programs that need the host's files are held by their user ids alone"));
	else if (abi < 4)
		LOG(EV_kernel_lacks, NULL, F_STR("what", "Landlock before version 4: TCP connections are held by seccomp alone"));
	else if (abi < 6)
		LOG(EV_kernel_lacks, NULL, F_STR("what", "Landlock before version 6: no scope for signals and abstract sockets"));
	if (!confine_mdwe())
		LOG(EV_kernel_lacks, NULL, F_STR("what", "Linux before 6.3: a program can make memory executable"));
}

static void prepare(struct suite *s, const char *state)
{
	struct err e;
	struct control c;
	bool changed;
	static int lock_fd;
	must(suite_read_control(&c, s->control_dir, 2, &e), &e);
	suite_init(s);
	suite_take_control(s, &c);
	find_programs(s);
	must(folders_users(&e), &e);
	must(folders_make(s->state, sizeof s->state, state, &e), &e);
	lock_fd = folders_lock(s->state, &e);
	must(lock_fd, &e);
	char ready[sizeof s->state + 8], log[sizeof s->state + 8];
	snprintf(ready, sizeof ready, "%s/ready", s->state);
	snprintf(log, sizeof log, "%s/log", s->state);
	(void)unlink(ready);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* useradd was the last program of others */
	must(suite_listen(s, &s->control, &changed, &e), &e);
	must(suite_sockets(s, &e), &e);
	must(logfile_open(&s->log, log, control_number(&s->control, C_logbytes), control_number(&s->control, C_logfiles), &e), &e);
	must(suite_logs(s, &e), &e);
}

static void reap(struct suite *s)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		suite_died(s, pid, status);
}

static void take_signals(struct suite *s, int fd)
{
	struct signalfd_siginfo info;
	while (read(fd, &info, sizeof info) == sizeof info)
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			suite_stop(s, 0);
		else if (info.ssi_signo == SIGHUP)
			suite_reload(s);
	reap(s);
}

/* One caller at a time; the next waits in the socket's queue. */
static void take_caller(struct suite *s)
{
	struct err e;
	if (command_accept(&caller, s->command_fd, &e) == 0)
		caller_deadline = deadline_in(COMMAND_MSEC);
	else if (e.code == E_REFUSED)
		LOG(EV_bad_command, NULL, F_ERR(&e));
}

struct polls {
	struct pollfd fd[POLLS_MAX];
	struct process *process[POLLS_MAX];
	const struct graph_row *row[POLLS_MAX];
	nfds_t n;
};

static void add_poll(struct polls *p, int fd, struct process *process, const struct graph_row *row)
{
	if (fd < 0)
		return;
	p->fd[p->n] = (struct pollfd){.fd = fd, .events = POLLIN};
	p->process[p->n] = process;
	p->row[p->n++] = row;
}

static void gather(struct polls *p, struct suite *s, int signal_fd, bool logs)
{
	p->n = 0;
	add_poll(p, signal_fd, NULL, NULL);
	add_poll(p, s->own.log_fd, NULL, NULL);
	add_poll(p, caller.fd >= 0 ? caller.fd : s->command_fd, NULL, NULL);
	for (unsigned i = 0; logs && i < graph_rows; i++)
		add_poll(p, s->row[i].log_fd, NULL, &graph[i]);
	for (unsigned i = 0; i < PROCESSES_MAX; i++)
		if (s->process[i].state != PROCESS_FREE)
			add_poll(p, s->process[i].lifeline_fd, &s->process[i], NULL);
}

/* Those that poll found readable; all of them when they were not asked this time. */
static bool take_logs(const struct polls *p, struct suite *s, bool asked)
{
	bool any = false;
	for (nfds_t i = 3; asked && i < p->n; i++)
		if (p->row[i] && p->fd[i].revents)
			any |= suite_log_input(s, p->row[i]);
	for (unsigned i = 0; !asked && i < graph_rows; i++)
		any |= suite_log_input(s, &graph[i]);
	return any;
}

/* Logs before lifelines, and both before signals: what a program said comes before the news of its death. */
static void serve(struct polls *p, struct suite *s, int signal_fd)
{
	for (nfds_t i = 3; i < p->n; i++)
		if (p->process[i] && p->fd[i].revents && p->process[i]->lifeline_fd == p->fd[i].fd)
			suite_lifeline(s, p->process[i]);
	if (p->fd[2].revents && caller.fd >= 0)
		suite_command(s, &caller);
	else if (p->fd[2].revents)
		take_caller(s);
	if (caller.fd >= 0 && clock_msec() >= caller_deadline)
		close_fd(&caller.fd);
	if (p->fd[0].revents)
		take_signals(s, signal_fd);
	suite_log_input(s, NULL);
	suite_log_flush(s);
}

static void run(struct suite *s, int signal_fd)
{
	static struct polls polls;
	int64_t logs_due = 0;
	while (!suite_stopped(s)) {
		int64_t next = suite_tick(s);
		bool logs = clock_msec() >= logs_due;
		if (caller.fd >= 0 && caller_deadline < next)
			next = caller_deadline;
		if (!logs && logs_due < next)
			next = logs_due;
		gather(&polls, s, signal_fd, logs);
		int n = poll(polls.fd, polls.n, deadline_left(next));
		if (n > 0 && take_logs(&polls, s, logs))
			logs_due = deadline_in(LOG_PAUSE_MSEC);
		if (n >= 0)
			serve(&polls, s, signal_fd);
		if (s->reload_due)
			suite_reload(s);
	}
}

static void finish(struct suite *s)
{
	LOG(EV_stopped, NULL);
	for (unsigned i = 0; i < graph_rows; i++)
		while (suite_log_input(s, &graph[i]))
			;
	while (suite_log_input(s, NULL))
		;
	suite_log_flush(s);
	logfile_close(&s->log);
}

int main(int argc, char **argv)
{
	const char *state;
	take_arguments(argc, argv, &state);
	log_program("supervise");
	set_up_process();
	int signal_fd = catch_signals();
	prepare(&suite, state);
	tell_lacks();
	run(&suite, signal_fd);
	finish(&suite);
	return suite.exit_code;
}
