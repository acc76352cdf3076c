/* One message as postern-export(5) has it: see export.h.  In postern-queue, and in postern for a queue that is stopped. */
#include "queue/export.h"

static bool waits(const struct work_rcpt *r)
{
	return r->state != RCPT_DONE && r->state != RCPT_REPLACED && r->state != RCPT_FAILED;
}

/* The envelope with the recipients that wait, members of lists under their own addresses, and with the hold as it is now. */
static int envelope_of(struct envelope *env, const struct work *w, struct err *e)
{
	size_t count = 0;
	for (uint32_t i = 0; i < w->rcpts; i++)
		count += waits(&w->rcpt[i]);
	if (!count)
		return err_set(e, E_NOT_FOUND, "no recipient of %s waits", w->job.id);
	if (count > RECIPIENTS_MAX)
		return err_set(e, E_SYS, "%s has more recipients than a message may come with", w->job.id);
	int rc = envelope_copy(env, &w->job.env, count, e);
	if (rc < 0)
		return rc;
	count = 0;
	for (uint32_t i = 0; i < w->rcpts; i++)
		if (waits(&w->rcpt[i])) {
			env->rcpt[count] = w->job.env.rcpt[w->rcpt[i].origin];
			env->rcpt[count++].address = work_address(w, &w->rcpt[i]);
		}
	env->hold_reason = !w->state.held ? slice_make("", 0) : w->state.hold_reason.n ? w->state.hold_reason : slice_str("held");
	env->hold_owner = w->state.held ? w->state.hold_owner : slice_make("", 0);
	env->hold_until_sec = w->state.held ? w->state.hold_until_sec : 0;
	env->hold_then = w->state.held ? w->state.hold_then : 0;
	return 0;
}

int export_head(struct buf *b, const struct work *w, struct err *e)
{
	struct envelope env;
	struct buf head = BUF_INIT(HEAD_MAX);
	int rc = envelope_of(&env, w, e);
	if (rc < 0)
		return rc;
	envelope_encode(&head, &env);
	buf_add_slice(&head, w->job.header);
	netstring_add_str(b, w->job.id);
	netstring_add(b, buf_slice(&head));
	buf_add_format(b, "%zu:", w->job.body.octets);
	if (head.overflow || b->overflow)
		rc = err_set(e, E_SYS, "%s is too large", w->job.id);
	buf_free(&head);
	envelope_free(&env);
	return rc;
}
