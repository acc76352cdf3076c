/* Plain limits of what a user may send: messages and recipients, counted apart, in an hour and in a day.  Not signs of theft (those are rules.h): a number that
 * the postmaster sets ([sendlimit] in control/skim, off by default) and a temporary refusal that says which it is and when it ends.
 *
 * An hour is counted in steps of 5 minutes and a day in steps of an hour, and a step counts until all of it is older than the hour or day: never more than the
 * limit in any 60 minutes or 24 hours, and a count ends at most one step later.  Refused attempts do not count. */
#ifndef POSTERN_SKIM_SENDLIMIT_H
#define POSTERN_SKIM_SENDLIMIT_H
#include "skim/rules.h"

/* "messages_hour", …: the names in control/skim, in refusals and in the log. */
extern const char *const sendlimit_names[SEND_COUNTERS];

/* What U has sent within the hour or day before NOW (seconds since 1970), by this counter. */
uint64_t sendlimit_used(const struct user *u, enum send_counter k, int64_t now);
/* Seconds until COUNT more may be sent; 0: now, or there is no limit; -1: never, COUNT is more than the whole limit. */
int64_t sendlimit_wait(const struct user *u, const struct sendlimit *l, enum send_counter k, uint32_t count, int64_t now);
/* May U send a message to RCPTS recipients?  0 or, with "recipients_hour: 480 of 500 and 30 more asked for, again in 12 min" in *E:
 *   E_REFUSED   not now; the counter that ends last is told
 *   E_TOO_LONG  never: a limit is smaller than RCPTS */
MUST_CHECK int sendlimit_check(const struct user *u, const struct sendlimit *l, uint32_t rcpts, int64_t now, struct err *e);
/* The message was passed on; without memory it is not counted.  And it was refused after that, so it does not count. */
void sendlimit_count(struct user *u, uint32_t rcpts, int64_t now);
void sendlimit_return(struct user *u, uint32_t rcpts, int64_t now);

/* The same for a user by name, with the limits of control/skim: may message ID pass, it has passed, it was refused behind us.  Who has no limit is not counted. */
MUST_CHECK int sendlimit_ask(struct engine *g, struct slice user, size_t rcpts, int64_t now, struct err *e);
void sendlimit_passed(struct engine *g, struct slice user, struct slice id, size_t rcpts, int64_t now);
void sendlimit_refused(struct engine *g, struct slice user, struct slice id, int64_t now);
#endif
