/* See process.h. */
#include "tests/harness/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

double cpu_sec(pid_t pid)
{
	char path[40], text[1024];
	unsigned long user = 0, sys = 0;
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	const char *at = strrchr(text, ')');
	if (at)
		sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys);
	return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

long long resident_octets(pid_t pid)
{
	char path[40], text[2048];
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	const char *at = strstr(text, "VmRSS:");
	return at ? atoll(at + 6) * 1024 : 0;
}
