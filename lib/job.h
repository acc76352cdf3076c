/* Jobs: one message on its way in, passed from program to program as one datagram with three descriptors (see
 * postern-job(5)).  The datagram's text is the message id; the descriptors are head, body and reply. */
#ifndef POSTERN_LIB_JOB_H
#define POSTERN_LIB_JOB_H
#include "lib/envelope.h"
#include "lib/io.h"

#define BODY_MAX ((size_t)1 << 31) /* octets, whatever databytes says */
#define ANSWER_MAX 500             /* octets of an answer, as RFC 5321 4.5.3.1.5 less CR LF and some room */

struct job {
	char id[ID_LEN + 1];
	int head_fd, body_fd, reply_fd; /* owned; -1: none */
	/* Filled by job_receive(): */
	size_t head_octets, body_octets;
	void *head;                     /* its octets, read, or mapped where there are many */
	struct envelope env;            /* borrows from head */
	struct slice header;            /* borrows from head */
};
#define JOB_INIT ((struct job){.head_fd = -1, .body_fd = -1, .reply_fd = -1})

/* Make a new sealed head for ENV and HEADER (pieces are joined).  The descriptor, E_TOO_LONG or E_SYS. */
int job_make_head(const struct envelope *env, const struct slice *pieces, size_t count, struct err *e);
/* Wait (blocking, until told to stop) for a job on SOCK and check it: three descriptors, seals, sizes, envelope grammar,
 * id in text and envelope the same.  0, or with nothing kept: E_EOF (stop), E_PEER (logged as bad_job by the caller; go on),
 * E_TIMEOUT, E_SYS. */
MUST_CHECK int job_receive(struct job *job, int sock, int64_t deadline, struct err *e);
/* Pass the job on.  The descriptors stay the caller's (job_close()).  0, E_TIMEOUT (the next stage is full), E_EOF, E_SYS. */
MUST_CHECK int job_send(int sock, const struct job *job, int64_t deadline, struct err *e);
/* Replace the job's head: closes the old descriptor, frees its octets and takes HEAD_FD (then owned).  0 or E_SYS, E_PEER. */
MUST_CHECK int job_replace_head(struct job *job, int head_fd, struct err *e);
/* A head that is no file, for looking at a message that goes nowhere: the room for OCTETS of it, or NULL with *E; once filled, job_use_head().  .head_fd is -1. */
void *job_head_room(struct job *job, size_t octets, struct err *e);
/* 0 or E_SYS, E_PEER. */
MUST_CHECK int job_use_head(struct job *job, struct err *e);
/* Answer the session and so end the message's way in: an SMTP reply without line end, "CODE ENHANCED text".
 * Text that is not printable ASCII is replaced by "?".  0 or E_EOF (nobody waits any more), E_SYS. */
int job_answer(const struct job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* True when the session no longer waits for the answer. */
bool job_abandoned(const struct job *job);
void job_close(struct job *job);

/* The session's side.  A fresh pair: *MINE stays here, *THEIRS goes with the job.  0 or E_SYS. */
MUST_CHECK int answer_pair(int *mine, int *theirs, struct err *e);
/* Wait for the answer on MINE: *CODE (200..599) and the text after it ("2.0.0 ok …") NUL-ended in TEXT.  After the deadline no
 * answer can arrive any more: whoever answers later gets E_EOF, so the outcome is the same on both sides.
 * 0; E_EOF (the holder died), E_TIMEOUT, E_PEER (not an answer): all of them mean 451. */
MUST_CHECK int answer_wait(int *code, char text[ANSWER_MAX + 1], int mine, int64_t deadline, struct err *e);
#endif
