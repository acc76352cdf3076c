/* floor: answers SMTP commands with fixed lines and does nothing else.
 *
 *	floor PORT [take]       one event loop: what TCP alone costs a server
 *	floor PORT [take] fork  a process for each connection: what that costs besides
 *
 * RCPT is refused, or with "take" all mail is taken and forgotten.  Every command and message is believed to come in one piece, as load.c sends it. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 64

static bool forks, takes;

static void say(int fd, const char *line)
{
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		perror("send");
}

static void watch(int poller, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
	epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
}

/* False: the connection is over. */
static bool answer(int fd)
{
	char line[8192];
	ssize_t n = recv(fd, line, sizeof line, 0);
	if (n <= 0 || line[0] == 'Q') {
		if (n > 0)
			say(fd, "221 goodbye\r\n");
		close(fd);
		return false;
	}
	bool data = n == 6 && memcmp(line, "DATA\r\n", 6) == 0;
	say(fd, data ? "354 go on\r\n" : line[0] == 'R' && !takes ? "550 no\r\n" : "250 ok\r\n");
	return true;
}

static void take(int poller, int listener)
{
	int fd;
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		pid_t pid = forks ? _Fork() : -1;
		if (!forks)
			watch(poller, fd);
		if (pid <= 0)
			say(fd, "220 floor ESMTP\r\n");
		if (pid == 0) {
			while (answer(fd))
				;
			_exit(0);
		}
		if (forks)
			close(fd);
	}
}

int main(int argc, char **argv)
{
	int on = 1, poller = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(argc > 1 ? strtol(argv[1], NULL, 10) : 0)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	for (int i = 2; i < argc; i++) {
		forks |= !strcmp(argv[i], "fork");
		takes |= !strcmp(argv[i], "take");
	}
	signal(SIGCHLD, SIG_IGN);
	if (argc < 2 || argc > 2 + forks + takes || bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 1024) < 0) {
		fprintf(stderr, "usage: floor PORT [take] [fork]\n");
		return 100;
	}
	watch(poller, listener);
	for (;;) {
		struct epoll_event e[EVENTS];
		int n = epoll_wait(poller, e, EVENTS, -1);
		for (int i = 0; i < n; i++)
			if (e[i].data.fd == listener)
				take(poller, listener);
			else
				answer(e[i].data.fd);
	}
}
