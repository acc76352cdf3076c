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

/* The delivery in TEXT; REPLY_FD as local_message_take() has it.  False: it was not one, or nobody takes the results: the conversation is over. */
static bool one(struct conversation *c, int *reply_fd, struct slice text, int *fds, size_t count)
{
	static struct delivery d;
	struct local_message msg;
	struct err e;
	int rc = local_message_take(&msg, &d, reply_fd, text, fds, count, &e);
	close_fds(fds, count);
	if (rc < 0) {
		LOG(EV_bad_question, NULL, F_ERR(&e));
		return false;
	}
	struct buf b = BUF_INIT(QUESTION_MAX);
	c->deliver(c, &b, &d, &msg);
	local_message_close(&msg);
	bool ready = b.n >= 4 && b.p[b.n - 2] == MARK_READY && b.p[b.n - 3] == ':';
	rc = b.overflow ? E_TOO_LONG : pass_send(c->reply_fd, buf_slice(&b), NULL, 0, deadline_in(ANSWER_MSEC), &e);
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
	if (rc == E_PEER)
		LOG(EV_bad_question, NULL, F_ERR(&e));
	return rc == 0;
}

static void converse(struct conversation *c, char *space, size_t size, size_t n, int *fds, size_t count)
{
	c->ending = false;
	bool more = one(c, &c->reply_fd, slice_make(space, n), fds, count);
	while (more && next(c, space, size, &n, fds, &count))
		more = one(c, NULL, slice_make(space, n), fds, count);
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
		if (rc == 0) {
			busy(c);
			converse(c, space, sizeof space, n, fds, count);
			free_again(c);
		} else if (rc == E_PEER) {
			LOG(EV_bad_question, NULL, F_ERR(&e));
		} else if (rc != E_EOF) {
			LOG(EV_fault, NULL, F_ERR(&e));
		}
	}
}
