/* What each address and network did in the time before: token buckets for connections, messages, recipients, errors and failed logins.
 *
 * A limit of N/SECONDS lets N happen at once and gives back one place every SECONDS/N.  The table has a fixed size; an address that is in it is
 * forgotten when all its buckets are full again, or when eight others of its row did something later. */
#ifndef POSTERN_SMTPD_RATES_H
#define POSTERN_SMTPD_RATES_H
#include <stdint.h>

#include "lib/addr.h"
#include "lib/control.h"
#include "smtpd-outside/handover.h"

enum rate_counter { RATE_CONNECTIONS, RATE_MESSAGES, RATE_RECIPIENTS, RATE_ERRORS, RATE_AUTHFAILS, RATE_COUNT };
enum rate_scope { RATE_ADDRESS, RATE_NETWORK, RATE_SCOPES }; /* the address itself; its /24 or /64 */
#define RATE_MOST 1000000
#define RATE_SEC_MOST 86400
#define RATES_ENTRIES 65536u

struct rate_limit {
	uint32_t most, sec; /* .most 0: none */
};
struct rate_limits {
	struct rate_limit limit[RATE_SCOPES][RATE_COUNT];
};
/* The control files and variables of tcp.smtp: "connectionsperip", "CONNECTIONSPERIP", … */
extern const char *const rate_files[RATE_SCOPES][RATE_COUNT];
extern const char *const rate_variables[RATE_SCOPES][RATE_COUNT];

/* "N/SECONDS", N 1..RATE_MOST, SECONDS 1..RATE_SEC_MOST; "0": no limit.  0 or E_SYNTAX with the reason in *E. */
MUST_CHECK int rate_parse(struct rate_limit *out, struct slice text, struct err *e);
/* Those of the control files; those that are absent have none.  0 or E_SYNTAX. */
MUST_CHECK int rates_read(struct rate_limits *out, const struct control *c, struct err *e);
/* Is NAME one of the variables?  Its scope and counter. */
bool rate_variable(enum rate_scope *scope, enum rate_counter *counter, struct slice name);
bool rates_any(const struct rate_limits *l);

struct rates;
/* NULL without memory. */
struct rates *rates_make(void);
void rates_free(struct rates *r);
/* COUNT more happened at NOW (milliseconds). */
void rates_add(struct rates *r, const struct rate_limits *l, const struct ip *client, enum rate_counter counter, unsigned count, int64_t now);
/* May CLIENT connect once more?  0, or E_REFUSED with "messagesperip 100 of 100 in 3600 s, again in 36 s" in *E. */
MUST_CHECK int rates_check(const struct rates *r, const struct rate_limits *l, const struct ip *client, int64_t now, struct err *e);
/* How many more there may be: the lesser of both scopes, *SCOPE says of which; -1: no limit. */
long rates_left(enum rate_scope *scope, const struct rates *r, const struct rate_limits *l, const struct ip *client, enum rate_counter counter, int64_t now);
#endif
