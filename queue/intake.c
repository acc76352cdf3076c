/* Taking jobs in: see queue.h.  A job comes from the last stage of the line, which may have been taken over; lib/job.c checks it before a byte is believed.
 *
 * Order: all that waits is added, one commit, then the answers.  A message whose session no longer waits for the answer is declared dead before any
 * delivery of it starts: its client tries again. */
#include <errno.h>
#include <stdlib.h>

#include "lib/log.h"
#include "queue/pause.h"
#include "queue/priority.h"

static void refuse(struct queue *q, struct work *w, const char *reply, const char *why)
{
	q->counts.refused++;
	LOG(EV_queue_refused, w->job.id, F_STR("reply", reply), F_STR("why", why));
	job_answer(&w->job, "%s", reply);
	work_free(q, w);
}

static int add_message(struct queue *q, struct work *w, struct err *e)
{
	unsigned char prologue[PROLOGUE];
	const struct envelope *env = &w->job.env;
	prologue_put(prologue, &(struct prologue){
		.body_octets = w->job.body.octets, .head_octets = (uint32_t)w->job.head.octets, .rcpts = (uint32_t)env->rcpts,
		.held = env->hold_reason.n > 0, .hold_until_sec = env->hold_until_sec});
	return store_add(q->store, &(struct store_record){
		.kind = RECORD_MESSAGE, .id = w->job.id, .pieces = 3,
		.piece = {{.p = prologue, .n = sizeof prologue}, {.p = w->job.head.p, .n = w->job.head.octets}, {.p = w->job.body.p, .fd = w->job.body.fd, .n = w->job.body.octets}}},
		1, true, e);
}

static void take_in(struct queue *q, struct work *w)
{
	struct err e = {0};
	uint64_t octets = w->job.head.octets + w->job.body.octets + PROLOGUE;
	if (job_abandoned(w->job.reply_fd)) {
		LOG(EV_queue_abandoned, w->job.id);
		work_free(q, w);
		return;
	}
	if (q->stopping || index_find(&q->index, w->job.id)) {
		refuse(q, w, "451 4.3.0 try again", q->stopping ? "stopping" : "a message with this id is in the queue");
		return;
	}
	if (!space_take(q, octets, &e)) {
		refuse(q, w, "452 4.3.1 out of space, try again later", e.text);
		return;
	}
	w->m = index_add(&q->index, w->job.id);
	if (!w->m) {
		refuse(q, w, "451 4.3.0 out of memory, try again later", "no memory");
		return;
	}
	w->m->work = w;
	w->m->flags = MESSAGE_PENDING;
	w->m->open = (uint32_t)w->job.env.rcpts;
	int rc = add_message(q, w, &e);
	if (rc < 0) {
		index_remove(&q->index, w->m);
		bool full = e.sys == ENOSPC || e.sys == EDQUOT;
		refuse(q, w, full ? "452 4.3.1 out of space, try again later" : "451 4.3.0 the message could not be stored, try again later", e.text);
		return;
	}
	work_push(&q->batch, w);
	queue_added(q, true);
}

void intake_ready(struct watch *watch)
{
	struct queue *q = watch->ctx;
	size_t octets = 0;
	for (int i = 0; i < BATCH_MOST && octets < BATCH_OCTETS; i++) {
		struct err e;
		struct work *w = calloc(1, sizeof *w);
		if (!w)
			return;
		int rc = job_receive(&w->job, watch->fd, deadline_in(0), &e);
		if (rc == 0) {
			octets += w->job.body.octets + w->job.head.octets;
			take_in(q, w);
			continue;
		}
		free(w);
		if (rc == E_PEER) {
			LOG(EV_bad_job, NULL, F_ERR(&e));
			continue;
		}
		if (rc != E_TIMEOUT)
			q->in_closed = rc == E_EOF;
		return;
	}
}

/* Mass mail leaves a quarter of the places and of the memory to others. */
static bool has_hand(struct queue *q, struct work *w, uint64_t octets)
{
	priority_begin(q, w);
	unsigned places = w->bulk ? HAND_MOST / 4 * 3 : HAND_MOST;
	uint64_t memory = w->bulk ? q->set.memory / 4 * 3 : q->set.memory;
	return q->hands < places && q->hand_octets + octets <= memory;
}

/* Keep the octets for the first delivery while the budget lasts; else it is read back when its turn comes. */
static void keep_or_wait(struct queue *q, struct work *w)
{
	uint64_t octets = w->job.head.octets + w->job.body.octets;
	struct err e;
	const struct envelope *env = &w->job.env;
	if (env->hold_reason.n) {
		w->m->flags |= MESSAGE_HELD;
		LOG(EV_queue_held, w->job.id, F_SLICE("reason", env->hold_reason), F_SLICE("owner", env->hold_owner));
		if (env->hold_until_sec)
			index_wait(&q->index, w->m, (uint32_t)env->hold_until_sec);
	} else if (!pause_all() && has_hand(q, w, octets) && work_recipients(w, &e) == 0) {
		w->in_hand = true;
		q->hands++;
		q->hand_octets += octets;
		work_lists_push(&q->fresh, w);
		return;
	} else {
		index_wait(&q->index, w->m, (uint32_t)queue_now_sec());
	}
	w->m->work = NULL;
	work_free(q, w);
}

static void log_accepted(const struct work *w)
{
	const struct envelope *env = &w->job.env;
	LOG(EV_queue_accepted, w->job.id, F_SLICE("from", env->sender), F_NUM("rcpts", env->rcpts), F_SLICE("to", env->rcpt[0].address),
		F_NUM("size", w->job.header.n + w->job.body.octets), F_SLICE("user", env->user), F_SLICE("ip", env->client_ip));
}

static void answer(struct queue *q, struct work *w)
{
	if (w->dropped) {
		index_remove(&q->index, w->m);
		refuse(q, w, "451 4.3.0 the message could not be stored, try again later", "the write or sync failed");
		return;
	}
	if (job_answer(&w->job, "250 2.0.0 ok %s", w->job.id) < 0) {
		LOG(EV_queue_abandoned, w->job.id);
		if (!queue_finish(q, w->m, true)) /* as if it came too late before a crash: step 4' */
			queue_forget(q, w->m);
		work_free(q, w);
		return;
	}
	close_fd(&w->job.reply_fd);
	q->counts.accepted++;
	log_accepted(w);
	keep_or_wait(q, w);
}

void intake_answer(struct queue *q)
{
	struct work *w;
	while ((w = work_pop(&q->batch)))
		answer(q, w);
}
