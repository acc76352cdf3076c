/* control/validrcptto.cdb: a table of recipients in the form of the JMS patch.  Keys are addresses in lower case:
 *	user@domain, then user-default@domain for each "-" of the local part from right to left, then @domain
 * The first that is there decides: its value begins with "-": refused; anything else: listed. */
#ifndef POSTERN_SMTPD_VALIDRCPTTO_H
#define POSTERN_SMTPD_VALIDRCPTTO_H
#include <cdb.h>

#include "lib/control.h"

enum listed { LISTED_NO, LISTED_YES, LISTED_REFUSED, LISTED_FAULT };

struct validrcptto {
	bool present;
	struct cdb table;
};
/* 0 (.present says whether there is such a file), or E_SYNTAX (file named), E_SYS.  Before confinement. */
MUST_CHECK int validrcptto_open(struct validrcptto *v, const struct control *c, struct err *e);
/* Every record can be read.  0 or E_SYNTAX. */
MUST_CHECK int validrcptto_check(const struct control *c, struct err *e);
void validrcptto_close(struct validrcptto *v);
/* ADDRESS is local@domain, in any case. */
enum listed validrcptto_find(const struct validrcptto *v, struct slice address);
#endif
