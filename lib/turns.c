/* Who waits, by deadline: see turns.h. */
#include "lib/turns.h"

void turns_add(struct turns *l, struct turn *t, int64_t deadline)
{
	*t = (struct turn){.prev = l->last, .deadline = deadline};
	*(l->last ? &l->last->next : &l->first) = t;
	l->last = t;
	if (!l->unbegun)
		l->unbegun = t;
	l->count++;
}

void turns_remove(struct turns *l, struct turn *t)
{
	if (l->unbegun == t)
		l->unbegun = t->next;
	*(t->prev ? &t->prev->next : &l->first) = t->next;
	*(t->next ? &t->next->prev : &l->last) = t->prev;
	l->count--;
}

struct turn *turns_over(const struct turns *l, int64_t now)
{
	return l->first && l->first->deadline <= now ? l->first : NULL;
}

struct turn *turns_begin(struct turns *l)
{
	struct turn *t = l->unbegun;
	if (t)
		l->unbegun = t->next;
	return t;
}

void turns_again(struct turns *l)
{
	l->unbegun = l->first;
}

int64_t turns_deadline(const struct turns *l)
{
	return l->first ? l->first->deadline : DEADLINE_NEVER;
}
