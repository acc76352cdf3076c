/* The real postern-queue over socket pairs, with a small route and a small local at its other ends, for tests and measurements.
 *
 * The child runs queue_run() as an ordinary user in a temporary spool, so its confinement is in force but for the root directory.  What the two helpers saw stands in
 * memory that all processes share. */
#ifndef POSTERN_TESTS_QUEUE_HARNESS_H
#define POSTERN_TESTS_QUEUE_HARNESS_H
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "deliver/delivery.h"
#include "lib/command.h"
#include "lib/job.h"
#include "queue/queue.h"

#define MESSAGES_MOST 2000000
#define TOLD_MOST 4096
#define PLAIN_USER 65534

/* Seen by all processes. */
struct shared {
	unsigned char acked[MESSAGES_MOST], delivered[MESSAGES_MOST], twice[MESSAGES_MOST];
	unsigned usec_each; /* that the small local takes for a recipient */
	volatile unsigned stall_from; /* the delivery, counted from 1, that it keeps until this is 0 again, with those after it */
	unsigned questions;  /* that the small route had */
	long long last;      /* mark of the last delivery, and how many came before one with a lower mark */
	unsigned disorder;
	unsigned attempted, answers, refused, deliveries, doubtful, damaged;
	char recipients[64][ADDRESS_MAX + 1]; /* of the last deliveries, for small tests */
	unsigned recipients_seen;
	unsigned char told[3][TOLD_MOST]; /* reports that came to sender@here.test of this mark: recipients delivered; delayed; failed */
	char report[TOLD_MOST][ID_LEN + 1]; /* those that were counted, a copy of one in doubt once */
	unsigned reports;
	volatile int pread_error, pread_errors; /* what every read of the log fails with, or 0; how many did */
	volatile int no_report, no_reports; /* where there is no memory for a report (report.c), or 0; how often that was so */
	volatile int no_ending, no_endings; /* the same for what is noted of a message (ending.c) */
};
struct harness {
	char spool[64], control[64];
	struct control settings;
	int jobs[2], route[2], local[2], listen, lifeline;
	pid_t queue, route_pid, local_pid;
	struct shared *shared;
};
static bool harness_quiet; /* the queue's log goes nowhere */

static inline void die(const char *what)
{
	perror(what);
	abort();
}

static inline void write_file(const char *folder, const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die(path);
	close(fd);
}

/* Where the test's addresses go: a prefix says it. */
static inline void answer_route(struct question *q)
{
	struct slice id, sender, address;
	struct buf b = BUF_INIT(QUESTION_MAX);
	if (route_question_decode(&id, &sender, &address, q->text) < 0)
		abort();
	struct target t = {.agent = AGENT_LOCAL, .address = address, .destination = slice_str("u"), .maildir = slice_str("/u"), .uid_number = -1, .gid_number = -1};
	if (slice_starts(address, "unknown")) {
		t = (struct target){.agent = AGENT_NONE, .address = address, .status = DELIVERY_FAILED, .enhanced = "5.1.1",
			.uid_number = -1, .gid_number = -1, .text = slice_str("no such address")};
	} else if (slice_starts(address, "far")) {
		t.agent = AGENT_REMOTE;
		t.destination = slice_str("far.test");
	} else if (slice_starts(address, "later")) {
		t = (struct target){.agent = AGENT_NONE, .address = address, .status = DELIVERY_DEFERRED, .enhanced = "4.4.3",
			.uid_number = -1, .gid_number = -1, .text = slice_str("the directory does not answer")};
	}
	target_encode(&b, &t);
	if (slice_starts(address, "garbage")) {
		buf_reset(&b);
		buf_add_str(&b, "7:nothing,4:");
	}
	if (slice_starts(address, "group")) {
		t.address = slice_str("member-a@here.test");
		buf_reset(&b);
		target_encode(&b, &t);
		t.address = slice_str("bad-member@here.test");
		target_encode(&b, &t);
		t.address = slice_str("far-member@far.test");
		t.agent = AGENT_REMOTE;
		t.destination = slice_str("far.test");
		target_encode(&b, &t);
	}
	question_answer(q, buf_slice(&b), NULL, 0);
	buf_free(&b);
}

/* The mark of a message: "Subject: NUMBER" in its header; its body repeats one letter that follows from it. */
static inline long long mark_of(int head_fd)
{
	char head[8192];
	ssize_t n = pread(head_fd, head, sizeof head - 1, 0);
	head[n > 0 ? n : 0] = 0;
	const char *s = n > 0 ? memmem(head, (size_t)n, "Subject: ", 9) : NULL;
	return s && s[9] >= '0' && s[9] <= '9' ? atoll(s + 9) : -1;
}

