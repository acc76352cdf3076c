/* Records of the running queue, and the commit that makes them durable: see queue.h.
 *
 * Notes are added and go with the next commit: at once where somebody waits for it, else after RESULT_MSEC.  A result that a crash loses this way is a
 * delivery that is made again with .doubt set. */
#include "lib/log.h"
#include "queue/queue.h"

#define RETRY_MSEC 1000 /* after a commit that failed altogether */

static void pending_since(struct queue *q, bool urgent)
{
	if (!q->commit_at)
		q->commit_at = clock_msec() + RESULT_MSEC;
	q->urgent |= urgent;
}

/* A commit gives back what is taken by all that waits for it. */
bool queue_add(struct queue *q, struct message *m, struct store_record *group, size_t n, bool urgent)
{
	struct err e, ignored;
	group->target = m->at.seq;
	int rc = store_add(q->store, group, n, false, &e);
	if (rc < 0 && store_pending(q->store) && store_commit(q->store, &ignored) == 0) {
		group->target = m->at.seq;
		rc = store_add(q->store, group, n, false, &e);
	}
	pending_since(q, urgent);
	if (rc < 0)
		LOG(EV_fault, group->id, F_ERR(&e));
	else if (group->kind == RECORD_STATE)
		m->flags |= MESSAGE_UNPLACED;
	return rc == 0;
}

bool queue_note(struct queue *q, struct message *m, enum record_kind kind, struct slice payload, bool urgent)
{
	char id[ID_LEN + 1] = {0};
	memcpy(id, m->id, ID_LEN);
	if (m->work && m->work->deleted) { /* its FINISH was the last */
		pending_since(q, urgent);
		return true;
	}
	return queue_add(q, m, &(struct store_record){.kind = kind, .id = id, .piece[0] = {.p = payload.p, .n = payload.n}, .pieces = 1}, 1, urgent);
}

bool queue_finish(struct queue *q, struct message *m, bool urgent)
{
	if (!queue_note(q, m, RECORD_FINISH, slice_make("", 0), urgent))
		return false;
	queue_forget(q, m);
	return true;
}

void queue_forget(struct queue *q, struct message *m)
{
	store_dead(q->store, m->at, m->octets);
	index_remove(&q->index, m);
}

void queue_added(struct queue *q, bool urgent)
{
	pending_since(q, urgent);
}

bool queue_commit(struct queue *q)
{
	struct err e;
	int rc = store_commit(q->store, &e);
	q->counts.commits++;
	q->urgent = false;
	q->commit_at = 0;
	if (rc < 0) {
		LOG(EV_fault, NULL, F_ERR(&e));
		q->commit_at = clock_msec() + RETRY_MSEC;
	}
	intake_answer(q);
	if (rc == 0)
		dispatch_expanded(q);
	return rc == 0;
}

int64_t queue_now_sec(void)
{
	return clock_wall_usec() / 1000000;
}

void work_push(struct work_list *l, struct work *w)
{
	w->next = NULL;
	if (!l->first)
		l->last = &l->first;
	*l->last = w;
	l->last = &w->next;
}

struct work *work_pop(struct work_list *l)
{
	struct work *w = l->first;
	if (w)
		l->first = w->next;
	return w;
}
