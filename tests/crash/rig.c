/* The programs of the crash rigs: see rig.h. */
#include "tests/crash/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deliver/delivery.h"
#include "supervise/graph.h"
#include "tests/harness/process.h"
#include "tests/harness/queue_command.h"

#define FAR_USEC 80000 /* the slow host takes longer than a result waits for its commit */

/* Route: where the addresses go. */

static void box_target(struct buf *b, const struct rig *r, unsigned box)
{
	char path[200], name[8], address[40];
	snprintf(path, sizeof path, "%s/mail/u%u/Maildir", r->state, box);
	snprintf(name, sizeof name, "u%u", box);
	snprintf(address, sizeof address, "u%u@here.test", box);
	target_encode(b, &(struct target){.agent = AGENT_LOCAL, .address = slice_str(address), .destination = slice_str(name), .maildir = slice_str(path),
		.uid_number = -1, .gid_number = -1});
}

static void no_target(struct buf *b, struct slice address, enum delivery_status status, const char *enhanced)
{
	struct target t = {.agent = AGENT_NONE, .address = address, .uid_number = -1, .gid_number = -1, .status = status, .text = slice_str("so it is")};
	(void)!slice_copy(t.enhanced, sizeof t.enhanced, slice_str(enhanced));
	target_encode(b, &t);
}

static void answer_route(const struct rig *r, struct question *q)
{
	struct slice id, sender, address;
	struct buf b = BUF_INIT(QUESTION_MAX);
	if (route_question_decode(&id, &sender, &address, q->text) < 0)
		abort();
	bool group = slice_starts(address, "group");
	char digit = address.n > 6 ? address.p[group ? 5 : 1] : 0;
	if (group && digit >= '0' && digit < '0' + RIG_BOXES) {
		box_target(&b, r, (unsigned)(digit - '0'));
		box_target(&b, r, (unsigned)(digit - '0' + 3) % RIG_BOXES);
	} else if (slice_starts(address, "u") && digit >= '0' && digit < '0' + RIG_BOXES) {
		box_target(&b, r, (unsigned)(digit - '0'));
	} else if (slice_starts(address, "far")) {
		target_encode(&b, &(struct target){.agent = AGENT_REMOTE, .address = address, .destination = slice_str("far.test"), .uid_number = -1, .gid_number = -1});
	} else if (slice_starts(address, "later")) {
		no_target(&b, address, DELIVERY_DEFERRED, "4.4.3");
	} else {
		no_target(&b, address, DELIVERY_FAILED, "5.1.1");
	}
	question_answer(q, buf_slice(&b), NULL, 0);
	buf_free(&b);
}

static pid_t start_helper(const struct rig *r, int sock, void (*answer)(const struct rig *r, struct question *q))
{
	static char space[QUESTION_MAX + CONTENT_TEXT_MAX];
	pid_t pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct question q;
		struct err e;
		if (question_receive(&q, sock, space, sizeof space, DEADLINE_NEVER, &e) == 0)
			answer(r, &q);
	}
}

/* The slow host takes everything; what is sent to it twice, in doubt, is not counted, as it would not be by SMTP. */
static void answer_remote(const struct rig *r, struct question *q)
{
	static struct delivery d;
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct slice rest;
	struct err e;
	(void)r;
	if (delivery_decode(&d, &rest, q->text, &e) < 0)
		abort();
	usleep(FAR_USEC);
	for (size_t i = 0; i < d.count; i++)
		result_encode(&b, &(struct delivery_result){.number = d.rcpt[i].number, .status = DELIVERY_DONE, .enhanced = "2.0.0", .text = slice_str("taken")});
	question_answer(q, buf_slice(&b), NULL, 0);
	buf_free(&b);
}

/* Programs. */

