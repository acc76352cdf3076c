/* control/tcp.smtp: tcprules text, postern-tcprules(5).  The rules of D. J. Bernstein's tcprules(1) but those by ident, with CIDR and IPv6
 * besides.  A look-up costs one hash probe for each prefix length that occurs in the file, and one for each label of a host's name
 * where there are rules by name, however long the file is. */
#ifndef POSTERN_SMTPD_TCPRULES_H
#define POSTERN_SMTPD_TCPRULES_H
#include "lib/addr.h"
#include "smtpd-outside/handover.h"

#define TCPRULES_MAX (4u << 20) /* addresses and networks, ranges counted by what they expand to */

struct tcprule {
	bool deny;
	int line;                 /* in the file, from 1; 0: no rule matched, all is allowed */
	const struct handover_pair *var;
	size_t vars;
	/* Variables that the door itself heeds; -1: not set. */
	int greetdelay_sec;       /* GREETDELAY, SMTPD_GREETDELAY */
	int drop_pre_greet;       /* DROP_PRE_GREET, DROPRUSHGREET: 0 or 1 */
	int maxperip, maxpernet;  /* MAXPERIP, MAXPERNET: 0 no limit */
	int dnsblskip;            /* DNSBLSKIP: 1 no list is asked */
	int greylist;             /* GREYLIST: 0 not for this client */
	int dnsblfailclosed;      /* DNSBLFAILCLOSED: 0 or 1 */
	bool relay;               /* RELAYCLIENT is set */
	bool rates;               /* some of its variables are those of rates.h */
	struct slice rblsmtpd;    /* RBLSMTPD; .p NULL: not set; empty: let through */
};
struct tcprules;

/* Told of each line that is right but does not do what it looks like. */
typedef void tcprules_warn(void *arg, int line, const char *text);
/* Parse the whole file.  *OUT owns a copy; free with tcprules_free().  WARN may be NULL.
 * 0, or with *OUT untouched E_SYNTAX (*LINE and *E say where and why), E_TOO_LONG, E_SYS (no memory). */
MUST_CHECK int tcprules_parse(struct tcprules **out, int *line, struct slice text, tcprules_warn *warn, void *arg, struct err *e);
void tcprules_free(struct tcprules *t);
/* The one rule that counts for a client, in the order of tcprules(1): its whole address; =HOST; the longest network that has it; the longest
 * =.SUFFIX; = for any host with a name; the line without address; else "allow" without variables.  Of lines for the same
 * address, network or name the first.  HOST: the client's name, lower case, without dot at the end; empty: none or not asked for.  Never NULL; T may be NULL (no file). */
const struct tcprule *tcprules_find(const struct tcprules *t, const struct ip *client, struct slice host);
/* Could its name change which rule counts for CLIENT? */
bool tcprules_want_host(const struct tcprules *t, const struct ip *client);
#endif
