/* Questions and answers between programs: one datagram with a fresh reply socket, one datagram back.
 *
 * The asker sends a question (netstrings) and the far end of a new SOCK_SEQPACKET pair.  If the answering program dies with the
 * question in hand, the asker sees the end of file at once; a deadline covers one that hangs. */
#ifndef POSTERN_LIB_ASK_H
#define POSTERN_LIB_ASK_H
#include "lib/buf.h"
#include "lib/io.h"

#define QUESTION_MAX (64 * 1024) /* octets of a question or an answer */

/* Send QUESTION with descriptors FDS (at most PASS_FDS_MAX - 1, not taken) to SOCK; *REPLY_FD is where the answer comes.
 * 0, E_TIMEOUT, E_EOF, E_SYS. */
MUST_CHECK int ask_send(int *reply_fd, int sock, struct slice question, const int *fds, size_t count, int64_t deadline, struct err *e);
/* Read the answer into B (its max is the limit; QUESTION_MAX is enough) and descriptors; closes *REPLY_FD in every case.
 * FDS has room for PASS_FDS_MAX, *COUNT how many came; both NULL: none are expected.
 * 0, E_TIMEOUT, E_EOF (the other side died), E_PEER, E_SYS. */
MUST_CHECK int ask_read(struct buf *b, int *fds, size_t *count, int *reply_fd, int64_t deadline, struct err *e);
/* Both, without descriptors. */
MUST_CHECK int ask(struct buf *answer, int sock, struct slice question, int64_t deadline, struct err *e);

struct question {
	struct slice text;  /* borrows from the caller's space */
	int fds[PASS_FDS_MAX];
	size_t count;       /* descriptors beside the reply */
	int reply_fd;
};
/* Wait for a question on SOCK, its text into SPACE of SIZE octets (QUESTION_MAX is enough).  0, or with nothing kept: E_EOF (stop),
 * E_TIMEOUT, E_PEER (no reply socket, too long: log bad_question and go on), E_SYS. */
MUST_CHECK int question_receive(struct question *q, int sock, char *space, size_t size, int64_t deadline, struct err *e);
/* Answer (descriptors not taken) and close all that came with the question.  0, E_EOF (nobody waits), E_SYS. */
int question_answer(struct question *q, struct slice answer, const int *fds, size_t count);
/* Close without an answer: the asker sees the end of file, a temporary failure. */
void question_drop(struct question *q);
#endif
