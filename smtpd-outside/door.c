/* postern-door's loop: epoll, deadlines, reload, stop.  See door.h for the states of a client.
 *
 * Within one batch of events only the client of each event is closed or changed, so no event can meet a client that an earlier
 * one freed; whatever concerns other clients (handing over those who wait) happens after the batch. */
#include "smtpd-outside/door.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/program.h"

#define EVENTS_MAX 256
#define OWN_DESCRIPTORS 32u  /* lifeline, log, epoll, a caller or two, one handover under way */
#define LINES_PER_SECOND 200u
#define SEND_BUFFER_OCTETS 32768 /* the kernel takes twice that, with its own overhead */
#define LINGER_AT_STOP_MSEC 1000
#define DRAIN_MSEC 600000 /* replaced: the longest delay, and the longest wait for a session */

int door_watch(struct door *d, struct watch *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};
	if (epoll_ctl(d->epoll_fd, w->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, w->fd, &ev) < 0)
		return E_SYS;
	w->added = true;
	return 0;
}

void door_unwatch(struct door *d, struct watch *w)
{
	if (w->added)
		epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	w->added = false;
}

bool door_may_log(struct door *d)
{
	int64_t second = d->now / 1000;
	if (second != d->log_second) {
		if (d->log_left_out)
			LOG(EV_door_quiet, NULL, F_NUM("lines", d->log_left_out));
		d->log_second = second;
		d->log_count = d->log_left_out = 0;
	}
	if (d->log_count++ < LINES_PER_SECOND)
		return true;
	d->log_left_out++;
	return false;
}

/* As many clients and sessions as there are descriptors for; so a handover, which needs two for a moment, never lacks them. */
static unsigned clients_most(const struct door *d)
{
	struct rlimit limit;
	rlim_t own = OWN_DESCRIPTORS + d->listeners;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= own)
		return 1;
	return limit.rlim_cur - own > UINT32_MAX / 2 ? UINT32_MAX / 2 : (unsigned)(limit.rlim_cur - own);
}

/* Set on the listening socket; connections inherit it.  Replies are short: a client that does not take them shall not keep megabytes of
 * the kernel's memory, as it could with a buffer that grows. */
static void tune(int fd)
{
	int on = 1, octets = SEND_BUFFER_OCTETS;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets);
}

static int open_listeners(struct door *d, const struct control *c, int first_fd, unsigned count, struct err *e)
{
	struct listen_line line[LISTEN_MAX];
	int r = listen_parse_lane(line, &d->listeners, c, d->lane, e);
	if (r < 0)
		return r;
	if (d->listeners != count)
		return err_set(e, E_PEER, "control/listen has %zu lines for this door, but %u listening sockets came", d->listeners, count);
	for (size_t i = 0; i < d->listeners; i++) {
		d->listener[i] = (struct door_listener){{WATCH_LISTEN, first_fd + (int)i, false}, line[i]};
		tune(first_fd + (int)i);
	}
	return 0;
}

int door_open(struct door *d, const struct control *c, enum lane lane, int smtpd_fd, int dns_fd, int command_fd, int lifeline_fd, int first_listen_fd,
	unsigned listen_count, struct err *e)
{
	*d = (struct door){.lane = lane, .smtpd_again = DEADLINE_NEVER, .accept_again = DEADLINE_NEVER, .now = clock_msec()};
	d->full_logged = d->fault_logged = d->now - 60000;
	d->smtpd = (struct watch){WATCH_SMTPD, smtpd_fd, false};
	d->dns = (struct door_dns){.watch = {WATCH_DNS, -1, false}, .port = dns_fd, .logged = d->now - 60000};
	d->command = (struct watch){WATCH_COMMAND, command_fd, false};
	d->lifeline = (struct watch){WATCH_LIFELINE, lifeline_fd, false};
	int r = door_settings_read(&d->set, c, lane, e);
	if (r == 0)
		r = open_listeners(d, c, first_listen_fd, listen_count, e);
	if (r < 0)
		return r;
	d->clients_most = clients_most(d);
	d->limits = limits_make();
	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	d->reserve_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	if (!d->limits || d->epoll_fd < 0 || d->reserve_fd < 0)
		return err_sys(e, "set up");
	if (door_watch(d, &d->lifeline, EPOLLIN) < 0 || (command_fd >= 0 && door_watch(d, &d->command, EPOLLIN) < 0))
		return err_sys(e, "epoll");
	return 0;
}

int door_take_blocks(struct door *d, int fd, struct err *e)
{
	d->block_orders = (struct watch){WATCH_BLOCKS, fd, false};
	d->blocks = door_blocks_make();
	return !d->blocks || (fd >= 0 && door_watch(d, &d->block_orders, EPOLLIN) < 0) ? err_sys(e, "set up") : 0;
}

static void take_block(struct door *d)
{
	char space[DOOR_BLOCK_OCTETS];
	struct ip ip;
	struct err e;
	int64_t seconds;
	int fds[PASS_FDS_MAX];
	size_t n, count = 0;
	int rc = pass_recv(d->block_orders.fd, space, sizeof space, &n, fds, &count, deadline_in(0), &e);
	close_fds(fds, count);
	if (rc == 0 && door_block_decode(&ip, &seconds, slice_make(space, n), &e) == 0)
		door_blocks_set(d->blocks, &ip, seconds, d->now);
}