static inline void record_delivery(struct shared *s, const struct delivery *d, long long mark)
{
	s->deliveries++;
	s->doubtful += d->doubt;
	if (mark < 0 || mark >= MESSAGES_MOST)
		return;
	for (size_t i = 0; i < d->count; i++) {
		unsigned char bit = (unsigned char)(1u << (d->rcpt[i].number & 7));
		if (s->delivered[mark] & bit && !d->doubt)
			s->twice[mark]++;
		s->delivered[mark] |= bit;
	}
	s->disorder += mark < s->last;
	s->last = mark;
}

/* What a report says of how many recipients; its last part has the header of the message that it is about. */
static inline void read_report(struct shared *s, const char *id, int body_fd)
{
	for (unsigned i = 0; i < s->reports; i++)
		if (strcmp(s->report[i], id) == 0)
			return;
	if (s->reports < TOLD_MOST)
		memcpy(s->report[s->reports++], id, ID_LEN);
	static char text[1 << 20];
	static const char *const action[] = {"\nAction: delivered\n", "\nAction: delayed\n", "\nAction: failed\n"};
	ssize_t n = pread(body_fd, text, sizeof text - 1, 0);
	text[n > 0 ? n : 0] = 0;
	const char *subject = strstr(text, "\nSubject: ");
	long long mark = subject ? atoll(subject + 10) : -1;
	for (int i = 0; i < 3 && mark >= 0 && mark < TOLD_MOST; i++)
		for (const char *at = text; (at = strstr(at, action[i])); at++)
			s->told[i][mark]++;
}

static inline void answer_local(struct shared *s, struct question *q)
{
	static struct delivery d;
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct err e;
	if (q->count != 2 || delivery_decode(&d, q->text, &e) < 0)
		abort();
	long long mark = mark_of(q->fds[0]);
	if (s->usec_each)
		usleep((useconds_t)(s->usec_each * d.count));
	while (s->stall_from && s->deliveries + 1 >= s->stall_from)
		usleep(1000);
	record_delivery(s, &d, mark);
	for (size_t i = 0; i < d.count; i++) {
		struct slice to = d.rcpt[i].target.address;
		bool bad = slice_starts(to, "bad"), slow = slice_starts(to, "slow"), liar = slice_starts(to, "liar");
		struct delivery_result r = {
			.number = d.rcpt[i].number + (liar ? 1000 : 0), .status = bad ? DELIVERY_FAILED : slow ? DELIVERY_DEFERRED : DELIVERY_DONE,
			.text = slice_str(bad ? "mailbox\rX-Injected: yes\nis bad" : slow ? "try later" : "delivered")};
		memcpy(r.enhanced, bad ? "5.2.1" : slow ? "4.2.1" : "2.0.0", 6);
		result_encode(&b, &r);
		if (slice_eq_str(to, "sender@here.test"))
			read_report(s, d.id, q->fds[1]);
		if (!bad && !slow)
			snprintf(s->recipients[s->recipients_seen++ % 64], ADDRESS_MAX + 1, "%.*s", (int)to.n, to.p);
	}
	question_answer(q, buf_slice(&b), NULL, 0);
	buf_free(&b);
}

static inline pid_t helper(struct harness *h, int sock, bool route)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	static char space[QUESTION_MAX];
	for (;;) {
		struct question q;
		struct err e;
		if (question_receive(&q, sock, space, sizeof space, DEADLINE_NEVER, &e) < 0)
			continue;
		h->shared->questions += route;
		if (route)
			answer_route(&q);
		else
			answer_local(h->shared, &q);
	}
}

/* What happens at the Nth of the store's system calls: killed before it, half way (of a write) or after it, or an error. */
enum mishap { MISHAP_NONE, KILL_BEFORE, KILL_HALF, KILL_AFTER, FAIL_ONCE, FAIL_LASTING };
static struct {
	enum mishap what;
	long at, calls;
	int error;
	const char *trace; /* strace's inject expression */
} harness_mishap;

static inline bool mishap_before(void)
{
	bool now = ++harness_mishap.calls == harness_mishap.at;
	if (now && harness_mishap.what == KILL_BEFORE)
		raise(SIGKILL);
	if ((now && harness_mishap.what == FAIL_ONCE) || (harness_mishap.what == FAIL_LASTING && harness_mishap.calls >= harness_mishap.at &&
	    harness_mishap.calls < harness_mishap.at + 40)) {
		errno = harness_mishap.error;
		return true;
	}
	return false;
}

