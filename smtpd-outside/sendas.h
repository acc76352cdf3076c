/* control/sendas: addresses that users may send from beside their own.  A line is
 *	uid:user@host   uid:@host   *:user@host   *:@host
 *	%group@host:user@host   %group@host:@host
 * for one user, with * for everybody who logged in, with % for the members of a group of the directory; @host behind the colon is all of that domain.
 * ASCII case does not count. */
#ifndef POSTERN_SMTPD_SENDAS_H
#define POSTERN_SMTPD_SENDAS_H
#include "lib/control.h"

#define SENDAS_LINE_MAX 640 /* octets */

#define SENDAS_GROUPS_MAX 16 /* lines with a group for one address, and as many for a domain: each may be a question to the directory */
struct sendas_group {
	struct slice address, group; /* what may be sent from; the group's own address */
};
struct sendas {
	struct slice *line; /* sorted; borrows from the settings */
	size_t count;
	struct sendas_group *group; /* the lines with a group, sorted by address; not in .line */
	size_t groups;
};
/* 0, or E_SYNTAX with the reason in *E. */
MUST_CHECK int sendas_parse_line(struct slice text, struct err *e);
/* "record" or "refuse".  0 or E_SYNTAX. */
MUST_CHECK int sendas_parse_others(bool *refuse, struct slice text, struct err *e);
/* Both files.  0; E_SYNTAX, E_TOO_LONG (more than SENDAS_GROUPS_MAX groups), file and line named; E_SYS. */
MUST_CHECK int sendas_read(struct sendas *s, bool *refuse_others, const struct control *c, struct err *e);
void sendas_free(struct sendas *s);
/* By a line without a group. */
bool sendas_allows(const struct sendas *s, struct slice user, struct slice local, struct slice domain);
/* The lines with a group for LOCAL@DOMAIN, or for all of DOMAIN where LOCAL is empty: how many, from S->group[*FIRST] on. */
size_t sendas_groups(size_t *first, const struct sendas *s, struct slice local, struct slice domain);
#endif
