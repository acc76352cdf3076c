/* control/respond: which steps are taken against a stolen account.  postern-respond(8) has the grammar. */
#ifndef POSTERN_SKIM_RESPOND_PLAN_H
#define POSTERN_SKIM_RESPOND_PLAN_H
#include "skim/respond.h"

#define PLAN_STEPS_MAX 32
#define PLAN_STEP_MAX 1024   /* octets of a step as written, its state left out */
#define PLAN_WORDS_MAX 16    /* of ticket program */
#define PLAN_DAYS_MAX 3650

enum step_kind {
	STEP_GROUPS_REMOVE, STEP_GROUP_ADD, STEP_PASSWORD, STEP_ACCOUNTSTATUS, STEP_BLOCK, STEP_NFTABLES, STEP_TICKET_MAIL, STEP_TICKET_PROGRAM,
	STEP_NOTICE,         /* not to be written: tells the postmaster that the day's locks are used up */
	STEP_KINDS
};

/* One step; slices borrow from the text that was parsed. */
struct plan_step {
	enum step_kind kind;
	struct slice text;   /* as written, from the name on */
	struct slice name, args;
	struct slice word[PLAN_WORDS_MAX]; /* accountstatus: the value; nftables: family, table, set, set; ticket: address, or path and arguments */
	size_t words;
	long days;           /* block, nftables */
};
/* A step without its state.  0, or E_SYNTAX with the reason. */
MUST_CHECK int plan_step_parse(struct plan_step *out, struct slice text, struct err *e);

struct plan {
	struct plan_step step[PLAN_STEPS_MAX];
	enum respond_state from[PLAN_STEPS_MAX]; /* taken in this state and in those after it */
	int line[PLAN_STEPS_MAX];
	size_t steps;
};
/* For the lint. */
MUST_CHECK int plan_check(const struct control *c, struct err *e);
/* All of control/respond; slices borrow from C.  0, or E_SYNTAX, E_TOO_LONG with "FILE:LINE: reason". */
MUST_CHECK int plan_parse(struct plan *out, const struct control *c, struct err *e);
/* Does a line of control/respond, whatever else it says, name a step of this kind?  For the graph: what is started, and with which rights. */
bool plan_names(const struct control *c, enum step_kind kind);
bool plan_writes_ldap(enum step_kind kind);
/* The octets of the name of KIND at the start of TEXT, blanks between its words as they come; 0: TEXT is another step. */
size_t plan_named(struct slice text, enum step_kind kind);
#endif