static inline void mishap_after(void)
{
	if (harness_mishap.calls == harness_mishap.at && (harness_mishap.what == KILL_AFTER || harness_mishap.what == KILL_HALF))
		raise(SIGKILL);
}

static inline ssize_t mishap_pwrite(int fd, const void *p, size_t n, off_t at)
{
	if (mishap_before())
		return -1;
	bool half = harness_mishap.what == KILL_HALF && harness_mishap.calls == harness_mishap.at;
	ssize_t put = store_sys_real.pwrite(fd, p, half ? n / 2 : n, at);
	mishap_after();
	return put;
}

static inline int mishap_fdatasync(int fd)
{
	int rc = mishap_before() ? -1 : store_sys_real.fdatasync(fd);
	mishap_after();
	return rc;
}

static inline int mishap_fsync(int fd)
{
	int rc = mishap_before() ? -1 : store_sys_real.fsync(fd);
	mishap_after();
	return rc;
}

static inline int mishap_create(int dir_fd, const char *file)
{
	int rc = mishap_before() ? -1 : store_sys_real.create(dir_fd, file);
	mishap_after();
	return rc;
}

static inline int mishap_allocate(int fd, off_t octets)
{
	int rc = mishap_before() ? -1 : store_sys_real.allocate(fd, octets);
	mishap_after();
	return rc;
}

static struct shared *mishap_shared;

static inline ssize_t mishap_pread(int fd, void *p, size_t n, off_t at)
{
	errno = mishap_shared->pread_error;
	mishap_shared->pread_errors += errno != 0;
	return errno ? -1 : store_sys_real.pread(fd, p, n, at);
}

static inline void mishap_arm(struct harness *h)
{
	static struct store_sys sys = {.pwrite = mishap_pwrite, .fdatasync = mishap_fdatasync, .fsync = mishap_fsync, .create = mishap_create,
		.allocate = mishap_allocate};
	static struct store_sys reads;
	mishap_shared = h->shared;
	reads = store_sys_real;
	reads.pread = sys.pread = mishap_pread;
	queue_sys = harness_mishap.what != MISHAP_NONE ? &sys : &reads;
}

static inline void queue_child(struct harness *h, int lifeline)
{
	struct err e;
	char state[80];
	char *argv[] = {(char[]){"postern-queue"}, (char[]){"-"}, (char[]){"0"}, state, NULL};
	int none = open("/dev/null", O_RDWR); /* no other agent than local, no skim */
	const int port[] = {h->jobs[1], h->route[0], h->local[0], none, none, none, none, h->listen, none};
	enum { PORTS = sizeof port / sizeof *port };
	int settings = control_pack(&h->settings, BIT(P_QUEUE), &e), high[2 + PORTS];
	snprintf(state, sizeof state, "%s", h->spool);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (geteuid() == 0 && (setgid(PLAIN_USER) < 0 || setuid(PLAIN_USER) < 0))
		die("setuid");
	if (harness_quiet) {
		const char *to = getenv("HARNESS_LOG");
		int null = open(to ? to : "/dev/null", O_WRONLY | O_APPEND | O_CREAT, 0666);
		dup2(null, 2);
		close(null);
	}
	high[0] = fcntl(lifeline, F_DUPFD, 200);
	high[1] = fcntl(settings, F_DUPFD, 200);
	for (int i = 0; i < PORTS; i++)
		high[2 + i] = fcntl(port[i], F_DUPFD, 200);
	for (int i = 0; i < 2 + PORTS; i++)
		dup2(high[i], 3 + i);
	mishap_arm(h);
	if (harness_mishap.trace)
		raise(SIGSTOP);
	_exit(queue_run(4, argv));
}

/* strace holds the child before it goes on; it kills it at the call that the expression names. */
static inline void trace_child(struct harness *h)
{
	char pid[16], path[40], text[2048];
	int status;
	waitpid(h->queue, &status, WUNTRACED);
	snprintf(pid, sizeof pid, "%d", (int)h->queue);
	snprintf(path, sizeof path, "/proc/%d/status", (int)h->queue);
	if (fork() == 0) {
		execlp("strace", "strace", "-qq", "-o", "/dev/null", "-e", harness_mishap.trace, "-p", pid, (char *)NULL);
		_exit(1);
	}
	for (int i = 0; i < 2000; i++) {
		int fd = open(path, O_RDONLY);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
		close(fd);
		text[n > 0 ? n : 0] = 0;
		const char *tracer = strstr(text, "TracerPid:\t");
		if (tracer && tracer[11] != '0')
			break;
		usleep(1000);
	}
	kill(h->queue, SIGCONT);
}

