/* Orders to postern-respond: skim/respond.h says what an order is and that it may be sent again. */
#ifndef POSTERN_SKIM_ORDERS_H
#define POSTERN_SKIM_ORDERS_H
#include "skim/rules.h"

struct orders {
	int sock;        /* PORT_RESPOND; -1: nobody responds */
	bool due;        /* some could not be sent: all are sent again */
	int64_t due_msec;
};
/* U's state is another than before: where it is held, stopped or locked, tell.  Never waits. */
void orders_user(struct orders *o, const struct engine *g, const struct user *u, int64_t now);
/* The same for all users, at start and where .due has come. */
void orders_all(struct orders *o, const struct engine *g, int64_t now);
void orders_tick(struct orders *o, const struct engine *g, int64_t now);
#endif
