/* calls [-n MOST] [-j WORKERS] [-c CALL] [-v] queue|local kill|error: a mishap at every system call.
 *
 * A first run, watched by strace, counts how often postern-queue or postern-local makes each call, from its start on a spool that an earlier one left when it was
 * killed, over sixteen messages of every kind, to its orderly stop.  Then the same is done again for each call and each of its occurrences (or MOST of them, evenly spread): killed there, or that call
 * fails with ENOSPC, EIO, EDQUOT and EMFILE, once and, the first two, from then on.  What dies is started again, as the supervisor would.
 * Afterwards nothing acknowledged may be missing, halved or there twice; a queue that lives on takes mail again; and nothing is written or synced on a
 * descriptor after a write or sync of it failed.  One line of figures; exit 0, 1, or 77 without strace.  As root. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/rig.h"

#define CALLS_MOST 100
#define RUNS_MOST 20000
#define MESSAGES 16
#define FIRST 16 /* messages of the spool that is there at the start: 0 to FIRST - 1 */
#define HARMLESS ":syscall=getpid" /* instead of call -1, for which the seccomp filter ends the program */
#define MAX_WORKERS 8

/* What can fail on the way to the disk. */
static const char *const queue_calls[] = {"pwrite64", "pwritev", "write", "fdatasync", "fsync", "fallocate", "ftruncate", "openat", "unlinkat", "renameat", NULL};
static const char *const local_calls[] = {"writev", "openat2", "openat", "mkdirat", "renameat2", "linkat", "unlinkat", "syncfs", NULL};
static const char *const errors[] = {"ENOSPC", "EIO", "EDQUOT", "EMFILE"};
#define LASTING 2 /* of them are also tried from the Nth call on */

struct call {
	char name[32];
	unsigned count;
};
struct run {
	char call[32];
	unsigned at;
	const char *error; /* NULL: killed */
	bool lasting;
};
struct total {
	_Atomic unsigned next, runs, died, failed, lost, half, twice, stuck, deaf, retried, acked;
};
static struct options {
	bool local, kill, verbose;
	unsigned most, workers;
	const char *call;
} opt = {.workers = 6}; /* they wait more than they work */
static char top[64], template[96], place[96]; /* the spool as every run finds it; where each run has it */
static struct call call[CALLS_MOST];
static unsigned calls;
static struct run *runs;
static unsigned run_count;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(111);
}

static void spawn(const char *const *argv)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		die(argv[0]);
}

/* Messages. */

