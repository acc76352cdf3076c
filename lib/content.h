/* Head and body of a message on their way between programs: octets in memory where they are few, else a sealed memfd. */
#ifndef POSTERN_LIB_CONTENT_H
#define POSTERN_LIB_CONTENT_H
#include "lib/envelope.h"
#include "lib/io.h"

#define BODY_MAX ((size_t)1 << 31)       /* octets, whatever databytes says */
#define CONTENT_FEW ((size_t)16 * 1024) /* octets that are copied rather than kept in a file: a memfd costs as much as some copies of them */

#define CONTENT_TEXT_MAX (CONTENT_FEW + 32)      /* what both take at most of a datagram's text */

struct content {
	int fd;        /* a sealed memfd with the octets, owned; -1: there is none */
	size_t octets;
	const char *p; /* the octets; NULL: not looked at (content_look()), or there are none */
	void *space;   /* what they lie in, owned: from malloc(), or, where .mapped, the file */
	bool mapped;
};
#define CONTENT_INIT ((struct content){.fd = -1})

/* Each of these ends what C was before.
 * Octets that live longer than C does; octets from malloc(), now C's. */
void content_borrow(struct content *c, struct slice s);
void content_own(struct content *c, void *p, size_t n);
/* What was built in B, which is empty then.  0, or E_SYS: B had an overflow. */
MUST_CHECK int content_of_buf(struct content *c, struct buf *b, struct err *e);
/* The file FD, C's from now on, whatever is returned: 0, or E_PEER: it is no sealed memfd of at most MOST octets. */
MUST_CHECK int content_of_file(struct content *c, int fd, size_t most, struct err *e);

/* The same for a memfd that this program wrote and nobody else has: it is sealed.  0, E_SYS. */
MUST_CHECK int content_of_own_file(struct content *c, int fd, struct err *e);

/* The octets to .p: few are read, many mapped.  0, E_EOF (the file is too short), E_SYS. */
MUST_CHECK int content_look(struct content *c, struct err *e);
/* The descriptor (C's) of a sealed memfd with the octets, which must have been looked at where there is none yet; or E_SYS. */
MUST_CHECK int content_file(struct content *c, struct err *e);
static inline struct slice content_slice(const struct content *c) { return slice_make(c->p ? c->p : "", c->p ? c->octets : 0); }
void content_close(struct content *c);

/* ---- both in one datagram ----
 *
 * After the datagram's own text come head and body as netstrings where they are few: both, the head alone, or neither.  The descriptors are those of
 * what is not in the text, head first, and last whatever else is passed. */

/* Send TEXT with HEAD and BODY, and REPLY_FD unless it is -1, to SOCK.  What must go as a file and is none yet becomes one.  Nothing is taken.
 * 0, or as pass_send(). */
MUST_CHECK int content_send(int sock, struct slice text, struct content *head, struct content *body, int reply_fd, int64_t deadline, struct err *e);
/* The other end.  REST is what follows the datagram's own text: HEAD and BODY borrow from it.  Of the COUNT descriptors in FDS the first become theirs and are
 * -1 in FDS then.  How many those are, or E_PEER: REST is no netstrings, descriptors are missing, one is not sealed or too large (HEAD_MAX, BODY_MAX).
 * HEAD and BODY must be closed in either case. */
MUST_CHECK int content_take(struct content *head, struct content *body, struct slice rest, int *fds, size_t count, struct err *e);
#endif
