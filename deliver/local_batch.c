/* Batches of deliveries: see local.h.  Runs in postern-local.  The order is the promise: files written and renamed, one syncfs() for
 * each file system, and only then the answers.  A failed sync takes back and defers all that waited for it, since nobody can know what of it
 * would survive; nothing is retried on that descriptor. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deliver/local.h"
#include "lib/io.h"
#include "lib/log.h"

#define ANSWER_MSEC 5000

int batch_disk(struct batch *b, const struct maildir *m)
{
	for (size_t i = 0; i < b->disks; i++)
		if (b->disk[i].dev == m->disk)
			return (int)i;
	if (b->disks == BATCH_DISKS)
		return -1;
	int fd = fcntl(m->new, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	b->disk[b->disks].dev = m->disk;
	b->disk[b->disks].fd = fd;
	return (int)b->disks++;
}

static bool has_room(const struct batch *b)
{
	return b->deliveries < BATCH_DELIVERIES && b->outcomes + DELIVERY_RECIPIENTS_MAX <= BATCH_RECIPIENTS && b->octets < BATCH_OCTETS;
}

static void deliver_all(struct batch *b, const struct local *l, const struct delivery *d, const struct local_message *msg, int reply_fd)
{
	b->delivery[b->deliveries].reply_fd = reply_fd;
	b->delivery[b->deliveries].first = b->outcomes;
	b->delivery[b->deliveries].count = d->count;
	b->deliveries++;
	for (size_t i = 0; i < d->count; i++)
		local_deliver(&b->outcome[b->outcomes++], b, l, d, i, msg, reply_fd);
	b->octets += (long long)d->count * (long long)(msg->header.n + msg->body.n);
}

/* One delivery from PORT into the batch, which keeps its reply socket.  0, E_TIMEOUT, E_EOF, E_SYS; a bad one is logged and dropped. */
static int take(struct batch *b, const struct local *l, int port, int64_t deadline, struct err *e)
{
	static char space[DELIVERY_DATAGRAM_MAX];
	static struct delivery d;
	struct local_message msg;
	int fds[PASS_FDS_MAX], reply_fd;
	size_t n, count = 0;
	int rc = pass_recv(port, space, sizeof space, &n, fds, &count, deadline, e);
	if (rc < 0 && rc != E_PEER)
		return rc;
	if (rc == 0) {
		rc = local_message_take(&msg, &d, &reply_fd, slice_make(space, n), fds, count, e);
		close_fds(fds, count);
	}
	if (rc == 0) {
		deliver_all(b, l, &d, &msg, reply_fd);
		local_message_close(&msg);
	} else {
		LOG(EV_bad_question, NULL, F_ERR(e));
	}
	return 0;
}

static void take_back(struct outcome *o, const char *base, const struct err *why)
{
	struct maildir_place place = {.path = o->path, .base = base, .user = o->user};
	struct maildir m;
	struct err e;
	if (o->name && o->path && local_user_become(&o->user, &e) == 0 && maildir_open(&m, &place, &e) == 0) {
		maildir_remove(&m, o->name);
		maildir_close(&m);
	}
	(void)!local_user_become(local_user_self(), &e);
	o->status = DELIVERY_DEFERRED;
	snprintf(o->enhanced, sizeof o->enhanced, "4.3.0");
	snprintf(o->text, sizeof o->text, "%s", why->text);
}

static void sync_disk(struct batch *b, int disk, const char *base)
{
	struct err e;
	size_t n = 0;
	if (syncfs(b->disk[disk].fd) == 0)
		return;
	err_sys(&e, "the Maildirs' file system could not be synced");
	for (size_t i = 0; i < b->outcomes; i++)
		if (b->outcome[i].disk == disk && b->outcome[i].status == DELIVERY_DONE) {
			take_back(&b->outcome[i], base, &e);
			n++;
		}
	LOG(EV_local_unsynced, NULL, F_NUM("deliveries", n), F_ERR(&e));
}

static void answer(struct batch *b, size_t k)
{
	struct buf text = BUF_INIT(DELIVERY_DATAGRAM_MAX);
	struct err e;
	for (size_t i = 0; i < b->delivery[k].count; i++) {
		const struct outcome *o = &b->outcome[b->delivery[k].first + i];
		struct delivery_result r = {.number = o->number, .status = o->status, .text = slice_str(o->text)};
		memcpy(r.enhanced, o->enhanced, sizeof r.enhanced);
		result_encode(&text, &r);
	}
	/* Without an answer the queue repeats the delivery in doubt, and finds the copy. */
	if (!text.overflow && pass_send(b->delivery[k].reply_fd, buf_slice(&text), NULL, 0, deadline_in(ANSWER_MSEC), &e) < 0)
		LOG(EV_local_unanswered, NULL, F_ERR(&e));
	buf_free(&text);
}

static bool waits_for(const struct batch *b, int disk)
{
	for (size_t i = 0; i < b->outcomes; i++)
		if (b->outcome[i].disk == disk && b->outcome[i].status == DELIVERY_DONE)
			return true;
	return false;
}

static void finish(struct batch *b, const struct local *l)
{
	for (size_t i = 0; i < b->disks; i++)
		if (waits_for(b, (int)i))
			sync_disk(b, (int)i, l->base);
	for (size_t k = 0; k < b->deliveries; k++) {
		answer(b, k);
		close_fd(&b->delivery[k].reply_fd);
	}
	for (size_t i = 0; i < b->disks; i++)
		close_fd(&b->disk[i].fd);
	for (size_t i = 0; i < b->outcomes; i++) {
		free(b->outcome[i].path);
		free(b->outcome[i].name);
	}
}

int local_batch(struct batch *b, const struct local *l, int port, struct err *e)
{
	b->deliveries = b->outcomes = b->disks = 0;
	b->octets = 0;
	int rc = take(b, l, port, DEADLINE_NEVER, e);
	while (rc == 0 && has_room(b))
		rc = take(b, l, port, 0, e);
	finish(b, l);
	return rc == E_TIMEOUT ? 0 : rc;
}
