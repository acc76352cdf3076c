/* The parent of the scan workers: loads the signatures once, proves that they work, forks the workers, replaces one that ends, kills one that
 * hangs, loads changed signatures.  Runs as postern-scanworker.  It never reads a message; from its workers it takes a time stamp in
 * shared memory and that they end, no more. */
#include "scanner-bridge/workers.h"
#include "lib/io.h"
#include "lib/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MSEC 1000           /* between looks at the workers */
#define SIGNATURES_MSEC 60000    /* between looks at the signature folder */
#define CRASH_PAUSE_MSEC 100     /* a worker that ends within this time of its start is not replaced sooner */
#define FOLDER_DEPTH 16          /* of temporary folders left by a killed worker */

struct worker {
	pid_t pid;                /* 0: none */
	int64_t started;
	bool old;                 /* forked from signatures replaced since, told to leave */
	volatile int64_t *busy;   /* shared with the worker */
};
static const struct workers_settings *set;
static struct engine *engine;
static struct worker workers[WORKERS_MAX];

/* Twice as many folders as workers: those told to leave finish their message while their successors begin. */
static unsigned folder_count(const struct workers_settings *s)
{
	return s->count * 2;
}

static void folder_path(char path[320], const struct workers_settings *s, unsigned k)
{
	snprintf(path, 320, "%s/%u", s->tmp, k);
}

/* Take away all in FD (closed here).  Only what workers made is there; links are not followed. */
static void empty_folder(int fd, int depth)
{
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		close_fd(&fd);
		return;
	}
	for (struct dirent *f; (f = readdir(d)); ) {
		if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0 || unlinkat(dirfd(d), f->d_name, 0) == 0)
			continue;
		if (depth < FOLDER_DEPTH)
			empty_folder(openat(dirfd(d), f->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), depth + 1);
		unlinkat(dirfd(d), f->d_name, AT_REMOVEDIR);
	}
	closedir(d);
}

static int make_folder(const char *path, long owner, long group, struct err *e)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "%s", path);
	if (owner >= 0 && lchown(path, (uid_t)owner, (gid_t)group) < 0)
		return err_sys(e, "%s", path);
	return 0;
}

int workers_prepare(const struct workers_settings *s, long owner, long group, struct err *e)
{
	char path[320];
	int rc = make_folder(s->tmp, owner, group, e);
	for (unsigned k = 0; rc == 0 && k < folder_count(s); k++) {
		folder_path(path, s, k);
		rc = make_folder(path, owner, group, e);
	}
	return rc;
}

/* Take folder K, emptied, unless a living worker has it: its lock, held by the descriptor returned, ends with the worker.  -1: not to be had. */
static int take_folder(unsigned k)
{
	char path[320];
	folder_path(path, set, k);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0)
		close_fd(&fd);
	if (fd >= 0)
		empty_folder(fcntl(fd, F_DUPFD_CLOEXEC, 0), 0);
	return fd;
}

/* What workers that were killed left behind. */
static void empty_folders(void)
{
	for (unsigned k = 0; k < folder_count(set); k++) {
		int fd = take_folder(k);
		close_fd(&fd);
	}
}

static int use_free_folder(struct err *e)
{
	char path[320];
	unsigned k = 0;
	while (k < folder_count(set) && take_folder(k) < 0)
		k++;
	if (k == folder_count(set))
		return err_set(e, E_SYS, "no folder in %s is free", set->tmp);
	folder_path(path, set, k);
	return engine ? engine_set_tmp(engine, path, e) : 0;
}

static _Noreturn void worker_main(unsigned k, pid_t parent)
{
	struct err e;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	signal(SIGHUP, SIG_IGN);
	close(program_lifeline());
	if (use_free_folder(&e) < 0) {
		LOG(EV_fault, NULL, F_ERR(&e));
		_exit(EXIT_TEMPORARY);
	}
	worker_serve(set, engine, workers[k].busy);
	_exit(0);
}

static void start_worker(unsigned k)
{
	struct worker *w = &workers[k];
	pid_t parent = getpid();
	struct err e;
	*w->busy = 0;
	w->started = clock_msec();
	w->old = false;
	w->pid = fork();
	if (w->pid == 0)
		worker_main(k, parent);
	if (w->pid < 0) {
		err_sys(&e, "fork");
		LOG(EV_fault, NULL, F_ERR(&e));
		w->pid = 0;
	}
}

static void note_end(const struct worker *w, int status)
{
	if (WIFSIGNALED(status))
		LOG(EV_scanworker_died, NULL, F_NUM("worker", w->pid), F_STR("how", WTERMSIG(status) == SIGALRM ? "over scanseconds" : "signal"),
			F_NUM("signal", WTERMSIG(status)));
	else if (WEXITSTATUS(status) != 0)
		LOG(EV_scanworker_died, NULL, F_NUM("worker", w->pid), F_STR("how", "exit"), F_NUM("code", WEXITSTATUS(status)));
}

