/* Deliveries in, results out, and perhaps the next delivery by the same socket: see converse.h.  The queue is checked as if it had been taken over: what is no
 * delivery ends the conversation and nothing else. */
#include "deliver/converse.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "lib/log.h"
#include "lib/program.h"

#define ANSWER_MSEC 5000

void converse_connected(const struct conversation *c)
{
	struct buf b = BUF_INIT(16);
	struct err e;
	mark_encode(&b, MARK_CONNECTED);
	(void)!pass_send(c->reply_fd, buf_slice(&b), NULL, 0, deadline_in(0), &e);
	buf_free(&b);
}

/* The delivery in TEXT with its head and body.  False: it was not one, or nobody takes the results: the conversation is over. */
static bool one(struct conversation *c, struct slice text, const int fds[2])
{
	static struct delivery d;
	struct local_message msg;
	struct err e;
	if (delivery_decode(&d, text, &e) < 0 || local_message_open(&msg, fds[0], fds[1], &e) < 0) {
		LOG(EV_bad_question, NULL, F_ERR(&e));
		return false;
	}
	struct buf b = BUF_INIT(QUESTION_MAX);
	c->deliver(c, &b, &d, &msg);
	local_message_close(&msg);
	bool ready = b.n >= 4 && b.p[b.n - 2] == MARK_READY && b.p[b.n - 3] == ':';
	int rc = b.overflow ? E_TOO_LONG : pass_send(c->reply_fd, buf_slice(&b), NULL, 0, deadline_in(ANSWER_MSEC), &e);
	buf_free(&b);
	if (rc < 0)
		LOG(EV_remote_unanswered, d.id);
	return rc == 0 && ready && !c->ending;
}

/* Until the queue sends something, ends it, or the agent has waited long enough.  The connection to the far side is watched meanwhile. */
static bool wait_for_more(struct conversation *c)
{
	int64_t deadline = deadline_in(READY_AGENT_MSEC);
	for (;;) {
		struct pollfd p[2] = {{.fd = c->reply_fd, .events = POLLIN}, {.fd = c->idle_fd(c), .events = POLLIN}};
		if (program_stopping())
			return false;
		int n = poll(p, 2, deadline_left(deadline));
		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		if (n > 0 && p[0].revents)
			return true;
		if (n > 0 && p[1].revents)
			c->broken(c);
	}
}

/* The next delivery by the same socket.  What was sent before the agent stopped listening is served still. */
static bool next(struct conversation *c, char *space, size_t size, size_t *n, int *fds, size_t *count)
{
	struct err e;
	if (!wait_for_more(c)) {
		c->ending = true;
		shutdown(c->reply_fd, SHUT_RD);
	}
	int rc = pass_recv_answer(c->reply_fd, space, size, n, fds, count, deadline_in(0), &e);
	if (rc == 0 && *count == 2)
		return true;
	if (rc == 0) {
		close_fds(fds, *count);
		rc = err_set(&e, E_PEER, "a further delivery has two descriptors");
	}
	if (rc == E_PEER)
		LOG(EV_bad_question, NULL, F_ERR(&e));
	return false;
}

static void converse(struct conversation *c, char *space, size_t size, size_t n, int fds[PASS_FDS_MAX])
{
	size_t count = 2;
	bool more = true;
	c->reply_fd = fds[2];
	c->ending = false;
	while (more) {
		more = one(c, slice_make(space, n), fds);
		close_fds(fds, count);
		more = more && next(c, space, size, &n, fds, &count);
	}
	close_fd(&c->reply_fd);
}

void converse_serve(struct conversation *c, int port, void (*busy)(struct conversation *c), void (*free_again)(struct conversation *c))
{
	static char space[DELIVERY_DATAGRAM_MAX];
	int fds[PASS_FDS_MAX];
	size_t n, count;
	struct err e;
	while (!program_stopping()) {
		int rc = pass_recv(port, space, sizeof space, &n, fds, &count, DEADLINE_NEVER, &e);
		if (rc == 0 && count == 3) {
			busy(c);
			converse(c, space, sizeof space, n, fds);
			free_again(c);
			continue;
		}
		if (rc == 0) {
			close_fds(fds, count);
			rc = err_set(&e, E_PEER, "a delivery has three descriptors");
		}
		if (rc == E_PEER)
			LOG(EV_bad_question, NULL, F_ERR(&e));
		else if (rc < 0 && rc != E_EOF)
			LOG(EV_fault, NULL, F_ERR(&e));
	}
}