static void exec_program(struct rig *r, const char *name, enum program which, const int *port, size_t ports, int line, bool stop)
{
	struct err e;
	char path[300], *argv[] = {(char *)(uintptr_t)name, (char[]){"-"}, (char[]){"0"}, r->state, NULL};
	int high[16], settings = control_pack(&r->settings, BIT(which), &e);
	const char *to = getenv("RIG_LOG");
	snprintf(path, sizeof path, "%s/%s", r->bin, name);
	int log = open(to ? to : "/dev/null", O_WRONLY | O_APPEND | O_CREAT, 0666), program = open(path, O_RDONLY | O_CLOEXEC), null = open("/dev/null", O_RDWR);
	if (settings < 0 || log < 0 || program < 0)
		die(path);
	high[0] = fcntl(line, F_DUPFD_CLOEXEC, 200);
	high[1] = fcntl(settings, F_DUPFD_CLOEXEC, 200);
	for (size_t i = 0; i < ports; i++)
		high[2 + i] = fcntl(port[i] < 0 ? null : port[i], F_DUPFD_CLOEXEC, 200);
	program = fcntl(program, F_DUPFD_CLOEXEC, 200);
	dup2(null, 0);
	dup2(log, 1);
	dup2(log, 2);
	for (size_t i = 0; i < 2 + ports; i++)
		dup2(high[i], 3 + (int)i);
	if (setgid(RIG_USER) < 0 || setuid(RIG_USER) < 0)
		die("setuid");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (stop)
		raise(SIGSTOP);
	fexecve(program, argv, (char *[]){NULL});
	die(path);
}

static pid_t start_program(struct rig *r, const char *name, enum program which, const int *port, size_t ports, int *line, const char *what)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die("lifeline");
	pid_t pid = fork();
	if (pid == 0)
		exec_program(r, name, which, port, ports, pair[1], what != NULL);
	close(pair[1]);
	*line = pair[0];
	if (what)
		process_trace(pid, what, r->trace_file);
	return pid;
}

static bool is_ready(int line)
{
	char text[16];
	struct pollfd p = {line, POLLIN, 0};
	return poll(&p, 1, 30000) == 1 && recv(line, text, sizeof text, 0) == 5 && memcmp(text, "ready", 5) == 0;
}

void rig_local_start(struct rig *r, unsigned i)
{
	const int port[] = {r->local[0]};
	r->locals[i] = start_program(r, "postern-local", P_LOCAL, port, 1, &r->local_line[i], r->trace_local);
}

static void open_sockets(struct rig *r)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, r->jobs) < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, r->route) < 0 ||
	    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, r->local) < 0 || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, r->remote) < 0)
		die("sockets");
	r->listen = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(sa.sun_path, sizeof sa.sun_path, "%.90s/queue.sock", r->run);
	unlink(sa.sun_path);
	if (bind(r->listen, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(r->listen, 8) < 0)
		die("listen");
}

bool rig_start(struct rig *r)
{
	open_sockets(r);
	r->route_pid = start_helper(r, r->route[1], answer_route);
	r->remote_pid = start_helper(r, r->remote[1], answer_remote);
	for (unsigned i = 0; i < r->local_count; i++)
		rig_local_start(r, i);
	/* Ports that no message of the rig needs lead nowhere. */
	const struct graph_row *row = graph_find("queue");
	int port[12];
	size_t ports = 0;
	for (; ports < sizeof port / sizeof *port && row->ports[ports] != PORT_END; ports++) {
		enum port p = row->ports[ports];
		port[ports] = p == PORT_IN ? r->jobs[1] : p == PORT_ROUTE ? r->route[0] : p == PORT_LOCAL ? r->local[1] : p == PORT_REMOTE ? r->remote[0] : p == PORT_COMMAND ? r->listen : -1;
	}
	r->queue = start_program(r, "postern-queue", P_QUEUE, port, ports, &r->line, r->trace_queue);
	for (unsigned i = 0; i < r->local_count; i++)
		(void)is_ready(r->local_line[i]);
	return is_ready(r->line);
}

static void end_one(pid_t pid, int sig)
{
	if (pid > 0)
		process_end(pid, sig, 10000);
}

