/* The stage of fixup: see stage.h.  Whatever goes wrong with a message is answered 451 by its id and never silently dropped; should this
 * program die, the session sees the end of file.  Nothing is remembered from one message to the next. */
#include "fixup/stage.h"

#include <poll.h>

#include "lib/log.h"

#define SEND_MSEC 120000 /* waiting for room in the next stage; the session's own deadline is longer */
#define PAUSE_MSEC 100   /* after a failure that is not the message's, such as no descriptors */

static void log_changes(const struct job *job, const struct changes *n)
{
	LOG(EV_fixup_changed, job->id, F_NUM("sender", n->sender), F_NUM("rcpts", n->recipients), F_NUM("merged", n->merged),
		F_NUM("fields", n->fields), F_NUM("addresses", n->addresses), F_NUM("added", n->added), F_NUM("dropped", n->dropped));
}

/* ENV is a copy of the job's envelope that may be changed, HEADER empty. */
static int new_head(struct job *job, struct envelope *env, struct buf *header, struct arena *a, struct rules *r, struct slice me,
	struct err *e)
{
	struct changes n = {0};
	if (rewrite_envelope(env, a, r, &n))
		return err_set(e, E_SYS, "no memory for the envelope");
	const struct completion missing = {
		.from = env->class == CLASS_SUBMISSION ? env->sender : slice_str(""), .id = env->id, .me = me, .wall_usec = env->wall_usec,
		.drop_bcc = env->class == CLASS_SUBMISSION,
	};
	int rc = rewrite_header(header, job->header, r, &missing, &n);
	if (rc < 0)
		return err_set(e, rc, rc == E_TOO_LONG ? "the rewritten header is too long" : "no memory for the header");
	if (rc == 0 && !n.sender && !n.recipients)
		return 0;
	struct slice piece = rc ? buf_slice(header) : job->header;
	rc = job_replace_head(job, env, &piece, 1, e);
	if (rc < 0)
		return rc;
	log_changes(job, &n);
	return 1;
}

int stage_rewrite(struct job *job, struct rules *r, struct slice me, struct err *e)
{
	struct envelope env;
	struct arena a = {0};
	struct buf header = BUF_INIT(HEADER_MAX);
	int rc = envelope_copy(&env, &job->env, job->env.rcpts, e);
	if (rc < 0)
		return rc;
	memcpy(env.rcpt, job->env.rcpt, job->env.rcpts * sizeof *env.rcpt);
	rc = new_head(job, &env, &header, &a, r, me, e);
	envelope_free(&env);
	arena_free(&a);
	buf_free(&header);
	return rc;
}

static void refuse(const struct job *job, const struct err *e)
{
	LOG(EV_fault, job->id, F_ERR(e));
	job_answer(job, "451 4.3.0 %s cannot be rewritten now, try again later", job->id);
}

static void pass(struct job *job, int next, struct rules *r, struct slice me)
{
	struct err e;
	if (stage_rewrite(job, r, me, &e) < 0)
		refuse(job, &e);
	else if (job_send(next, job, deadline_in(SEND_MSEC), &e) < 0)
		refuse(job, &e);
	job_close(job);
}

/* Not a message's fault: wait a little, so that it is not logged in a tight loop. */
static void pause_after(const struct err *e)
{
	LOG(EV_fault, NULL, F_ERR(e));
	poll(NULL, 0, PAUSE_MSEC);
}

int stage_run(int in, int next, struct rules *r, struct slice me)
{
	for (;;) {
		struct job job;
		struct err e;
		switch (job_receive(&job, in, DEADLINE_NEVER, &e)) {
		case 0:
			pass(&job, next, r, me);
			break;
		case E_EOF:
			return 0;
		case E_PEER:
			LOG(EV_bad_job, NULL, F_ERR(&e));
			break;
		default:
			pause_after(&e);
		}
	}
}
