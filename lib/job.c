/* Jobs: see job.h.  Used by every stage; the peer is the stage before, which may have been taken over. */
#include "lib/job.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

int job_make_head(struct job *job, const struct envelope *env, const struct slice *pieces, size_t count, struct err *e)
{
	struct buf b = BUF_INIT(HEAD_MAX);
	size_t header = 0;
	envelope_encode(&b, env);
	for (size_t i = 0; i < count; i++) {
		buf_add_slice(&b, pieces[i]);
		header += pieces[i].n;
	}
	int rc = b.overflow || header > HEADER_MAX ? err_set(e, E_TOO_LONG, "the header is larger than %d octets", HEADER_MAX) : content_of_buf(&job->head, &b, e);
	buf_free(&b);
	return rc;
}

int job_replace_head(struct job *job, const struct envelope *env, const struct slice *pieces, size_t count, struct err *e)
{
	int rc = job_make_head(job, env, pieces, count, e);
	return rc < 0 ? rc : job_use_head(job, e);
}

int job_use_head(struct job *job, struct err *e)
{
	envelope_free(&job->env);
	if (job->head.octets == 0)
		return err_set(e, E_PEER, "the head is empty");
	int rc = content_look(&job->head, e);
	if (rc == 0)
		rc = envelope_decode(&job->env, &job->header, content_slice(&job->head), e);
	if (rc == 0 && !slice_eq_str(job->env.id, job->id))
		rc = err_set(e, E_PEER, "the envelope's id is not the job's");
	return rc;
}

/* TEXT: the datagram's. */
static int take(struct job *job, struct slice text, int *fds, size_t count, struct err *e)
{
	struct slice id = slice_upto(text, ID_LEN), rest = slice_from(text, ID_LEN);
	if (!id_valid(id))
		return err_set(e, E_PEER, "a job must begin with an id");
	memcpy(job->id, id.p, ID_LEN);
	if (rest.n) {
		job->text = malloc(rest.n);
		if (!job->text)
			return err_sys(e, "a job");
		memcpy(job->text, rest.p, rest.n);
	}
	int used = content_take(&job->head, &job->body, slice_make(job->text, rest.n), fds, count, e);
	if (used < 0)
		return used;
	if (count != (size_t)used + 1)
		return err_set(e, E_PEER, "a job must come with its message and a reply socket");
	job->reply_fd = fds[used];
	fds[used] = -1;
	return job_use_head(job, e);
}

int job_receive(struct job *job, int sock, int64_t deadline, struct err *e)
{
	static char text[ID_LEN + CONTENT_TEXT_MAX];
	int fds[PASS_FDS_MAX];
	size_t n, count;
	*job = JOB_INIT;
	int rc = pass_recv(sock, text, sizeof text, &n, fds, &count, deadline, e);
	if (rc < 0)
		return rc;
	rc = take(job, slice_make(text, n), fds, count, e);
	close_fds(fds, count);
	if (rc < 0)
		job_close(job);
	return rc;
}

int job_send(int sock, struct job *job, int64_t deadline, struct err *e)
{
	return content_send(sock, slice_make(job->id, ID_LEN), &job->head, &job->body, job->reply_fd, deadline, e);
}

int job_answer(const struct job *job, const char *format, ...)
{
	char text[ANSWER_MAX + 1];
	va_list ap;
	va_start(ap, format);
	int n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (n < 0)
		return E_SYS;
	size_t len = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			text[i] = '?';
	return pass_send(job->reply_fd, slice_make(text, len), NULL, 0, deadline_in(0), NULL);
}

bool job_abandoned(int reply_fd)
{
	struct pollfd p = {reply_fd, 0, 0};
	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

void job_close(struct job *job)
{
	envelope_free(&job->env);
	content_close(&job->head);
	content_close(&job->body);
	free(job->text);
	job->text = NULL;
	close_fd(&job->reply_fd);
}

int answer_pair(int *mine, int *theirs, struct err *e)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, "socketpair");
	*mine = pair[0];
	*theirs = pair[1];
	return 0;
}

/* "CODE text", CODE 200 to 599, text printable. */
static int parse_answer(int *code, char text[ANSWER_MAX + 1], struct slice answer, struct err *e)
{
	long long number;
	if (answer.n < 5 || answer.p[3] != ' ' || slice_number(&number, slice_upto(answer, 3), 200, 599) < 0 ||
	    !slice_printable(answer) || slice_copy(text, ANSWER_MAX + 1, slice_from(answer, 4)) < 0)
		return err_set(e, E_PEER, "what came is not an answer");
	*code = (int)number;
	return 0;
}

int answer_wait(int *code, char text[ANSWER_MAX + 1], int mine, int64_t deadline, struct err *e)
{
	char space[ANSWER_MAX + 1];
	int fds[PASS_FDS_MAX];
	size_t n, count;
	int rc = pass_recv_answer(mine, space, sizeof space, &n, fds, &count, deadline, e);
	if (rc == E_TIMEOUT) {
		/* From here on an answer fails at its sender; one that had come before counts. */
		shutdown(mine, SHUT_RDWR);
		rc = pass_recv_answer(mine, space, sizeof space, &n, fds, &count, deadline_in(0), e);
		if (rc == E_EOF)
			rc = err_set(e, E_TIMEOUT, "no answer in time");
	}
	if (rc < 0)
		return rc;
	close_fds(fds, count);
	return parse_answer(code, text, slice_make(space, n), e);
}
