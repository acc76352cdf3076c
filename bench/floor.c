/* floor: answers SMTP commands with fixed lines and does nothing else.
 *
 *	floor PORT        one event loop: what TCP alone costs a server
 *	floor PORT fork   a process for each connection: what that costs besides
 *
 * RCPT is refused.  Every command is believed to come in one piece, as load.c sends it. */
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
	char line[1024];
	ssize_t n = recv(fd, line, sizeof line, 0);
	if (n <= 0 || line[0] == 'Q') {
		if (n > 0)
			say(fd, "221 goodbye\r\n");
		close(fd);
		return false;
	}
	say(fd, line[0] == 'R' ? "550 no\r\n" : "250 ok\r\n");
	return true;
}

static void take(int poller, int listener, bool forks)
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
	bool forks = argc == 3 && !strcmp(argv[2], "fork");
	signal(SIGCHLD, SIG_IGN);
	if (argc < 2 || argc > 2 + forks || bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 1024) < 0) {
		fprintf(stderr, "usage: floor PORT [fork]\n");
		return 100;
	}
	watch(poller, listener);
	for (;;) {
		struct epoll_event e[EVENTS];
		int n = epoll_wait(poller, e, EVENTS, -1);
		for (int i = 0; i < n; i++)
			if (e[i].data.fd == listener)
				take(poller, listener, forks);
			else
				answer(e[i].data.fd);
	}
}
