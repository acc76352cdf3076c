/* Questions and answers: see ask.h. */
#include "lib/ask.h"

#include <sys/socket.h>
#include <unistd.h>


int ask_send(int *reply_fd, int sock, struct slice question, const int *fds, size_t count, int64_t deadline, struct err *e)
{
	int pair[2], all[PASS_FDS_MAX];
	if (count > PASS_FDS_MAX - 1)
		return err_set(e, E_SYS, "too many descriptors to pass");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	for (size_t i = 0; i < count; i++)
		all[i] = fds[i];
	all[count] = pair[1];
	int rc = pass_send(sock, question, all, count + 1, deadline, e);
	close(pair[1]);
	if (rc < 0)
		close_fd(&pair[0]);
	*reply_fd = pair[0];
	return rc;
}

int ask_read(struct buf *b, int *fds, size_t *count, int *reply_fd, int64_t deadline, struct err *e)
{
	int own[PASS_FDS_MAX];
	size_t n = 0, got = 0;
	buf_reset(b);
	char *space = buf_room(b, b->max);
	int rc = space ? pass_recv_answer(*reply_fd, space, b->max, &n, fds ? fds : own, &got, deadline, e)
		       : err_set(e, E_SYS, "no memory for an answer");
	close_fd(reply_fd);
	if (rc < 0)
		return rc;
	b->n = n;
	if (count)
		*count = got;
	if (!fds && got) {
		close_fds(own, got);
		return err_set(e, E_PEER, "an answer came with descriptors");
	}
	return 0;
}

int ask(struct buf *answer, int sock, struct slice question, int64_t deadline, struct err *e)
{
	int reply_fd;
	int rc = ask_send(&reply_fd, sock, question, NULL, 0, deadline, e);
	return rc < 0 ? rc : ask_read(answer, NULL, NULL, &reply_fd, deadline, e);
}

int question_receive(struct question *q, int sock, char *space, size_t size, int64_t deadline, struct err *e)
{
	size_t n;
	q->reply_fd = -1;
	q->count = 0;
	int rc = pass_recv(sock, space, size, &n, q->fds, &q->count, deadline, e);
	if (rc < 0)
		return rc;
	if (q->count == 0)
		return err_set(e, E_PEER, "a question without a reply socket");
	q->reply_fd = q->fds[--q->count];
	q->text = slice_make(space, n);
	return 0;
}

int question_answer(struct question *q, struct slice answer, const int *fds, size_t count)
{
	int rc = pass_send(q->reply_fd, answer, fds, count, deadline_in(0), NULL);
	question_drop(q);
	return rc;
}

void question_drop(struct question *q)
{
	close_fds(q->fds, q->count);
	q->count = 0;
	close_fd(&q->reply_fd);
}
