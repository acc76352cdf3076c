/* load: an SMTP client that sends as fast as it is answered, one event loop, and tells how long answers took.
 *
 *	load HOST PORT MESSAGES SESSIONS OCTETS one|kept|none RECIPIENT...
 *
 * one: a connection for each message; kept: connections are kept; none: no message, connect, EHLO, QUIT.  Every command waits for its answer.
 * Recipients take turns.  Prints: seconds, and milliseconds of the answer to the message (of the session with none): median, 99 %, most.
 * Exit 1: an answer was not the wanted one, told on standard error; 111: the system or the server gave up. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum step { GREETING, EHLO, MAIL, RCPT, DATA, BODY, QUIT };
struct session {
	int fd;
	enum step step;
	bool waits;       /* for room to send */
	double since;     /* of what the latency is measured from */
	size_t have, put; /* octets of an answer; octets of the message that are out */
	char answer[4096];
};

static struct sockaddr_in to;
static long messages, begun, ended;
static const char *how;
static char **recipient, *body;
static size_t recipients, body_octets;
static double *took;
static int poller;

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	perror(what);
	exit(111);
}

static void watch(struct session *s, int operation, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = s};
	if (epoll_ctl(poller, operation, s->fd, &e) < 0)
		die("epoll");
}

static void say(struct session *s, const char *line)
{
	if (write(s->fd, line, strlen(line)) != (ssize_t)strlen(line))
		die("send");
}

/* The next message of this session, or none: false. */
static int begin(struct session *s)
{
	if (begun == messages)
		return 0;
	begun++;
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct session){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .step = GREETING, .since = now()};
	int on = 1;
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&to, sizeof to) < 0)
		die("connect");
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	watch(s, EPOLL_CTL_ADD, EPOLLIN);
	return 1;
}

static void send_body(struct session *s)
{
	ssize_t n = send(s->fd, body + s->put, body_octets - s->put, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN)
		die("send");
	s->put += n > 0 ? (size_t)n : 0;
	if (s->waits != (s->put < body_octets))
		watch(s, EPOLL_CTL_MOD, (s->waits = !s->waits) ? EPOLLOUT | EPOLLIN : EPOLLIN);
	if (!s->waits)
		s->since = now();
}

static void mail(struct session *s)
{
	say(s, "MAIL FROM:<sender@client.test>\r\n");
	s->step = MAIL;
}

static void quit(struct session *s)
{
	say(s, "QUIT\r\n");
	s->step = QUIT;
}

static void message_done(struct session *s)
{
	took[ended++] = now() - s->since;
	if (*how == 'k' && begun < messages) {
		begun++;
		mail(s);
	} else {
		quit(s);
	}
}

static void answered(struct session *s, int code)
{
	static const int wanted[] = {220, 250, 250, 250, 354, 250, 221};
	static size_t turn;
	char line[400];
	if (code != wanted[s->step]) {
		fprintf(stderr, "answer %d instead of %d: %.200s", code, wanted[s->step], s->answer);
		exit(1);
	}
	switch (s->step) {
	case GREETING:
		say(s, "EHLO client.test\r\n");
		s->step = EHLO;
		return;
	case EHLO:
		if (*how == 'n')
			quit(s);
		else
			mail(s);
		return;
	case MAIL:
		snprintf(line, sizeof line, "RCPT TO:<%s>\r\n", recipient[turn++ % recipients]);
		say(s, line);
		s->step = RCPT;
		return;
	case RCPT:
		say(s, "DATA\r\n");
		s->step = DATA;
		return;
	case DATA:
		s->step = BODY;
		s->put = 0;
		send_body(s);
		return;
	case BODY:
		message_done(s);
		return;
	case QUIT:
		if (*how == 'n')
			took[ended++] = now() - s->since;
		if (!begin(s)) {
			close(s->fd);
			s->fd = -1;
		}
		return;
	}
}

/* An answer ends with a line whose fourth octet is a blank. */
static void readable(struct session *s)
{
	ssize_t n = recv(s->fd, s->answer + s->have, sizeof s->answer - 1 - s->have, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		fprintf(stderr, "the server closed the connection\n");
		exit(111);
	}
	s->have += (size_t)n;
	s->answer[s->have] = 0;
	char *last = s->answer;
	for (char *p; (p = strchr(last, '\n')) && p[1]; last = p + 1)
		;
	if (s->answer[s->have - 1] != '\n' || strlen(last) < 4 || last[3] != ' ')
		return;
	s->have = 0;
	answered(s, (int)strtol(last, NULL, 10));
}

static void make_body(size_t octets)
{
	static const char head[] = "From: <sender@client.test>\r\nSubject: load\r\nMessage-Id: <load@client.test>\r\n\r\n", line[] = "Quousque tandem abutere, Catilina, patientia nostra, quamdiu furor iste\r\n";
	body = malloc(octets + sizeof head + sizeof line + 8);
	if (!body)
		die("memory");
	memcpy(body, head, body_octets = sizeof head - 1);
	while (body_octets < octets) {
		memcpy(body + body_octets, line, sizeof line - 1);
		body_octets += sizeof line - 1;
	}
	memcpy(body + body_octets, ".\r\n", 3);
	body_octets += 3;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void run(struct session *s, long sessions)
{
	struct epoll_event ready[256];
	for (long i = 0; i < sessions; i++) {
		s[i].fd = -1;
		begin(&s[i]);
	}
	while (ended < messages) {
		int n = epoll_wait(poller, ready, 256, 60000);
		if (n == 0) {
			fprintf(stderr, "no answer for a minute after %ld\n", ended);
			exit(111);
		}
		for (int i = 0; i < n; i++) {
			struct session *one = ready[i].data.ptr;
			if (ready[i].events & EPOLLOUT)
				send_body(one);
			else
				readable(one);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc < 7 || !strchr("okn", *argv[6]) || (*argv[6] != 'n' && argc < 8)) {
		fprintf(stderr, "usage: load HOST PORT MESSAGES SESSIONS OCTETS one|kept|none RECIPIENT...\n");
		return 100;
	}
	to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10))};
	if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		die(argv[1]);
	messages = strtol(argv[3], NULL, 10);
	long sessions = strtol(argv[4], NULL, 10);
	make_body(strtoul(argv[5], NULL, 10));
	how = argv[6];
	recipient = argv + 7;
	recipients = (size_t)argc - 7;
	poller = epoll_create1(EPOLL_CLOEXEC);
	struct session *s = calloc((size_t)sessions, sizeof *s);
	took = calloc((size_t)messages, sizeof *took);
	if (poller < 0 || !s || !took || messages < 1 || sessions < 1)
		die("start");
	double from = now();
	run(s, sessions);
	double seconds = now() - from;
	qsort(took, (size_t)ended, sizeof *took, by_size);
	printf("%.3f %.2f %.2f %.2f\n", seconds, took[ended / 2] * 1e3, took[ended * 99 / 100] * 1e3, took[ended - 1] * 1e3);
	return 0;
}
