/* The grammar of one line of tcprules text; internal to tcprules.c and its tests. */
#ifndef POSTERN_SMTPD_TCPRULES_LINE_H
#define POSTERN_SMTPD_TCPRULES_LINE_H
#include "smtpd-outside/tcprules.h"

enum tcprules_kind {
	ADDRESS_ANY,      /* nothing before the colon */
	ADDRESS_NETWORKS,
	ADDRESS_HOST,     /* =host, =.suffix, = */
	ADDRESS_NEVER,    /* info@…: right, but never matches here */
};
struct tcprules_network {
	struct ip ip;
	unsigned bits;    /* of its own family: 0..32 or 0..128 */
};
struct tcprules_address {
	enum tcprules_kind kind;
	struct tcprules_network first;
	unsigned count;   /* networks: 1, or more for a range */
	unsigned octet;   /* the octet of .first.ip that counts up */
	struct slice host; /* ADDRESS_HOST: what follows the "=", as written: a host, ".suffix", or nothing (any host that has a name) */
};
/* The N-th network of an address, N < .count. */
struct tcprules_network tcprules_address_network(const struct tcprules_address *a, unsigned n);

/* All return 0, or E_SYNTAX with the reason in *E. */
MUST_CHECK int tcprules_split(struct slice *address, struct slice *instruction, struct slice line, struct err *e);
/* HINT.text is set for what is right but does not do what it looks like. */
MUST_CHECK int tcprules_address(struct tcprules_address *out, struct slice text, struct err *hint, struct err *e);
/* "allow" or "deny" and variables; RULE's fields but .var and .line are set, PAIRS has room for HANDOVER_VARS_MAX. */
MUST_CHECK int tcprules_instruction(struct tcprule *rule, struct handover_pair *pairs, struct slice text, struct err *e);
/* Does TEXT, a whole file, have rules by host name? */
bool tcprules_lines_name(struct slice text);
/* Does a rule of it set VARIABLE?  May take a comma within a value for one between variables. */
bool tcprules_lines_set(struct slice text, const char *variable);
/* What is to be said about a variable NAME: an alias, or nobody heeds it; NULL: nothing. */
const char *tcprules_note(struct slice name);
#endif
