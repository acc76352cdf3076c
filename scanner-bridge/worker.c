/* One scan worker: takes a question, looks at the message, answers, takes the next.  Runs as postern-scanworker in a process of its own,
 * without network; its input is hostile and it may be taken over or die at any message.  It holds nothing but that message. */
#include "scanner-bridge/workers.h"
#include "lib/envelope.h"
#include "lib/job.h"
#include "lib/program.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEAD, BODY };

/* The message as one run of octets; *P is a mapping of its own, so that no other process can change it and a worker at rest does not
 * keep its size.  0, E_TOO_LONG (*N is its length), E_PEER, E_SYS. */
static int load_message(char **p, size_t *n, const struct question *q, size_t header_at, size_t most, struct err *e)
{
	const size_t prefix = strlen(EXAMINE_PREFIX);
	size_t head, body;
	int rc;
	if (q->count != 2 || memfd_check(&head, q->fds[HEAD], HEAD_MAX, e) < 0 || memfd_check(&body, q->fds[BODY], BODY_MAX, e) < 0)
		return err_set(e, E_PEER, "a question needs head and body, sealed");
	if (header_at > head)
		return err_set(e, E_PEER, "the header begins after the end of the head");
	*n = head - header_at + body;
	if (*n > most)
		return E_TOO_LONG;
	*n += prefix;
	*p = mmap(NULL, *n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (*p == MAP_FAILED)
		return err_sys(e, "memory for a message of %zu octets", *n);
	memcpy(*p, EXAMINE_PREFIX, prefix);
	rc = io_pread_all(q->fds[HEAD], *p + prefix, head - header_at, (off_t)header_at, e);
	if (rc == 0)
		rc = io_pread_all(q->fds[BODY], *p + prefix + head - header_at, body, 0, e);
	if (rc < 0)
		munmap(*p, *n);
	return rc;
}

static int look(struct examiner *x, const struct question *q, struct err *e)
{
	char *p;
	size_t n = 0, header_at;
	struct slice id;
	int rc;
	if (inspect_question_decode(&id, &header_at, q->text) < 0)
		return err_set(e, E_PEER, "a question breaks its grammar");
	rc = load_message(&p, &n, q, header_at, x->octets_max, e);
	if (rc == E_TOO_LONG)
		examine_too_long(x, n);
	if (rc < 0)
		return rc == E_TOO_LONG ? 0 : rc;
	examine(x, slice_make(p, n));
	munmap(p, n);
	return 0;
}

static void serve_one(struct examiner *x, struct question *q)
{
	struct buf answer = BUF_INIT(QUESTION_MAX);
	struct err e;
	int rc = look(x, q, &e);
	if (rc < 0) {
		LOG(rc == E_PEER ? EV_bad_question : EV_fault, NULL, F_ERR(&e));
		question_drop(q);
		return;
	}
	inspect_encode(&answer, &x->result);
	if (answer.overflow)
		question_drop(q);
	else
		question_answer(q, buf_slice(&answer), NULL, 0);
	buf_free(&answer);
}

void worker_serve(const struct workers_settings *s, struct engine *engine, volatile int64_t *busy)
{
	struct examiner x = {.banned = s->banned, .engine = engine, .octets_max = s->octets_max};
	char *space = malloc(QUESTION_MAX);
	struct question q;
	struct err e;
	for (int n = 0; space && n < WORKER_MESSAGES && !program_stopping(); n++) {
		int rc = question_receive(&q, s->sock, space, QUESTION_MAX, DEADLINE_NEVER, &e);
		if (rc == E_EOF)
			break;
		if (rc < 0) {
			LOG(rc == E_PEER ? EV_bad_question : EV_fault, NULL, F_ERR(&e));
			continue;
		}
		*busy = clock_msec();
		alarm((unsigned)s->seconds);
		serve_one(&x, &q);
		alarm(0);
		*busy = 0;
	}
	buf_free(&x.texts);
	free(space);
}