static void reap(void)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0; ) {
		if (WIFSTOPPED(status)) /* it would hold its message to the deadline */
			kill(pid, SIGKILL);
		for (unsigned k = 0; k < set->count && !WIFSTOPPED(status); k++)
			if (workers[k].pid == pid) {
				note_end(&workers[k], status);
				workers[k].pid = 0;
			}
	}
}

/* Returns how long until the next look: a worker that dies as soon as it starts must not make this loop spin. */
static int start_missing(void)
{
	int64_t now = clock_msec();
	int wait = LOOK_MSEC;
	for (unsigned k = 0; k < set->count; k++) {
		if (workers[k].pid)
			continue;
		if (now - workers[k].started < CRASH_PAUSE_MSEC)
			wait = CRASH_PAUSE_MSEC;
		else
			start_worker(k);
	}
	return wait;
}

/* A worker's own timer ends it at its limit; one that took its timer away is killed here. */
static void kill_hung(void)
{
	int64_t limit = set->seconds * 1000 + WORKER_GRACE_MSEC;
	for (unsigned k = 0; k < set->count; k++) {
		int64_t since = *workers[k].busy;
		if (workers[k].pid && since > 0 && clock_msec() - since > limit) {
			kill(workers[k].pid, SIGKILL);
			*workers[k].busy = 0;
		}
	}
}

static struct engine *load(struct err *e)
{
	struct engine_limits limits = {(long long)set->octets_max, set->seconds, set->tmp};
	unsigned signatures;
	bool eicar;
	struct engine *g = engine_load(set->scanners.embedded, &limits, &signatures, e);
	if (!g)
		return NULL;
	if (engine_prove(g, &eicar, e) < 0) {
		engine_free(g);
		return NULL;
	}
	LOG(EV_scanworker_loaded, NULL, F_NUM("signatures", signatures), F_STR("eicar", eicar ? "yes" : "no"));
	return g;
}

static void reload(void)
{
	struct err e;
	struct engine *fresh = load(&e);
	if (!fresh) {
		LOG(EV_scanworker_stale, NULL, F_ERR(&e));
		return;
	}
	engine_free(engine);
	engine = fresh;
	for (unsigned k = 0; k < set->count; k++)
		workers[k].old = workers[k].pid > 0;
}

/* Told again at each look, as a worker may have been about to wait when the signal came. */
static bool tell_old(bool all)
{
	bool any = false;
	for (unsigned k = 0; k < set->count; k++)
		if (workers[k].pid && (all || workers[k].old)) {
			kill(workers[k].pid, SIGTERM);
			any = true;
		}
	return any;
}

/* Sleeps until a worker ends (SIGCHLD, blocked but here), SIGTERM or MSEC. */
static void wait_for_news(int msec, const sigset_t *open)
{
	struct timespec t = {msec / 1000, msec % 1000 * 1000000l};
	ppoll(NULL, 0, &t, open);
}

static void on_sigchld(int sig)
{
	(void)sig;
}

static volatile sig_atomic_t look_now;

static void on_sighup(int sig)
{
	(void)sig;
	look_now = 1;
}

static void watch(const sigset_t *open)
{
	int64_t check = deadline_in(SIGNATURES_MSEC);
	while (!program_stopping()) {
		reap();
		kill_hung();
		int wait = start_missing();
		if (engine && (look_now || clock_msec() >= check)) {
			look_now = 0;
			if (engine_stale(engine))
				reload();
			check = deadline_in(SIGNATURES_MSEC);
		}
		wait_for_news(tell_old(false) ? 50 : wait, open);
	}
	for (int64_t end = deadline_in(set->seconds * 1000 + WORKER_GRACE_MSEC); tell_old(true) && clock_msec() < end; reap())
		wait_for_news(50, open);
}

static int share_stamps(struct err *e)
{
	int64_t *page = mmap(NULL, sizeof(int64_t) * WORKERS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return err_sys(e, "shared memory");
	for (unsigned k = 0; k < WORKERS_MAX; k++)
		workers[k] = (struct worker){.busy = &page[k], .started = -CRASH_PAUSE_MSEC};
	return 0;
}

int workers_run(const struct workers_settings *s, void (*ready)(void), struct err *e)
{
	struct sigaction chld = {.sa_handler = on_sigchld}, hup = {.sa_handler = on_sighup};
	sigset_t block, open;
	set = s;
	if (share_stamps(e) < 0)
		return E_SYS;
	if (s->scanners.embedded[0] && !(engine = load(e)))
		return E_SYS;
	sigaction(SIGCHLD, &chld, NULL);
	sigaction(SIGHUP, &hup, NULL);
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigprocmask(SIG_BLOCK, &block, &open);
	sigdelset(&open, SIGCHLD);
	empty_folders();
	start_missing();
	ready();
	watch(&open);
	engine_free(engine);
	engine = NULL;
	return 0;
}