static inline void queue_start(struct harness *h)
{
	int pair[2];
	char text[16];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		die("lifeline");
	h->queue = fork();
	if (h->queue == 0)
		queue_child(h, pair[1]);
	close(pair[1]);
	h->lifeline = pair[0];
	if (harness_mishap.trace)
		trace_child(h);
	ssize_t n = recv(h->lifeline, text, sizeof text, 0);
	if ((n != 5 || memcmp(text, "ready", 5) != 0) && harness_mishap.what != MISHAP_NONE)
		return; /* killed while it started */
	if (n != 5 || memcmp(text, "ready", 5) != 0) {
		fprintf(stderr, "the queue did not start: %.*s\n", n > 0 ? (int)n : 0, text);
		abort();
	}
}

static inline int queue_end(struct harness *h, int sig)
{
	int status = 0;
	kill(h->queue, sig);
	/* The supervisor repeats SIGTERM, in case it came between a look at the flag and the wait. */
	for (int i = 0; waitpid(h->queue, &status, WNOHANG) == 0; i++) {
		usleep(1000);
		if (i % 200 == 199)
			kill(h->queue, sig);
	}
	close(h->lifeline);
	return status;
}

/* SETTINGS: "name\tvalue\n" lines beside me. */
static inline void harness_open(struct harness *h, const char *const settings[][2])
{
	struct err e;
	struct rlimit files = {65536, 65536};
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	setrlimit(RLIMIT_NOFILE, &files);
	*h = (struct harness){0};
	snprintf(h->spool, sizeof h->spool, "/tmp/postern-queue.XXXXXX");
	snprintf(h->control, sizeof h->control, "/tmp/postern-control.XXXXXX");
	char path[96];
	if (!mkdtemp(h->spool) || !mkdtemp(h->control))
		die("mkdtemp");
	snprintf(path, sizeof path, "%s/queue", h->spool);
	mkdir(path, 0700);
	if (chown(h->spool, PLAIN_USER, PLAIN_USER) < 0 || chown(path, PLAIN_USER, PLAIN_USER) < 0)
		errno = 0;
	write_file(h->control, "me", "mx.here.test\n");
	write_file(h->control, "queuereserve", "1048576\n");
	for (size_t i = 0; settings && settings[i][0]; i++)
		write_file(h->control, settings[i][0], settings[i][1]);
	if (control_read(&h->settings, h->control, ~0ul, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		abort();
	}
	h->shared = mmap(NULL, sizeof *h->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (h->shared == MAP_FAILED || socketpair(AF_UNIX, SOCK_DGRAM, 0, h->jobs) < 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, h->route) < 0 ||
	    socketpair(AF_UNIX, SOCK_DGRAM, 0, h->local) < 0)
		die("harness");
	h->listen = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	snprintf(sa.sun_path, sizeof sa.sun_path, "%s/queue.sock", h->spool);
	if (bind(h->listen, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(h->listen, 8) < 0)
		die("listen");
	h->route_pid = helper(h, h->route[1], true);
	h->local_pid = helper(h, h->local[1], false);
	queue_start(h);
}

/* Control file NAME has another content, and the queue takes it over as by SIGHUP of the suite, or at its next start where it is dead (false). */
static inline bool harness_reload(struct harness *h, const char *name, const char *text)
{
	struct err e;
	write_file(h->control, name, text);
	control_free(&h->settings);
	int fd = control_read(&h->settings, h->control, ~0ul, &e) < 0 ? -1 : control_pack(&h->settings, BIT(P_QUEUE), &e);
	if (fd < 0)
		die("reload");
	bool sent = pass_send(h->lifeline, slice_str("settings"), &fd, 1, deadline_in(1000), &e) == 0;
	close(fd);
	return sent;
}

static inline void harness_close(struct harness *h)
{
	char command[200];
	kill(h->route_pid, SIGKILL);
	kill(h->local_pid, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	const char *folders[] = {h->spool, h->control};
	for (int i = 0; i < 2; i++) {
		snprintf(command, sizeof command, "%s", folders[i]);
		pid_t pid = fork();
		if (pid == 0) {
			execlp("rm", "rm", "-rf", command, (char *)NULL);
			_exit(1);
		}
		waitpid(pid, NULL, 0);
	}
	munmap(h->shared, sizeof *h->shared);
	control_free(&h->settings);
	for (int i = 0; i < 2; i++) {
		close(h->jobs[i]);
		close(h->route[i]);
		close(h->local[i]);
	}
	close(h->listen);
}

static int64_t harness_age_sec; /* how long ago the jobs made now were received */
static const char *harness_notify = ""; /* NOTIFY of their recipients, as in struct recipient */

/* A job for RCPTS from SENDER, its subject MARK; BODY_FD is shared by all that use the same. */
static inline void job_make(struct job *job, const char *sender, const char *const *rcpts, size_t count, long long mark, int body_fd)
{
	struct err e;
	char header[200];
	static struct recipient r[RECIPIENTS_MAX];
	for (size_t i = 0; i < count; i++)
		r[i] = (struct recipient){.address = slice_str(rcpts[i]), .notify = {harness_notify[0], harness_notify[0] ? harness_notify[1] : 0}};
	*job = JOB_INIT;
	id_make(job->id);
	struct envelope env = {
		.id = slice_str(job->id), .class = CLASS_OUTSIDE, .wall_usec = clock_wall_usec() - harness_age_sec * 1000000, .sender = slice_str(sender), .rcpt = r, .rcpts = count,
		.client_ip = slice_str("192.0.2.1"), .helo = slice_str("client.test")};
	snprintf(header, sizeof header, "From: <%s>\nSubject: %lld\nMessage-ID: <%s@client.test>\n\n", sender, mark, job->id);
	job->head_fd = job_make_head(&env, &(struct slice){header, strlen(header)}, 1, &e);
	job->body_fd = body_fd;
	if (job->head_fd < 0)
		die("job");
}

/* Send it; the answer comes on the descriptor. */
static inline int job_offer(struct harness *h, struct job *job)
{
	struct err e;
	int mine;
	if (answer_pair(&mine, &job->reply_fd, &e) < 0 || job_send(h->jobs[0], job, deadline_in(10000), &e) < 0)
		die("offer");
	close(job->reply_fd);
	close(job->head_fd);
	return mine;
}

static inline int body_of(size_t octets)
{
	struct err e;
	char *p = malloc(octets + 1);
	memset(p, 'x', octets);
	for (size_t i = 71; i < octets; i += 72)
		p[i] = '\n';
	if (octets)
		p[octets - 1] = '\n';
	int fd = memfd_with("body", slice_make(p, octets), &e);
	free(p);
	return fd;
}

static inline int send_one(struct harness *h, const char *sender, const char *const *rcpts, size_t count, long long mark, char text[ANSWER_MAX + 1])
{
	struct job job;
	struct err e;
	int code = 0, body = body_of(4000);
	job_make(&job, sender, rcpts, count, mark, body);
	int mine = job_offer(h, &job);
	if (answer_wait(&code, text, mine, deadline_in(10000), &e) < 0)
		code = 0;
	close(mine);
	close(body);
	return code;
}

static inline bool until(bool (*yes)(struct harness *h), struct harness *h)
{
	for (int i = 0; i < 2000; i++) {
		if (yes(h))
			return true;
		usleep(5000);
	}
	return false;
}

/* Rows of one command, flattened to "key=value;…\n". */
static inline int command_of(struct harness *h, char *out, size_t size, const struct slice *args, size_t count)
{
	static char space[COMMAND_MAX];
	char path[96];
	struct err e;
	struct slice row[64];
	struct buf b = {out, 0, size - 1, size - 1, false};
	int fd, code = -1, rc = 0;
	size_t n;
	snprintf(path, sizeof path, "%s/queue.sock", h->spool);
	if (command_call(&fd, path, args, count, &e) < 0)
		return -1;
	while (rc == 0 && (rc = command_next(fd, space, row, 64, &n, &code, deadline_in(5000), &e)) == 0) {
		for (size_t i = 0; i + 1 < n; i += 2)
			buf_add_format(&b, "%.*s=%.*s;", SLICE_FMT(row[i]), SLICE_FMT(row[i + 1]));
		buf_add_char(&b, '\n');
	}
	close(fd);
	out[b.n] = 0;
	return rc == 1 ? code : -1;
}

static inline int command(struct harness *h, char *out, size_t size, const char *verb, const char *arg, const char *arg2)
{
	const struct slice args[3] = {slice_str(verb), slice_str(arg), slice_str(arg2)};
	return command_of(h, out, size, args, arg2 ? 3 : arg ? 2 : 1);
}

static char rows[1 << 20];

static inline bool empty(struct harness *h)
{
	return command(h, rows, sizeof rows, "list", NULL, NULL) == 0 && !rows[0];
}
#endif
