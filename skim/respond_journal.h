/* The journal of postern-respond: what was ordered, which steps that comes to, what each of them found before it changed anything.
 *
 * A step's state, written and synced before and after each act:
 *
 *	| state    | what is true                                       | after a crash |
 *	| waiting  | nothing was done                                   | taken |
 *	| begun    | .saved says what was there before; perhaps done    | looked at and finished |
 *	| done     | done                                               | - |
 *	| refused  | can never be done (no such account); nothing was   | - |
 *	| undoing  | perhaps undone                                     | looked at and finished |
 *	| undone   | as it was before                                   | - |
 *	| left     | was changed by somebody since, or cannot be undone | - |
 *
 * An incident is acting, acted (no step waiting or begun), restoring or restored.  STATE/respond/journal.sqlite by lib/db. */
#ifndef POSTERN_SKIM_RESPOND_JOURNAL_H
#define POSTERN_SKIM_RESPOND_JOURNAL_H
#include "lib/db.h"
#include "skim/respond_plan.h"

#define JOURNAL_NOTE_MAX 240
#define JOURNAL_SAVED_MAX ((size_t)8 << 20)
#define JOURNAL_KEEP_SEC (400ll * 86400) /* given back incidents are forgotten after that */

struct incident {
	char code[RESPOND_CODE_MAX + 1], user[ADDRESS_MAX + 1], rules[RESPOND_RULES_MAX + 1], why[RESPOND_WHY_MAX + 1];
	enum respond_state state;
	char phase[12];
	int64_t since, time, ended;
	int score;
	bool limited;
	struct ip address[RESPOND_ADDRESSES_MAX];
	size_t addresses;
};

enum step_state { STEP_WAITING, STEP_BEGUN, STEP_DONE, STEP_REFUSED, STEP_UNDOING, STEP_UNDONE, STEP_LEFT, STEP_STATES };
extern const char *const step_state_names[STEP_STATES];

struct step {
	char code[RESPOND_CODE_MAX + 1];
	int number;                       /* from 1, in the order of control/respond */
	char text[PLAN_STEP_MAX + 1];
	struct plan_step plan;            /* of .text */
	enum step_state state;
	int tries;
	int64_t next, time;               /* seconds since 1970; next 0: at once */
	char note[JOURNAL_NOTE_MAX + 1];
	struct buf saved;                 /* owned: step_free() */
};
void step_free(struct step *s);

struct journal {
	struct db *db;
};
MUST_CHECK int journal_open(struct journal *j, const char *file, struct err *e);
void journal_close(struct journal *j);

struct budget {
	long maxlocks;                    /* incidents a day whose steps of locked are taken */
	const char *postmaster;           /* who is told of the first one beyond */
};
/* Take an order over.  1: there is something to do; 0: known already, or given back before; E_REFUSED: the code is another user's; E_TIMEOUT, E_SYS. */
MUST_CHECK int journal_order(struct journal *j, const struct respond_order *o, const struct plan *p, const struct budget *budget, int64_t now, struct err *e);
/* Take the steps of locked of an incident that was limited, whatever the day's budget.  0, also where it was not limited; E_SYS. */
MUST_CHECK int journal_lift(struct journal *j, const char *code, const struct plan *p, struct err *e);

/* The first step that is due at NOW, of an incident that is being restored the last one; OTHERS: no LDAP step.  0; E_NOT_FOUND; E_SYS. */
MUST_CHECK int journal_due(struct journal *j, struct step *out, int64_t now, bool others, struct err *e);
/* When the next one is due; INT64_MAX: none is waiting. */
MUST_CHECK int journal_next(struct journal *j, int64_t *when, struct err *e);
/* Write the step's state, tries, next, note, saved; and the incident's phase, where this was its last step. */
MUST_CHECK int journal_put(struct journal *j, const struct step *s, int64_t now, struct err *e);

/* For respond_journal_order.c: end the transaction that db_begin() began, or did not (RC).  With RC 0 the incident's phase becomes what its steps are now, and all
 * is kept; with less, nothing.  0, RC, or why it could not be kept: E_TIMEOUT, E_SYS. */
MUST_CHECK int journal_end(struct journal *j, int rc, const char *code, int64_t now, struct err *e);

/* CODE as it stands, or E_NOT_FOUND. */
MUST_CHECK int journal_incident(struct journal *j, struct incident *out, const char *code, struct err *e);
/* Call EACH for the codes of: all incidents (WHICH empty), the one of that code, or of a user the open ones (RESTORED: else the latest), newest first.
 * EACH may use the journal.  How many there were, or E_SYS. */
typedef int journal_code(void *arg, const char *code);
int journal_which(struct journal *j, struct slice which, journal_code *each, void *arg, struct err *e);
/* Call EACH for the steps of CODE in their order; it must not use the journal. */
typedef int journal_step(void *arg, const struct step *s);
MUST_CHECK int journal_steps(struct journal *j, const char *code, journal_step *each, void *arg, struct err *e);
/* From now on the incident is given back: what was not begun is undone already.  0, also when it is so; E_SYS. */
MUST_CHECK int journal_restore(struct journal *j, const char *code, int64_t now, struct err *e);
/* Its failed and refused steps are due now. */
MUST_CHECK int journal_retry(struct journal *j, const char *code, struct err *e);

/* Addresses that the door turns away; what is blocked twice ends with the later one. */
MUST_CHECK int journal_block(struct journal *j, const char *code, const struct ip *ip, int64_t until, struct err *e);
MUST_CHECK int journal_unblock(struct journal *j, const char *code, struct err *e);
typedef int journal_blocked(void *arg, const struct ip *ip, int64_t until);
MUST_CHECK int journal_blocks(struct journal *j, int64_t now, journal_blocked *each, void *arg, struct err *e);
/* Forget what is long past. */
MUST_CHECK int journal_tend(struct journal *j, int64_t now, struct err *e);
#endif
