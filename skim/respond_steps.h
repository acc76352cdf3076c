/* Taking and undoing each kind of step.  Internal to postern-respond. */
#ifndef POSTERN_SKIM_RESPOND_STEPS_H
#define POSTERN_SKIM_RESPOND_STEPS_H
#include "skim/config.h"
#include "skim/respond_journal.h"
#include "skim/respond_ldap.h"

#define RESPOND_DOORS 2 /* LANE_OUTSIDE, LANE_SUBMISSION */

struct responder {
	const struct control *c;
	struct skim_config cfg;
	struct plan plan;
	struct journal journal;
	struct rldap ldap;
	char postmaster[ADDRESS_MAX + 1];
	int queue_sock, hook_sock, door_sock[RESPOND_DOORS]; /* -1: nobody there */
	int64_t ldap_again;              /* no LDAP step before then: the servers are away */
	int ldap_failures;
	int64_t doors_told;              /* clock_msec() */
};

/* One step in hand. */
struct doing {
	struct responder *r;
	struct incident incident;
	struct step *step;               /* .saved: netstrings, see each kind */
	bool resumed;                    /* begun before: .saved is what was found then */
};
/* Write down that the step is begun, with what .saved says was there before: to be called before anything is changed.  0 or what journal_put() says. */
MUST_CHECK int doing_begin(struct doing *d, struct err *e);
/* What is to be told of it. */
void doing_note(struct doing *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Each take: 0 done; E_NOT_FOUND, E_PEER: can never be done (then nothing was); anything else: not now.
 * Each undo: 0 undone; 1 left, the note says why; anything else: not now.  Both may be called again after any crash or failure. */
typedef int step_act(struct doing *d, struct err *e);
struct step_acts {
	step_act *take, *undo;
};
extern const struct step_acts step_acts[STEP_KINDS];

step_act take_groups_remove, undo_groups_remove, take_group_add, undo_group_add, take_password, undo_password, take_accountstatus, undo_accountstatus,
	take_block, undo_block, take_nftables, undo_nftables, take_mail, take_program, leave_ticket;

/* A password that is locked: this before the value.  To LDAP servers it is a scheme that they do not know, so no password matches. */
#define LOCKED_PREFIX "{POSTERN-LOCKED}"

/* Addresses of the incident that may be blocked: not trusted, not shared by many, not this host's own kind. */
bool may_block(const struct responder *r, const struct ip *ip);
/* Tell the doors of all blocks, if it is time or NOW. */
void tell_doors(struct responder *r, bool now);

/* nftables: add or take away ADDRESS (with seconds to live) of a set.  *NEW: it was not there.  0; E_NOT_FOUND: no such table or set; E_REFUSED: not
 * allowed; E_SYS. */
MUST_CHECK int nft_has(bool *there, struct slice family, struct slice table, struct slice set, const struct ip *ip, struct err *e);
MUST_CHECK int nft_add(struct slice family, struct slice table, struct slice set, const struct ip *ip, int64_t seconds, struct err *e);
MUST_CHECK int nft_remove(struct slice family, struct slice table, struct slice set, const struct ip *ip, struct err *e);

/* The incident in plain words for a ticket; and as one JSON object. */
void ticket_text(struct buf *b, const struct doing *d);
void ticket_json(struct buf *b, const struct doing *d);

/* The loop's part: take orders over, do what is due.  respond_work.c */
MUST_CHECK int work_order(struct responder *r, struct slice text, struct err *e);
/* One step that is due; false: none is. */
bool work_one(struct responder *r);
/* Undo now what can be undone of CODE; what cannot stays due. */
MUST_CHECK int work_restore(struct responder *r, const char *code, struct err *e);
int64_t work_next(struct responder *r); /* clock_msec() of the next thing to do */
void work_tend(struct responder *r);

/* Operators' commands.  respond_command.c */
void respond_command(struct responder *r, int listen_fd);
#endif
