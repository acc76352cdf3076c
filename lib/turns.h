/* Who waits, in the order of deadlines, and whose turn to be begun with is next.  A member embeds its struct turn.
 *
 *	first ─▶ begun ─▶ begun ─▶ unbegun ─▶ … ─▶ last
 *
 * All of one list are given the same time, so that who came first is over first.  Nothing allocates, blocks or walks; members belong to their owner, who takes
 * them out before he frees them. */
#ifndef POSTERN_LIB_TURNS_H
#define POSTERN_LIB_TURNS_H
#include "lib/io.h"

struct turn {
	struct turn *prev, *next;
	int64_t deadline;       /* as deadline_in() */
};
struct turns {
	struct turn *first, *last;
	struct turn *unbegun; /* it and all after it wait for their turn; NULL: nobody does */
	unsigned count;
};

/* T comes last.  DEADLINE is none before that of the member before it. */
void turns_add(struct turns *l, struct turn *t, int64_t deadline);
/* T, a member, is one no longer. */
void turns_remove(struct turns *l, struct turn *t);
/* The member whose time is over at NOW, still a member; NULL: none. */
struct turn *turns_over(const struct turns *l, int64_t now);
/* Whose turn it is: has begun now, and stays a member.  NULL: nobody waits. */
struct turn *turns_begin(struct turns *l);
/* All are to begin again, the oldest first; their deadlines stay. */
void turns_again(struct turns *l);
/* The next deadline; DEADLINE_NEVER: no member. */
int64_t turns_deadline(const struct turns *l);
#endif
