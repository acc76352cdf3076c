/* How postern-respond is told of a stolen account, and how it is asked.
 *
 * The order: one datagram over PORT_RESPOND from postern-skim, netstrings in the order of struct respond_order.  Fire and forget: nobody answers, nobody
 * waits.  The incident's code makes it idempotent: postern-skim sends it when a user's state rises to held, stopped or locked, and again at its own start
 * for each user who is in one of these, because an order may be lost while postern-respond is away.  The same code with a higher state adds the steps
 * of that state; with the same or a lower one, or once the incident was given back, nothing happens.
 *
 * The questions: operators' commands to STATE/run/respond.sock (lib/command.h, control/cmd_queue.h suite_ask()), where control/respond exists and submission
 * is on (respond_wanted(); else nobody reads that socket):
 *
 *	list                  a row of each incident, the newest first
 *	show WHICH            WHICH is the incident's code or the user: that row, a row of each step and of each address; of a user the open incident, or else
 *	                      the latest
 *	restore WHICH         undo all steps, last first.  0: everything is as it was, or was changed by somebody since and therefore left; also where nothing
 *	                      was ever done to that user.  111: part of it could not be undone now; it is tried again by itself, and the answer rows say
 *	                      what is missing.  Rows as of show.
 *	retry [WHICH]         try failed steps again now, of all open incidents or of this one
 *
 * Exit codes: 0; 1 there is no such incident (show, retry with WHICH); 100 wrong usage; 111 not now.  Rows, key by key:
 *
 *	kind=incident  code, user, state (held, stopped, locked), phase (see below), since, time, ended (seconds since 1970; 0: not yet), score, rules, why,
 *	               steps, done, failed (numbers), limited ("yes": the day's locks are used up, so the steps of locked are not taken)
 *	kind=step      number, name and args (as in control/respond), state (waiting, begun, done, refused, undoing, undone, left), tries, time, next
 *	               (seconds since 1970 of the next attempt; 0: none), note (plain words: what was done, or why not)
 *	kind=address   address
 *
 * phase: acting (steps are being taken), acted (all are done or refused for good), restoring, restored. */
#ifndef POSTERN_SKIM_RESPOND_H
#define POSTERN_SKIM_RESPOND_H
#include <stdint.h>

#include "lib/addr.h"
#include "lib/control.h"

#define RESPOND_ORDER_MAX 4096 /* octets */
#define RESPOND_CODE_MAX 9     /* "WJW-MWX" */
#define RESPOND_RULES_MAX 300
#define RESPOND_WHY_MAX 1000
#define RESPOND_ADDRESSES_MAX 24

enum respond_state { RESPOND_HELD, RESPOND_STOPPED, RESPOND_LOCKED, RESPOND_STATES };
extern const char *const respond_state_names[RESPOND_STATES];

struct respond_order {
	struct slice user;   /* as it logs in; 1 to ADDRESS_MAX octets, no control characters */
	struct slice code;   /* of the incident: 1 to RESPOND_CODE_MAX letters, digits, "-" */
	enum respond_state state;
	int64_t since;       /* seconds since 1970 */
	int score;
	struct slice rules;  /* "L3,S1"; RESPOND_RULES_MAX */
	struct slice why;    /* plain words; RESPOND_WHY_MAX, no control characters */
	/* Where the thief came from: addresses of the logins and messages that speak against the user, not those that the user was known to use before. */
	struct ip address[RESPOND_ADDRESSES_MAX];
	size_t addresses;
};

/* Appends to B; the caller checks B->overflow. */
void respond_order_encode(struct buf *b, const struct respond_order *o);
/* 0, or E_PEER (grammar, limits; the text says what).  OUT borrows from TEXT. */
MUST_CHECK int respond_order_decode(struct respond_order *out, struct slice text, struct err *e);
/* Encode and send; never waits.  0; E_NOT_FOUND: SOCK is negative, nobody is there to respond; E_TIMEOUT: its socket is full (send again later);
 * E_PEER: O is not within its limits; E_EOF, E_SYS. */
MUST_CHECK int respond_send(int sock, const struct respond_order *o, struct err *e);
/* Is postern-respond started? */
bool respond_wanted(const struct control *c);
#endif