bool rig_queue_dead(const struct rig *r)
{
	siginfo_t info = {0};
	return waitid(P_PID, (id_t)r->queue, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == r->queue;
}

bool rig_end(struct rig *r, int sig)
{
	bool alive = !rig_queue_dead(r);
	end_one(r->queue, sig);
	for (unsigned i = 0; i < r->local_count; i++) {
		end_one(r->locals[i], sig);
		close(r->local_line[i]);
	}
	end_one(r->route_pid, SIGKILL);
	end_one(r->remote_pid, SIGKILL);
	close(r->line);
	close(r->listen);
	for (int i = 0; i < 2; i++) {
		close(r->jobs[i]);
		close(r->route[i]);
		close(r->local[i]);
		close(r->remote[i]);
	}
	r->queue = r->route_pid = r->remote_pid = -1;
	return alive;
}

void rig_open(struct rig *r, const char *state, const char *run)
{
	struct err e;
	char control[128];
	struct rlimit files = {65536, 65536};
	const char *bin = getenv("POSTERN_BIN");
	setrlimit(RLIMIT_NOFILE, &files);
	*r = (struct rig){.bin = bin ? bin : "build/bin", .local_count = RIG_LOCALS, .poll_usec = 2000, .queue = -1, .route_pid = -1, .remote_pid = -1};
	snprintf(r->state, sizeof r->state, "%s", state);
	snprintf(r->run, sizeof r->run, "%s", run);
	snprintf(control, sizeof control, "%s/control", run);
	mkdir(control, 0755);
	write_file(control, "me", "mx.here.test\n");
	write_file(control, "queuereserve", "1048576\n");
	write_file(control, "queuesegment", "1048576\n");
	write_file(control, "doublebounceto", "u7\n");
	write_file(control, "doublebouncehost", "here.test\n");
	if (control_read(&r->settings, control, ~0ul, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		abort();
	}
	r->ledger = mmap(NULL, sizeof *r->ledger, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->ledger == MAP_FAILED)
		die("mmap");
}

void rig_folders(const struct rig *r)
{
	static const char *const names[] = {"", "/queue", "/mail", "/empty"};
	char path[160];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s%s", r->state, names[i]);
		if ((mkdir(path, 0700) < 0 && errno != EEXIST) || chown(path, RIG_USER, RIG_USER) < 0)
			die(path);
	}
}

/* What the queue says. */

int rig_command(struct rig *r, char *out, size_t size, const char *verb, const char *arg)
{
	const struct slice args[2] = {slice_str(verb), slice_str(arg ? arg : "")};
	out[0] = 0;
	return rig_queue_dead(r) ? -1 : queue_command(out, size, r->run, args, arg ? 2 : 1);
}

static char listing[RIG_LISTING_MOST];

/* Nothing waits but what must: no recipient without "later" or "held" in its address is left, and no message for its report alone. */
static bool only_waiting(struct rig *r)
{
	static const char key[] = ";address=";
	if (rig_command(r, listing, sizeof listing, "list", NULL) != 0 || strstr(listing, ";state=delivering") || strstr(listing, ";waiting=0;"))
		return false;
	for (const char *p = listing; (p = strstr(p, key)); p++)
		if (strncmp(p + sizeof key - 1, "later", 5) != 0 && strncmp(p + sizeof key - 1, "held", 4) != 0)
			return false;
	return true;
}

/* A bounce that is not yet durable is not listed, but counted. */
static bool all_listed(struct rig *r)
{
	char status[4096];
	unsigned listed = 0;
	for (const char *p = listing; (p = strstr(p, "kind=message;")); p++)
		listed++;
	const char *count = rig_command(r, status, sizeof status, "status", NULL) <= 1 ? /* 1: with problems, as injected */ strstr(status, "messages=") : NULL;
	return count && strtoul(count + 9, NULL, 10) == listed;
}

bool rig_idle(struct rig *r, int msec)
{
	static char ignored[64 * 1024];
	int64_t end = clock_msec() + msec, retry = clock_msec() + 100;
	while (!only_waiting(r) || !all_listed(r)) {
		if (rig_queue_dead(r) || clock_msec() > end)
			return false;
		if (clock_msec() > retry) {
			rig_command(r, ignored, sizeof ignored, "retry", "all");
			retry = clock_msec() + 500;
		}
		usleep(r->poll_usec);
	}
	return true;
}

bool rig_done(struct rig *r, int msec)
{
	static char ignored[64 * 1024];
	if (!rig_idle(r, msec))
		return false;
	rig_command(r, ignored, sizeof ignored, "retry", "all");
	return rig_idle(r, msec);
}