static bool dead(pid_t pid)
{
	siginfo_t info = {0};
	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/* What died is started again, without a mishap. */
static bool revive_local(struct rig *r, struct total *t)
{
	char text[16];
	if (!dead(r->locals[0]))
		return false;
	waitpid(r->locals[0], NULL, 0);
	close(r->local_line[0]);
	r->trace_local = NULL;
	rig_local_start(r, 0);
	(void)!read(r->local_line[0], text, sizeof text);
	if (t)
		atomic_fetch_add(&t->died, 1);
	return true;
}

static bool take(struct rig *r, int mine, unsigned mark, struct total *t)
{
	struct pollfd p = {mine, POLLIN, 0};
	for (int i = 0; i < 1000 && mine >= 0 && poll(&p, 1, 5) == 0 && !rig_queue_dead(r); i++)
		if (opt.local)
			revive_local(r, t);
	return rig_take(r, mine, mark, 0);
}

static void send_all(struct rig *r, unsigned from, unsigned count, struct total *t)
{
	int mine[4];
	for (unsigned i = from; i < from + count; i += 4) {
		for (unsigned k = 0; k < 4; k++)
			mine[k] = rig_queue_dead(r) ? -1 : rig_offer(r, i + k);
		for (unsigned k = 0; k < 4; k++)
			take(r, mine[k], i + k, t);
	}
}

/* Wait for the deliveries, for as long as it makes sense: not for long where every one fails. */
static void settle(struct rig *r, struct total *t, bool lasting)
{
	static char ignored[4096];
	/* Each look is a dozen calls more to be interrupted. */
	r->poll_usec = 40000;
	for (int i = 0; i < (lasting ? 6 : 30) && !rig_queue_dead(r); i++) {
		if (opt.local && revive_local(r, t))
			rig_command(r, ignored, sizeof ignored, "retry", "all");
		if (rig_idle(r, 30))
			break;
	}
	r->poll_usec = 2000;
}

/* FROM's content becomes TO's. */
static void copy_folder(const char *from, const char *to)
{
	char all[128];
	const char *make[] = {"mkdir", "-p", to, NULL}, *empty[] = {"find", to, "-mindepth", "1", "-delete", NULL}, *copy[] = {"cp", "-a", "--sparse=always", all, to, NULL};
	snprintf(all, sizeof all, "%s/.", from);
	spawn(make);
	spawn(empty);
	spawn(copy);
}

/* A spool as a killed queue leaves it, to begin each run with. */
static void make_template(struct rig *r)
{
	rig_folders(r);
	if (!rig_start(r))
		die("the queue did not start");
	send_all(r, 0, FIRST, NULL);
	rig_end(r, SIGKILL);
	copy_folder(place, template);
}

/* The first run: how often is each call made? */

static void count_call(const char *line)
{
	size_t n = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789_"), i = 0;
	if (!n || line[n] != '(' || n >= sizeof call[0].name)
		return;
	while (i < calls && (strncmp(call[i].name, line, n) != 0 || call[i].name[n]))
		i++;
	if (i == CALLS_MOST)
		return;
	if (i == calls)
		snprintf(call[calls++].name, sizeof call[0].name, "%.*s", (int)n, line);
	call[i].count++;
}

static void read_trace(const char *path, void (*each)(const char *line))
{
	static char line[4096];
	FILE *f = fopen(path, "r");
	if (!f)
		die(path);
	while (fgets(line, sizeof line, f))
		each(line);
	fclose(f);
}

static void count_calls(struct rig *r)
{
	char path[128];
	snprintf(path, sizeof path, "%s/count", top);
	copy_folder(template, place);
	r->trace_file = path;
	*(opt.local ? &r->trace_local : &r->trace_queue) = "trace=all";
	if (!rig_start(r))
		die("the queue did not start under strace");
	send_all(r, FIRST, MESSAGES, NULL);
	settle(r, NULL, false);
	rig_end(r, SIGTERM);
	r->trace_local = r->trace_queue = NULL;
	usleep(50000); /* strace writes its last lines */
	read_trace(path, count_call);
	if (calls < 10)
		die("strace counted hardly any call");
}

/* The plan. */

static void plan_one(const char *name, unsigned at, const char *error, bool lasting)
{
	if (run_count == RUNS_MOST)
		die("too many runs");
	runs[run_count] = (struct run){.at = at, .error = error, .lasting = lasting};
	snprintf(runs[run_count++].call, sizeof runs[0].call, "%s", name);
}

static bool wanted(const char *name)
{
	const char *const *list = opt.local ? local_calls : queue_calls;
	if (opt.call)
		return strcmp(opt.call, name) == 0;
	if (opt.kill)
		return strcmp(name, "execve") != 0 && strcmp(name, "exit_group") != 0;
	while (*list && strcmp(*list, name) != 0)
		list++;
	return *list != NULL;
}

static void plan(void)
{
	runs = calloc(RUNS_MOST, sizeof *runs);
	for (unsigned i = 0; i < calls; i++)
		for (unsigned at = 1; wanted(call[i].name) && at <= call[i].count; at++) {
			if (opt.kill)
				plan_one(call[i].name, at, NULL, false);
			for (size_t k = 0; !opt.kill && k < sizeof errors / sizeof *errors; k++) {
				plan_one(call[i].name, at, errors[k], false);
				if (k < LASTING)
					plan_one(call[i].name, at, errors[k], true);
			}
		}
	if (!opt.most || opt.most >= run_count)
		return;
	for (unsigned i = 0; i < opt.most; i++)
		runs[i] = runs[(uint64_t)i * run_count / opt.most];
	run_count = opt.most;
}

/* One mishap. */

/* Descriptors of which a write or sync failed and that were used again. */
static bool bad_fd[4096];
static unsigned used_again;

static void watch_descriptor(const char *line)
{
	unsigned fd = 0;
	char name[32];
	if (sscanf(line, "%31[a-z0-9](%u", name, &fd) != 2 || fd >= sizeof bad_fd || fd < 5)
		return;
	bool failed = strstr(line, "(INJECTED)") != NULL;
	if (strcmp(name, "close") == 0) {
		bad_fd[fd] = false;
	} else if (strcmp(name, "pwrite64") == 0 || strcmp(name, "fdatasync") == 0 || strcmp(name, "fsync") == 0) {
		used_again += bad_fd[fd];
		bad_fd[fd] |= failed;
	}
}

static void mishap(struct rig *r, const struct run *x, struct total *t, char words[160], const char *trace_path)
{
	if (x->error)
		snprintf(words, 160, "inject=%s:error=%s" HARMLESS ":when=%u%s", x->call, x->error, x->at, x->lasting ? "+" : "");
	else
		snprintf(words, 160, "inject=%s:signal=KILL:when=%u", x->call, x->at);
	r->trace_file = trace_path;
	*(opt.local ? &r->trace_local : &r->trace_queue) = words;
	bool started = rig_start(r);
	if (started) {
		send_all(r, FIRST, MESSAGES, t);
		settle(r, t, x->lasting);
	}
	/* A queue that went through one error and lives on takes mail again, without a hand. */
	unsigned more = FIRST + MESSAGES;
	for (int i = 0; started && !opt.kill && !x->lasting && !rig_queue_dead(r) && !atomic_load(&r->ledger->acked_at[more]); i++) {
		if (i == 50) {
			atomic_fetch_add(&t->deaf, 1);
			fprintf(stderr, "%s: takes no mail any more\n", words);
			break;
		}
		usleep(i ? 100000 : 0);
		int mine = rig_offer(r, more);
		take(r, mine, more, t);
	}
	if (!rig_end(r, SIGTERM))
		atomic_fetch_add(&t->died, 1);
	r->trace_local = r->trace_queue = NULL;
}

static void look_at_trace(const char *path, const char *words, struct total *t)
{
	memset(bad_fd, 0, sizeof bad_fd);
	used_again = 0;
	read_trace(path, watch_descriptor);
	if (!used_again)
		return;
	atomic_fetch_add(&t->retried, 1);
	fprintf(stderr, "%s: a descriptor was used again after its write or sync had failed\n", words);
}

/* The folder with the spool, the Maildirs and the programs' log is kept. */
static void tell(struct rig *r, _Atomic unsigned *count, const char *words, const char *what)
{
	char kept[64] = "/tmp/postern-calls-kept.XXXXXX";
	const char *copy[] = {"cp", "-a", r->state, getenv("RIG_LOG"), kept, NULL};
	atomic_fetch_add(count, 1);
	fprintf(stderr, "%s %s: %s; kept in %s\n", opt.local ? "local" : "queue", words, what, mkdtemp(kept) ? kept : "nothing");
	spawn(copy);
}

static void one_run(struct rig *r, const struct run *x, struct total *t, const char *trace_path)
{
	struct rig_result got;
	char words[160];
	for (unsigned i = FIRST; i < FIRST + MESSAGES + 1; i++)
		atomic_store(&r->ledger->acked_at[i], 0);
	copy_folder(template, place);
	if (truncate(getenv("RIG_LOG"), 0) < 0 && errno != ENOENT)
		die("log");
	mishap(r, x, t, words, trace_path);
	if (!opt.local && x->error)
		look_at_trace(trace_path, words, t);
	if (opt.verbose)
		fprintf(stderr, "%s\n", words);
	r->trace_file = NULL;
	if (!rig_start(r) || !rig_done(r, 15000))
		tell(r, &t->stuck, words, "the queue does not get done after a new start");
	rig_check(r, &got, FIRST + MESSAGES + 1, UINT64_MAX - 1);
	if (got.lost)
		tell(r, &t->lost, words, got.first);
	if (got.half)
		tell(r, &t->half, words, got.first);
	if (got.twice)
		tell(r, &t->twice, words, got.first);
	for (unsigned i = 0; i < FIRST + MESSAGES + 1; i++)
		atomic_fetch_add(&t->acked, atomic_load(&r->ledger->acked_at[i]) > 0);
	atomic_fetch_add(&t->runs, 1);
	rig_end(r, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* The log names Maildirs by their paths (members of lists keep their targets), so every run must have them where the first queue had them. */
static void own_place(unsigned number)
{
	char own[96];
	snprintf(own, sizeof own, "%s/own%u", top, number);
	if (mkdir(own, 0755) < 0 || unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount(own, place, NULL, MS_BIND, NULL) < 0)
		die(own);
}

static void worker(struct rig *r, struct total *t, unsigned number)
{
	char trace_path[128];
	struct rig_ledger *all = r->ledger;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	r->ledger = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memcpy(r->ledger, all, sizeof *all);
	snprintf(r->run, sizeof r->run, "%.60s/run%u", top, number);
	own_place(number);
	snprintf(trace_path, sizeof trace_path, "%s/trace%u", top, number);
	char log[128];
	snprintf(log, sizeof log, "%s/log%u", top, number);
	setenv("RIG_LOG", log, 1);
	if (mkdir(r->run, 0755) < 0)
		die(r->run);
	for (unsigned i; (i = atomic_fetch_add(&t->next, 1)) < run_count; )
		one_run(r, &runs[i], t, trace_path);
	_exit(0);
}

static int report(const struct total *t)
{
	unsigned kinds = 0, occurrences = 0;
	for (unsigned i = 0; i < calls; i++)
		if (wanted(call[i].name)) {
			kinds++;
			occurrences += call[i].count;
		}
	printf("%s, %s: %u system calls made %u times in one run; %u runs, %u ended the program; %u messages acknowledged and looked for: lost in %u, half in %u, twice in %u, stuck %u",
		opt.local ? "local" : "queue", opt.kill ? "SIGKILL" : "ENOSPC, EIO, EDQUOT, EMFILE once and lasting", kinds, occurrences, atomic_load(&t->runs), atomic_load(&t->died), atomic_load(&t->acked),
		atomic_load(&t->lost), atomic_load(&t->half), atomic_load(&t->twice), atomic_load(&t->stuck));
	if (!opt.kill)
		printf(", takes no more mail %u, descriptor used after a failure %u", atomic_load(&t->deaf), atomic_load(&t->retried));
	printf("\n");
	if (!run_count)
		fprintf(stderr, "no %s among the calls that it makes: nothing was tried\n", opt.call ? opt.call : "call");
	return !run_count || atomic_load(&t->runs) != run_count || atomic_load(&t->lost) || atomic_load(&t->half) || atomic_load(&t->twice) || atomic_load(&t->stuck) ||
		atomic_load(&t->deaf) || atomic_load(&t->retried) || (opt.kill && atomic_load(&t->died) < run_count / 3);
}

static void take_options(int argc, char **argv)
{
	int c;
	while ((c = getopt(argc, argv, "n:j:c:v")) != -1) {
		if (c == 'c') {
			opt.call = optarg;
			continue;
		}
		long v = c == 'v' ? 1 : c == '?' ? -1 : strtol(optarg, NULL, 10);
		if (v < 1 || v > RUNS_MOST)
			exit(100);
		if (c == 'v')
			opt.verbose = true;
		else
			*(c == 'n' ? &opt.most : &opt.workers) = (unsigned)v;
	}
	bool good = optind + 2 == argc && opt.workers <= MAX_WORKERS;
	opt.local = good && strcmp(argv[optind], "local") == 0;
	opt.kill = good && strcmp(argv[optind + 1], "kill") == 0;
	if (!good || (!opt.local && strcmp(argv[optind], "queue") != 0) || (!opt.kill && strcmp(argv[optind + 1], "error") != 0)) {
		fprintf(stderr, "usage: calls [-n MOST] [-j WORKERS] [-c CALL] [-v] queue|local kill|error\n");
		exit(100);
	}
}

int main(int argc, char **argv)
{
	static struct rig r;
	struct total *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char run[80];
	take_options(argc, argv);
	if (geteuid() != 0 || access("/usr/bin/strace", X_OK) < 0) {
		printf("mishaps at system calls need root and strace: not tried\n");
		return 77;
	}
	snprintf(top, sizeof top, "%s/postern-calls.XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(top) || chmod(top, 0711) < 0)
		die(top);
	snprintf(template, sizeof template, "%s/template", top);
	snprintf(run, sizeof run, "%s/run", top);
	if (mkdir(run, 0755) < 0)
		die(run);
	snprintf(place, sizeof place, "%s/state", top);
	rig_open(&r, place, run);
	r.local_count = 1;
	make_template(&r);
	count_calls(&r);
	plan();
	pid_t of[MAX_WORKERS];
	for (unsigned i = 0; i < opt.workers; i++)
		if ((of[i] = fork()) == 0)
			worker(&r, t, i);
	int status;
	for (unsigned i = 0; i < opt.workers; i++)
		waitpid(of[i], &status, 0);
	int code = report(t);
	const char *remove[] = {"rm", "-rf", top, NULL};
	spawn(remove);
	return code;
}
