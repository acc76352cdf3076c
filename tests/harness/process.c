/* See process.h. */
#include "tests/harness/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/io.h"

void die(const char *what)
{
	perror(what);
	abort();
}

void write_file(const char *folder, const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die(path);
	close(fd);
}

int process_end(pid_t pid, int sig, int kill_msec)
{
	int status = 0;
	kill(pid, sig);
	/* In case it came between a look at the flag and the wait. */
	for (int i = 1; waitpid(pid, &status, WNOHANG) == 0; i++) {
		usleep(500);
		if (i % 400 == 0)
			kill(pid, kill_msec && i > 2 * kill_msec ? SIGKILL : sig);
	}
	return status;
}

void process_trace(pid_t pid, const char *what, const char *file)
{
	char number[16], path[40], text[4096];
	int status;
	waitpid(pid, &status, WUNTRACED);
	snprintf(number, sizeof number, "%d", (int)pid);
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	if (fork() == 0) {
		execlp("strace", "strace", "-qq", "-o", file ? file : "/dev/null", "-e", what, "-p", number, (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 4000; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
		close(fd);
		text[n > 0 ? n : 0] = 0;
		const char *tracer = strstr(text, "TracerPid:\t");
		if (tracer && tracer[11] != '0')
			break;
		usleep(500);
	}
	kill(pid, SIGCONT);
}

int number_set(const char *name, int otherwise)
{
	const char *set = getenv(name);
	long long v = otherwise;
	if (set && slice_number(&v, slice_str(set), 1, 100000000) < 0) {
		errno = EINVAL;
		die(name);
	}
	return (int)v;
}

int open_fds(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* /proc/PID/NAME; empty where there is none. */
static void read_proc(char *text, size_t size, pid_t pid, const char *name)
{
	char path[40];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, size - 1);
	close_fd(&fd);
	text[n > 0 ? n : 0] = 0;
}

double cpu_sec(pid_t pid)
{
	char text[1024];
	unsigned long user = 0, sys = 0;
	read_proc(text, sizeof text, pid, "stat");
	const char *at = strrchr(text, ')');
	if (at)
		sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys);
	return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

long long resident_octets(pid_t pid)
{
	char text[2048];
	read_proc(text, sizeof text, pid, "status");
	const char *at = strstr(text, "VmRSS:");
	return at ? atoll(at + 6) * 1024 : 0;
}
