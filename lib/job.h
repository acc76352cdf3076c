/* Jobs: one message on its way in, passed from program to program as one datagram (see postern-job(5)): the message id, head and body (lib/content.h), and the
 * reply socket. */
#ifndef POSTERN_LIB_JOB_H
#define POSTERN_LIB_JOB_H
#include "lib/content.h"

#define ANSWER_MAX 500             /* octets of an answer, as RFC 5321 4.5.3.1.5 less CR LF and some room */

struct job {
	char id[ID_LEN + 1];
	struct content head, body;
	int reply_fd;            /* owned; -1: none */
	void *text;              /* what came with the id, owned: head and body may lie in it */
	/* Filled by job_use_head(): */
	struct envelope env;     /* borrows from head */
	struct slice header;     /* borrows from head */
};
#define JOB_INIT ((struct job){.head = CONTENT_INIT, .body = CONTENT_INIT, .reply_fd = -1})

/* A head for ENV and HEADER (pieces are joined), which may borrow from the one before: it becomes the job's, not yet decoded.  0, or with the job as it was
 * E_TOO_LONG, E_SYS. */
MUST_CHECK int job_make_head(struct job *job, const struct envelope *env, const struct slice *pieces, size_t count, struct err *e);
/* The same, decoded.  After E_SYS the head may be the new one and not decoded: .env and .header mean nothing then. */
MUST_CHECK int job_replace_head(struct job *job, const struct envelope *env, const struct slice *pieces, size_t count, struct err *e);
/* Look at the head and decode it.  0 or E_SYS, E_PEER. */
MUST_CHECK int job_use_head(struct job *job, struct err *e);
/* Wait (blocking, until told to stop) for a job on SOCK and check it: text and descriptors, seals, sizes, envelope grammar, id in text and envelope the same.  The
 * head is decoded, the body not looked at.  0, or with nothing kept: E_EOF (stop), E_PEER (logged as bad_job by the caller; go on), E_TIMEOUT, E_SYS. */
MUST_CHECK int job_receive(struct job *job, int sock, int64_t deadline, struct err *e);
/* Pass the job on.  It stays the caller's (job_close()).  0, E_TIMEOUT (the next stage is full), E_EOF, E_SYS. */
MUST_CHECK int job_send(int sock, struct job *job, int64_t deadline, struct err *e);
/* Answer the session and so end the message's way in: an SMTP reply without line end, "CODE ENHANCED text".
 * Text that is not printable ASCII is replaced by "?".  0 or E_EOF (nobody waits any more), E_SYS. */
int job_answer(const struct job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* True when nobody waits any more for an answer on REPLY_FD. */
bool job_abandoned(int reply_fd);
void job_close(struct job *job);

/* The session's side.  A fresh pair: *MINE stays here, *THEIRS goes with the job.  0 or E_SYS. */
MUST_CHECK int answer_pair(int *mine, int *theirs, struct err *e);
/* Wait for the answer on MINE: *CODE (200..599) and the text after it ("2.0.0 ok …") NUL-ended in TEXT.  After the deadline no
 * answer can arrive any more: whoever answers later gets E_EOF, so the outcome is the same on both sides.
 * 0; E_EOF (the holder died), E_TIMEOUT, E_PEER (not an answer): all of them mean 451. */
MUST_CHECK int answer_wait(int *code, char text[ANSWER_MAX + 1], int mine, int64_t deadline, struct err *e);
#endif
