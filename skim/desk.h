/* What helpdesk and postmaster do to a user: `postern skim flag`, clear, restore, travel, report.  Each changes the memory alone; who may is the caller's
 * business, telling the log and others too. */
#ifndef POSTERN_SKIM_DESK_H
#define POSTERN_SKIM_DESK_H
#include "skim/rules.h"

#define RECOVERING_DAYS 14

/* The user of that name or of the incident with that code; NULL: none. */
struct user *desk_find(const struct engine *g, struct slice name_or_code);

/* Each returns 0 with *OUT (may be NULL), or with nothing changed: E_NOT_FOUND (no such user is known), E_REFUSED (not in this state), E_SYNTAX, E_SYS;
 * the reason is for people. */
/* All mail of USER (made where unknown) is held until somebody decides; with LOCK it is refused.  WHY: 1 to MARK_WHY_MAX octets, printable. */
MUST_CHECK int desk_flag(struct user **out, struct engine *g, struct slice user, bool lock, struct slice why, unsigned uid, int64_t now, struct err *e);
/* A false alarm: nothing speaks against the user any more, and the places and programs of the last week become usual. */
MUST_CHECK int desk_clear(struct user **out, struct engine *g, struct slice user, int64_t now, struct err *e);
/* The account is its owner's again: recovering for RECOVERING_DAYS, in which scores count double. */
MUST_CHECK int desk_restore(struct user **out, struct engine *g, struct slice user, int64_t now, struct err *e);
/* COUNTRIES: "JP,KR", or "none" to take a declaration back; UNTIL: the last day, YYYY-MM-DD.  What logins from there weigh already is lowered too. */
MUST_CHECK int desk_travel(struct user **out, struct engine *g, struct slice user, struct slice countries, struct slice until, int64_t now, struct err *e);
/* Somebody complained of the user's mail (rule X1); judged like an event. */
MUST_CHECK int desk_report(struct decision *d, struct engine *g, struct slice user, int64_t now, struct err *e);
#endif
