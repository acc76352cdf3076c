/* control/sendas: addresses that users may send from beside their own.  A line is
 *	uid:user@host   uid:@host   *:user@host   *:@host
 * for one user or, with *, everybody who logged in; @host is all of that domain.  ASCII case does not count. */
#ifndef POSTERN_SMTPD_SENDAS_H
#define POSTERN_SMTPD_SENDAS_H
#include "lib/control.h"

#define SENDAS_LINE_MAX 640 /* octets */

struct sendas {
	struct slice *line; /* sorted; borrows from the settings */
	size_t count;
};
/* 0, or E_SYNTAX with the reason in *E. */
MUST_CHECK int sendas_parse_line(struct slice text, struct err *e);
/* "record" or "refuse".  0 or E_SYNTAX. */
MUST_CHECK int sendas_parse_others(bool *refuse, struct slice text, struct err *e);
/* Both files.  0, E_SYNTAX (file and line named), E_SYS. */
MUST_CHECK int sendas_read(struct sendas *s, bool *refuse_others, const struct control *c, struct err *e);
void sendas_free(struct sendas *s);
bool sendas_allows(const struct sendas *s, struct slice user, struct slice local, struct slice domain);
#endif
