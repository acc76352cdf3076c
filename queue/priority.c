/* Whose mail yields: see priority.h.  Senders come from outside: they share a table of counts by a secret hash, so that nobody can choose whom he slows down; who
 * shares a count with a mass mailer by chance is only later than others. */
#include "queue/priority.h"

#include "lib/hash.h"

static struct hash_key secret;
static uint16_t crowd[1 << 16];

void priority_begin(struct queue *q, struct work *w)
{
	static bool drawn;
	const struct envelope *env = &w->job.env;
	if (!drawn)
		secret = hash_key_make();
	drawn = true;
	w->crowd = (uint16_t)hash_of(&secret, env->user.n ? 'u' : 's', env->user.n ? env->user : env->sender);
	if (crowd[w->crowd] < UINT16_MAX)
		crowd[w->crowd]++;
	w->counted = true;
	w->bulk = env->rcpts > PRIORITY_RCPTS || crowd[w->crowd] > PRIORITY_CROWD;
	q->bulk += w->bulk;
}

void priority_grown(struct queue *q, struct work *w)
{
	if (!w->counted || w->bulk || w->rcpts <= PRIORITY_RCPTS)
		return;
	w->bulk = true;
	q->bulk++;
}

void priority_end(struct queue *q, struct work *w)
{
	if (!w->counted)
		return;
	w->counted = false;
	q->bulk -= w->bulk;
	if (crowd[w->crowd])
		crowd[w->crowd]--;
}

void work_lists_push(struct work_lists *l, struct work *w)
{
	work_push(w->bulk ? &l->bulk : &l->persons, w);
}

struct work *work_lists_pop(struct work_lists *l)
{
	bool share = l->bulk.first && ++l->passed % PRIORITY_SHARE == 0;
	return share || !l->persons.first ? work_pop(&l->bulk) : work_pop(&l->persons);
}

bool work_lists_any(const struct work_lists *l)
{
	return l->bulk.first || l->persons.first;
}
