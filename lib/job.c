/* Jobs: see job.h.  Used by every stage; the peer is the stage before, which may have been taken over. */
#include "lib/job.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define HEAD_READ_MAX 16384u /* octets of a head that is read and not mapped */

int job_make_head(const struct envelope *env, const struct slice *pieces, size_t count, struct err *e)
{
	struct buf b = BUF_INIT(HEAD_MAX);
	size_t header = 0;
	envelope_encode(&b, env);
	for (size_t i = 0; i < count; i++) {
		buf_add_slice(&b, pieces[i]);
		header += pieces[i].n;
	}
	int fd;
	if (b.overflow || header > HEADER_MAX)
		fd = err_set(e, E_TOO_LONG, "the header is larger than %d octets", HEADER_MAX);
	else
		fd = memfd_with("head", buf_slice(&b), e);
	buf_free(&b);
	return fd;
}

/* Mapping, the fault and unmapping cost five times what it costs to read some KiB. */
static int open_head(struct job *job, struct err *e)
{
	size_t n = job->head_octets;
	if (n <= HEAD_READ_MAX) {
		job->head = malloc(n);
		return job->head ? io_pread_all(job->head_fd, job->head, n, 0, e) : err_sys(e, "head");
	}
	void *p = mmap(NULL, n, PROT_READ, MAP_SHARED, job->head_fd, 0);
	job->head = p == MAP_FAILED ? NULL : p;
	return job->head ? 0 : err_sys(e, "map head");
}

int job_use_head(struct job *job, struct err *e)
{
	int rc = envelope_decode(&job->env, &job->header, slice_make(job->head, job->head_octets), e);
	if (rc == 0 && !slice_eq_str(job->env.id, job->id))
		rc = err_set(e, E_PEER, "the envelope's id is not the job's");
	return rc;
}

static int take_head(struct job *job, struct err *e)
{
	int rc = memfd_check(&job->head_octets, job->head_fd, HEAD_MAX, e);
	if (rc < 0)
		return rc;
	if (job->head_octets == 0)
		return err_set(e, E_PEER, "the head is empty");
	rc = open_head(job, e);
	if (rc < 0)
		return rc;
	return job_use_head(job, e);
}

static void drop_head(struct job *job)
{
	envelope_free(&job->env);
	if (job->head_octets <= HEAD_READ_MAX)
		free(job->head);
	else if (job->head)
		munmap(job->head, job->head_octets);
	job->head = NULL;
}

int job_receive(struct job *job, int sock, int64_t deadline, struct err *e)
{
	char text[ID_LEN];
	int fds[PASS_FDS_MAX];
	size_t n, count;
	*job = JOB_INIT;
	int rc = pass_recv(sock, text, sizeof text, &n, fds, &count, deadline, e);
	if (rc < 0)
		return rc;
	if (count != 3 || n != ID_LEN || !id_valid(slice_make(text, n))) {
		close_fds(fds, count);
		return err_set(e, E_PEER, "a job must be an id with three descriptors");
	}
	memcpy(job->id, text, ID_LEN);
	job->head_fd = fds[0];
	job->body_fd = fds[1];
	job->reply_fd = fds[2];
	rc = memfd_check(&job->body_octets, job->body_fd, BODY_MAX, e);
	if (rc == 0)
		rc = take_head(job, e);
	if (rc < 0)
		job_close(job);
	return rc;
}

int job_send(int sock, const struct job *job, int64_t deadline, struct err *e)
{
	const int fds[3] = {job->head_fd, job->body_fd, job->reply_fd};
	return pass_send(sock, slice_make(job->id, ID_LEN), fds, 3, deadline, e);
}

int job_replace_head(struct job *job, int head_fd, struct err *e)
{
	drop_head(job);
	close_fd(&job->head_fd);
	job->head_fd = head_fd;
	return take_head(job, e);
}

void *job_head_room(struct job *job, size_t octets, struct err *e)
{
	drop_head(job);
	close_fd(&job->head_fd);
	if (!octets || octets > HEAD_MAX) {
		err_set(e, E_PEER, "the head's length makes no sense");
		return NULL;
	}
	void *p = octets <= HEAD_READ_MAX ? malloc(octets) : mmap(NULL, octets, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	job->head = p == MAP_FAILED ? NULL : p;
	job->head_octets = octets;
	if (!job->head)
		err_sys(e, "head");
	return job->head;
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

bool job_abandoned(const struct job *job)
{
	struct pollfd p = {job->reply_fd, 0, 0};
	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

void job_close(struct job *job)
{
	drop_head(job);
	close_fd(&job->head_fd);
	close_fd(&job->body_fd);
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
