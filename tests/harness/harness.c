/* See harness.h. */
#include "tests/harness/harness.h"

#include <errno.h>
#include <fcntl.h>
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

#include "queue/queue.h"
#include "tests/harness/mishap.h"
#include "tests/harness/process.h"

bool harness_quiet;

static void queue_child(struct harness *h, int lifeline)
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
	mishap_arm(h->shared);
	if (harness_mishap.trace)
		raise(SIGSTOP);
	_exit(queue_run(4, argv));
}

void queue_start(struct harness *h)
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
		process_trace(h->queue, harness_mishap.trace, NULL);
	ssize_t n = recv(h->lifeline, text, sizeof text, 0);
	if ((n != 5 || memcmp(text, "ready", 5) != 0) && harness_mishap.what != MISHAP_NONE)
		return; /* killed while it started */
	if (n != 5 || memcmp(text, "ready", 5) != 0) {
		fprintf(stderr, "the queue did not start: %.*s\n", n > 0 ? (int)n : 0, text);
		abort();
	}
}

int queue_end(struct harness *h, int sig)
{
	int status = process_end(h->queue, sig, 0);
	close(h->lifeline);
	return status;
}

void restart(struct harness *h, int sig)
{
	queue_end(h, sig);
	queue_start(h);
}

bool is_dead(struct harness *h)
{
	siginfo_t info = {0};
	return waitid(P_PID, (id_t)h->queue, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == h->queue;
}

void harness_open(struct harness *h, const char *const settings[][2])
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
	h->route_pid = neighbour_start(h->shared, h->route[1], true);
	h->local_pid = neighbour_start(h->shared, h->local[1], false);
	queue_start(h);
}

bool harness_reload(struct harness *h, const char *name, const char *text)
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

void harness_close(struct harness *h)
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
