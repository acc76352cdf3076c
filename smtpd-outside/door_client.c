/* One client of the door: coming, waiting, being told, going.  Part of postern-door; whether it is let in is door_admit.c's.
 *
 * The client is hostile: all that is read of it here is whether it sent something too early; nothing it does costs more than its own
 * struct and ends anything but its own connection. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "smtpd-outside/door.h"

#define LINE_MAX 512 /* RFC 5321 4.5.3.1.5, with CR LF */
#define LINGER_MSEC 2000

struct client *door_client_new(struct door *d, int fd, unsigned listener)
{
	struct client *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	c->watch = (struct watch){WATCH_CLIENT, fd, false};
	c->listener = listener;
	c->came = d->now;
	d->waiting++;
	return c;
}

void door_client_close(struct door *d, struct client *c)
{
	if (c->state == CLIENT_SESSION)
		d->sessions--;
	else
		d->waiting--;
	if (c->state == CLIENT_READY)
		door_ready_remove(d, c);
	door_admit_uncount(d, c);
	door_talk_end(d, c);
	door_dns_forget(d, c);
	door_timer_clear(d, c);
	close_fd(&c->watch.fd); /* the last reference: that takes it out of the epoll set too */
	free(c->host);
	free(c->refusal);
	free(c);
}

bool door_client_tls_first(const struct door *d, const struct client *c)
{
	return d->listener[c->listener].line.name == LISTEN_SUBMISSIONS;
}

static bool say(int fd, int more, const char *format, va_list ap)
{
	char line[LINE_MAX + 1];
	int n = vsnprintf(line, LINE_MAX - 1, format, ap);
	if (n < 0)
		return false;
	size_t len = n < LINE_MAX - 2 ? (size_t)n : LINE_MAX - 2;
	memcpy(line + len, "\r\n", 2);
	return send(fd, line, len + 2, more | MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len + 2;
}

bool door_say(int fd, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	bool said = say(fd, 0, format, ap);
	va_end(ap);
	return said;
}

void door_say_last(int fd, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	(void)say(fd, MSG_MORE, format, ap);
	va_end(ap);
	shutdown(fd, SHUT_WR);
}

/* The end alone, where TLS comes first. */
static void last_line(const struct door *d, const struct client *c, const char *line)
{
	if (door_client_tls_first(d, c))
		shutdown(c->watch.fd, SHUT_WR);
	else
		door_say_last(c->watch.fd, "%s", line);
}

void door_client_refuse(struct door *d, struct client *c, const char *line)
{
	last_line(d, c, line);
	door_client_close(d, c);
}

/* Away with what came, up to a bound; false at the end of file. */
static bool drain(int fd)
{
	char space[4096];
	for (int i = 0; i < 16; i++) {
		ssize_t n = recv(fd, space, sizeof space, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		if (n < 0)
			return true;
	}
	return true;
}

void door_client_linger(struct door *d, struct client *c, const char *line)
{
	last_line(d, c, line);
	c->state = CLIENT_LINGER;
	if (!drain(c->watch.fd) || door_watch(d, &c->watch, EPOLLIN) < 0 || door_timer_set(d, c, d->now + LINGER_MSEC) < 0)
		door_client_close(d, c);
}

void door_client_log(struct door *d, const struct client *c, enum log_event event, const char *key, const char *value)
{
	char ip[INET6_ADDRSTRLEN];
	ip_text(ip, &c->ip);
	if (!door_may_log(d))
		return;
	if (key)
		LOG(event, NULL, F_STR("ip", ip), F_STR(key, value));
	else
		LOG(event, NULL, F_STR("ip", ip));
}

void door_client_wait(struct door *d, struct client *c, int64_t deadline)
{
	if (door_watch(d, &c->watch, c->tolerated ? 0 : EPOLLIN) < 0 || door_timer_set(d, c, deadline) < 0)
		door_client_refuse(d, c, "421 4.3.2 out of memory, try again later");
}

/* What waits in the socket: 1 octets, 0 nothing yet, -1 the client is gone. */
static int pending(int fd)
{
	char one;
	ssize_t n = recv(fd, &one, 1, MSG_PEEK | MSG_DONTWAIT);
	return n > 0 ? 1 : n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static void greet_event(struct door *d, struct client *c, uint32_t events)
{
	int octets = pending(c->watch.fd);
	if (octets < 0 || events & (EPOLLHUP | EPOLLERR)) {
		door_client_close(d, c);
	} else if (octets > 0) {
		door_client_log(d, c, EV_door_early, "action", "refused");
		door_client_linger(d, c, "554 5.5.1 SMTP protocol violation");
	}
}

/* One that is ready need not be told from one that has hung up its half: those who sent something may still want the answer. */
static void ready_event(struct door *d, struct client *c, uint32_t events)
{
	if (events & (EPOLLHUP | EPOLLERR) || pending(c->watch.fd) < 0 || door_watch(d, &c->watch, 0) < 0)
		door_client_close(d, c);
}

void door_client_event(struct door *d, struct client *c, uint32_t events)
{
	switch (c->state) {
	case CLIENT_PROXY:
		door_proxy_event(d, c, events);
		break;
	case CLIENT_NAME:
	case CLIENT_GREET:
		greet_event(d, c, events);
		break;
	case CLIENT_READY:
		ready_event(d, c, events);
		break;
	case CLIENT_BLOCKED:
		door_talk_event(d, c);
		break;
	case CLIENT_LINGER:
		if (!drain(c->watch.fd))
			door_client_close(d, c);
		break;
	case CLIENT_SESSION:
		door_session_end(d, c);
		break;
	}
}

/* The delay is over, or after it the patience with DNS. */
static void greet_timeout(struct door *d, struct client *c)
{
	if (!c->greeted && c->tolerated && !door_client_tls_first(d, c) && pending(c->watch.fd) > 0)
		door_client_log(d, c, EV_door_early, "action", "tolerated");
	if (c->asked && !c->greeted && c->dns_deadline > d->now) {
		c->greeted = true;
		door_client_wait(d, c, c->dns_deadline);
		return;
	}
	c->greeted = true;
	if (c->asked) {
		door_dns_forget(d, c);
		door_admit_answered(d, c, NULL);
	} else {
		door_ready(d, c);
	}
}

void door_client_timeout(struct door *d, struct client *c)
{
	switch (c->state) {
	case CLIENT_NAME:
		door_dns_forget(d, c);
		door_admit_answered(d, c, NULL);
		break;
	case CLIENT_GREET:
		greet_timeout(d, c);
		break;
	case CLIENT_PROXY:
		door_client_log(d, c, EV_door_proxy, "error", "no PROXY header in time");
		door_client_close(d, c);
		break;
	case CLIENT_READY:
		door_client_log(d, c, EV_door_refused, "reason", "no session became free in time");
		door_client_refuse(d, c, "421 4.3.2 all sessions are busy, try again later");
		break;
	case CLIENT_BLOCKED:
		door_client_refuse(d, c, "421 4.4.2 timeout, closing connection");
		break;
	default:
		door_client_close(d, c);
	}
}
