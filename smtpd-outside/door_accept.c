/* New connections: accept, what to do when descriptors run out, PROXY headers.  Part of postern-door.
 *
 * On a listener marked `proxy` the peer is a balancer whose header is parsed as hostile (proxy.h); it is looked at with MSG_PEEK and
 * taken out to the octet, so that what the client sent behind it stays in the socket for whoever reads next. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "smtpd-outside/door.h"
#include "smtpd-outside/proxy.h"

#define ACCEPT_BATCH 64     /* of one listener in one turn of the loop */
#define PROXY_MSEC 10000
#define PAUSE_MSEC 100

static uint16_t take_address(struct ip *out, const struct sockaddr_storage *from)
{
	if (from->ss_family == AF_INET6) {
		const struct sockaddr_in6 *six = (const void *)from;
		memcpy(out->a, &six->sin6_addr, sizeof out->a);
		return ntohs(six->sin6_port);
	}
	const struct sockaddr_in *four = (const void *)from;
	*out = (struct ip){{[10] = 0xff, [11] = 0xff}};
	memcpy(out->a + 12, &four->sin_addr, 4);
	return ntohs(four->sin_port);
}

static void full(struct door *d, const struct client *c, const char *reason)
{
	char ip[INET6_ADDRSTRLEN];
	ip_text(ip, &c->ip);
	if (door_may_log(d))
		LOG(EV_door_refused, NULL, F_STR("ip", ip), F_STR("reason", reason));
}

/* Room for one more who waits?  Refuses it otherwise. */
static bool has_room(struct door *d, struct client *c)
{
	struct err why;
	char line[400];
	if (d->waiting > d->set.waiting)
		err_set(&why, E_REFUSED, "concurrencywaiting %u of %lld", d->waiting, d->set.waiting);
	else if (d->waiting + d->sessions > d->clients_most)
		err_set(&why, E_REFUSED, "descriptors %u of %u", d->waiting + d->sessions, d->clients_most);
	else
		return true;
	full(d, c, why.text);
	snprintf(line, sizeof line, "421 4.3.2 too many clients are waiting (%s), try again later", why.text);
	door_client_refuse(d, c, line);
	return false;
}

static void begin(struct door *d, int fd, unsigned listener, const struct sockaddr_storage *from)
{
	struct client *c = door_client_new(d, fd, listener);
	if (!c) {
		close(fd);
		return;
	}
	c->client_port = take_address(&c->ip, from);
	if (!has_room(d, c))
		return;
	if (!d->listener[listener].line.proxy) {
		door_admit(d, c);
		return;
	}
	c->state = CLIENT_PROXY;
	if (door_watch(d, &c->watch, EPOLLIN | EPOLLRDHUP | EPOLLET) < 0 || door_timer_set(d, c, d->now + PROXY_MSEC) < 0)
		door_client_close(d, c);
}

static int accept_one(const struct door_listener *l, struct sockaddr_storage *from)
{
	socklen_t size = sizeof *from;
	return accept4(l->watch.fd, (struct sockaddr *)from, &size, SOCK_CLOEXEC);
}

/* No descriptor is left: with the reserve one client is answered and closed, then listening pauses for a moment, so that the loop does
 * not spin on a socket that stays readable. */
static void out_of_descriptors(struct door *d, struct door_listener *l)
{
	struct sockaddr_storage from;
	close_fd(&d->reserve_fd);
	int fd = accept_one(l, &from);
	if (fd >= 0) {
		door_say_last(fd, "421 4.3.2 out of descriptors, try again later");
		close(fd);
	}
	d->reserve_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	if (door_may_log(d))
		LOG(EV_door_refused, NULL, F_STR("ip", "-"), F_STR("reason", "out of descriptors"));
	d->accept_again = d->now + PAUSE_MSEC;
	for (size_t i = 0; i < d->listeners; i++)
		door_unwatch(d, &d->listener[i].watch);
}

void door_accept_resume(struct door *d)
{
	d->accept_again = DEADLINE_NEVER;
	for (size_t i = 0; i < d->listeners; i++)
		if (door_watch(d, &d->listener[i].watch, EPOLLIN) < 0)
			d->accept_again = d->now + PAUSE_MSEC;
}

void door_accept(struct door *d, struct door_listener *l)
{
	struct sockaddr_storage from;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept_one(l, &from);
		if (fd >= 0) {
			begin(d, fd, (unsigned)(l - d->listener), &from);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			out_of_descriptors(d, l);
			return;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} /* ECONNABORTED and errors of the one connection: go on with the next */
	}
}

static void bad_proxy(struct door *d, struct client *c, const char *why)
{
	char ip[INET6_ADDRSTRLEN];
	ip_text(ip, &c->ip);
	if (door_may_log(d))
		LOG(EV_door_proxy, NULL, F_STR("ip", ip), F_STR("error", why));
	door_client_close(d, c);
}

static void take_header(struct door *d, struct client *c, const struct proxy_header *h, size_t used)
{
	char space[PROXY_MAX];
	if (recv(c->watch.fd, space, used, MSG_DONTWAIT) != (ssize_t)used) {
		bad_proxy(d, c, "the header could not be read");
		return;
	}
	if (h->known) {
		c->ip = h->client;
		c->local = h->local;
		c->client_port = h->client_port;
		c->local_port = h->local_port;
		c->local_known = true;
	}
	door_timer_clear(d, c);
	door_unwatch(d, &c->watch);
	door_admit(d, c);
}

void door_proxy_event(struct door *d, struct client *c, uint32_t events)
{
	char space[PROXY_MAX];
	struct proxy_header h;
	size_t used;
	ssize_t n = recv(c->watch.fd, space, sizeof space, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	int r = n > 0 ? proxy_parse(&h, &used, slice_make(space, (size_t)n)) : E_EOF;
	if (r == 0)
		take_header(d, c, &h, used);
	else if (r != E_EOF)
		bad_proxy(d, c, r == E_TOO_LONG ? "the PROXY header is too long" : "not a PROXY header");
	else if (n <= 0 || events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		bad_proxy(d, c, "closed before the PROXY header was whole");
}
