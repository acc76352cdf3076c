/* See charges.h.  Ids and users come from sessions, one of which may have been taken over: it can name no more than what was counted. */
#include "skim/charges.h"

#include <stdlib.h>

#include "lib/id.h"

struct charges {
	size_t next;
	struct charge {
		char id[ID_LEN];
		uint32_t user, rcpts; /* the user's hash; .rcpts 0: nothing */
	} at[CHARGES_MAX];
};

struct charges *charges_make(void)
{
	return calloc(1, sizeof(struct charges));
}

void charges_free(struct charges *c)
{
	free(c);
}

void charges_put(struct charges *c, struct slice id, const struct user *u, uint32_t rcpts)
{
	if (!c || id.n != ID_LEN)
		return;
	struct charge *to = &c->at[c->next++ % CHARGES_MAX];
	memcpy(to->id, id.p, ID_LEN);
	to->user = u->hash, to->rcpts = rcpts;
}

uint32_t charges_take(struct charges *c, struct slice id, const struct user *u)
{
	/* what is told was counted lately */
	for (size_t i = 0; c && id.n == ID_LEN && i < CHARGES_MAX; i++) {
		struct charge *one = &c->at[(c->next - 1 - i) % CHARGES_MAX];
		if (one->rcpts == 0 || one->user != u->hash || memcmp(one->id, id.p, ID_LEN) != 0)
			continue;
		uint32_t rcpts = one->rcpts;
		one->rcpts = 0;
		return rcpts;
	}
	return 0;
}