/* New settings count from the next look-up on; those who wait keep their place. */
static void reload(struct door *d)
{
	struct err e;
	struct door_settings fresh;
	if (program_replaced()) {
		d->stopping = true;
		return;
	}
	int r = program_reload(&e);
	if (r == E_EOF || r == E_SYS)
		d->stopping = true;
	if (r == 0)
		r = door_settings_read(&fresh, program_control(), d->lane, &e);
	if (r < 0) {
		if (!d->stopping)
			LOG(EV_control_fault, NULL, F_ERR(&e));
		return;
	}
	door_settings_free(&d->set);
	d->set = fresh;
	LOG(EV_door_settings, NULL, F_STR("rules", fresh.rules ? "yes" : "no"));
}

static void dispatch(struct door *d, struct watch *w, uint32_t events)
{
	switch (w->kind) {
	case WATCH_CLIENT:
		door_client_event(d, (struct client *)w, events);
		break;
	case WATCH_LISTEN:
		if (w->added) /* not suspended earlier in this batch */
			door_accept(d, (struct door_listener *)w);
		break;
	case WATCH_SMTPD:
		door_unwatch(d, w);
		d->smtpd_full = false;
		break;
	case WATCH_LIFELINE:
		reload(d);
		break;
	case WATCH_COMMAND:
		door_command_accept(d);
		break;
	case WATCH_DNS:
		d->dns.readable = true; /* its answers concern other clients: after the batch */
		break;
	case WATCH_CALLER:
		door_command_event(d, w);
		break;
	case WATCH_BLOCKS:
		take_block(d);
		break;
	}
}

static int64_t earliest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void wait_and_dispatch(struct door *d)
{
	struct epoll_event ev[EVENTS_MAX];
	int64_t next = earliest(door_timer_next(d), earliest(door_dns_again(d), earliest(d->smtpd_again, d->accept_again)));
	int n = epoll_wait(d->epoll_fd, ev, EVENTS_MAX, deadline_left(next));
	d->now = clock_msec();
	for (int i = 0; i < n; i++)
		dispatch(d, ev[i].data.ptr, ev[i].events);
}

static void after_batch(struct door *d)
{
	struct client *c;
	if (d->smtpd_again <= d->now) {
		d->smtpd_again = DEADLINE_NEVER;
		d->smtpd_full = false;
	}
	if (d->accept_again <= d->now)
		door_accept_resume(d);
	if (d->dns.readable)
		door_dns_event(d);
	while ((c = door_timer_due(d)))
		door_client_timeout(d, c);
	door_dns_send(d);
	door_hand_over_ready(d);
}

static const char restarting[] = "421 4.3.2 the service is being restarted, try again";

static void stop_listening(struct door *d)
{
	for (size_t i = 0; i < d->listeners; i++)
		door_unwatch(d, &d->listener[i].watch);
	door_unwatch(d, &d->block_orders); /* they are for who listens now */
	d->accept_again = DEADLINE_NEVER;
}

/* All who have a deadline but are not ready; closing one changes the heap, so they are listed first. */
static void close_unready(struct door *d)
{
	struct client *list = NULL;
	for (unsigned at = 1; at <= d->heap_count; at++) {
		struct client *c = d->heap[at];
		if (c->state == CLIENT_READY || c->state == CLIENT_LINGER)
			continue;
		door_dns_forget(d, c);
		c->next = list;
		list = c;
	}
	for (struct client *next; list; list = next) {
		next = list->next;
		door_client_refuse(d, list, restarting);
	}
}

/* Where another door has taken over (control/listen was changed, or DNS is asked for the first time) all who wait keep their place here.  Else those ready still
 * get to smtpd, for a moment; all others are told to come again.  Sessions live on: they ignore that the
 * other end of their token is gone. */
static void stop(struct door *d)
{
	int64_t end = clock_msec() + LINGER_AT_STOP_MSEC;
	LOG(EV_door_closing, NULL, F_NUM("sessions", d->sessions), F_NUM("waiting", d->waiting));
	d->stopping = true;
	stop_listening(d);
	door_unwatch(d, &d->lifeline);
	door_unwatch(d, &d->command); /* for the door that took over */
	while (program_replaced() && d->waiting && clock_msec() < end + DRAIN_MSEC) {
		wait_and_dispatch(d);
		after_batch(d);
	}
	close_unready(d);
	end = clock_msec() + LINGER_AT_STOP_MSEC;
	while (d->first && clock_msec() < end) {
		d->smtpd_again = earliest(d->smtpd_again, clock_msec() + 50);
		wait_and_dispatch(d);
		after_batch(d);
	}
	while (d->first)
		door_client_refuse(d, d->first, restarting);
}

void door_run(struct door *d)
{
	door_accept_resume(d);
	while (!program_stopping() && !d->stopping) {
		wait_and_dispatch(d);
		after_batch(d);
	}
	stop(d);
}
