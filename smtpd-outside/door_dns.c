/* What postern-dns is asked about clients, and its answers (dns_edge.h).  Part of postern-door.
 *
 * Nothing blocks: a question that does not go out waits in a list.  When postern-dns is gone its questions are asked again on a new
 * connection; each client has its own deadline besides, so one that never gets an answer is let in or not as dnsblfailclosed says.  Answers are checked by
 * dns_edge.c and believed about the client they name. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "smtpd-outside/door.h"

#define SLOT_BITS 20
#define AGAIN_MSEC 1000
#define GRACE_MSEC 2000      /* postern-dns has its deadline, this is when the door stops waiting for it */
#define ANSWERS_BATCH 256
#define LOG_EVERY_MSEC 60000

/* ---- who has asked ---- */

static bool grow(struct door_dns *n)
{
	unsigned room = n->room ? n->room * 2 : 256;
	struct door_asked *slot = room <= 1u << SLOT_BITS ? reallocarray(n->slot, room, sizeof *slot) : NULL;
	if (!slot)
		return false;
	n->slot = slot;
	for (unsigned i = room; i-- > n->room; ) {
		slot[i] = (struct door_asked){NULL, n->free};
		n->free = i + 1;
	}
	n->room = room;
	return true;
}

static bool take_slot(struct door_dns *n, struct client *c)
{
	if (!n->free && !grow(n))
		return false;
	unsigned at = n->free - 1;
	n->free = n->slot[at].next_free;
	n->slot[at].client = c;
	n->serial = (n->serial + 1) & ((1ll << 40) - 1);
	c->question = n->serial << SLOT_BITS | at;
	c->asked = true;
	return true;
}

static void unsent_append(struct door_dns *n, struct client *c)
{
	c->unsent = true;
	c->prev = n->last;
	c->next = NULL;
	*(n->last ? &n->last->next : &n->first) = c;
	n->last = c;
}

static void unsent_remove(struct door_dns *n, struct client *c)
{
	*(c->prev ? &c->prev->next : &n->first) = c->next;
	*(c->next ? &c->next->prev : &n->last) = c->prev;
	c->prev = c->next = NULL;
	c->unsent = false;
}

void door_dns_forget(struct door *d, struct client *c)
{
	struct door_dns *n = &d->dns;
	if (!c->asked)
		return;
	unsigned at = (unsigned)c->question & ((1u << SLOT_BITS) - 1);
	n->slot[at] = (struct door_asked){NULL, n->free};
	n->free = at + 1;
	if (c->unsent)
		unsent_remove(n, c);
	c->asked = false;
}

/* ---- the connection ---- */

static void trouble(struct door *d, const char *what)
{
	d->dns.again = d->now + AGAIN_MSEC;
	if (d->now < d->dns.logged + LOG_EVERY_MSEC)
		return;
	d->dns.logged = d->now;
	LOG(EV_door_dns, NULL, F_STR("error", what));
}

static void connect_dns(struct door *d)
{
	int pair[2];
	struct err e;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		trouble(d, "no descriptors for a connection");
		return;
	}
	d->dns.watch = (struct watch){WATCH_DNS, pair[0], false};
	int r = pass_send(d->dns.port, slice_str("door"), &pair[1], 1, 0, &e);
	close(pair[1]);
	if (r == 0 && door_watch(d, &d->dns.watch, EPOLLIN) == 0)
		return;
	close_fd(&d->dns.watch.fd);
	trouble(d, r < 0 ? e.text : "epoll");
}

/* Gone: all that it was asked is asked again. */
static void lost(struct door *d)
{
	struct door_dns *n = &d->dns;
	door_unwatch(d, &n->watch);
	close_fd(&n->watch.fd);
	for (unsigned i = 0; i < n->room; i++)
		if (n->slot[i].client && !n->slot[i].client->unsent)
			unsent_append(n, n->slot[i].client);
	trouble(d, "postern-dns ended; its questions are asked again");
}

static int send_question(struct door *d, const struct client *c)
{
	char space[DNS_PACKET_MAX];
	struct buf b = {space, 0, sizeof space, sizeof space, false};
	struct dns_question q = {c->question, c->ip, c->want};
	dns_question_encode(&b, &q);
	if (send(d->dns.watch.fd, b.p, b.n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)b.n)
		return 0;
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? E_TIMEOUT : E_EOF;
}

void door_dns_send(struct door *d)
{
	struct door_dns *n = &d->dns;
	int r = 0;
	if (!n->first || n->again > d->now)
		return;
	n->again = 0;
	if (n->watch.fd < 0)
		connect_dns(d);
	while (n->watch.fd >= 0 && n->first && (r = send_question(d, n->first)) == 0)
		unsent_remove(n, n->first);
	if (n->watch.fd >= 0 && r == E_EOF)
		lost(d);
	else if (n->watch.fd >= 0)
		(void)!door_watch(d, &n->watch, r < 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

int64_t door_dns_again(const struct door *d)
{
	return d->dns.first && d->dns.again ? d->dns.again : DEADLINE_NEVER;
}

bool door_dns_ask(struct door *d, struct client *c, unsigned want)
{
	if (d->dns.port < 0 || !take_slot(&d->dns, c))
		return false;
	c->want = (uint8_t)want;
	c->dns_deadline = d->now + d->set.dnsbltimeout * 1000 + GRACE_MSEC;
	unsent_append(&d->dns, c);
	return true;
}

static void take_answer(struct door *d, const struct dns_answer *a)
{
	struct door_dns *n = &d->dns;
	unsigned at = (unsigned)a->number & ((1u << SLOT_BITS) - 1);
	struct client *c = at < n->room ? n->slot[at].client : NULL;
	if (!c || c->question != a->number)
		return; /* it has gone since */
	door_dns_forget(d, c);
	door_admit_answered(d, c, a);
}

void door_dns_event(struct door *d)
{
	char text[DNS_PACKET_MAX];
	struct dns_answer a;
	d->dns.readable = false;
	for (int i = 0; d->dns.watch.fd >= 0 && i < ANSWERS_BATCH; i++) {
		ssize_t got = recv(d->dns.watch.fd, text, sizeof text, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (got > 0 && dns_answer_decode(&a, slice_make(text, (size_t)got)) == 0) {
			take_answer(d, &a);
			continue;
		}
		lost(d);
		return;
	}
}
