/* control/helocheck: names in HELO and EHLO that no mail server of another site says.  RFC 5321 2.3.5, 4.1.1.1, 4.1.4 (where a server may not refuse a name
 * that it cannot verify in DNS: nothing is looked up here). */
#ifndef POSTERN_SMTPD_HELO_H
#define POSTERN_SMTPD_HELO_H
#include "lib/addr.h"
#include "lib/control.h"

/* What speaks against HELO, said by CLIENT on a connection to LOCAL (both in the handover); NULL: nothing.
 * No host name with a dot and no address literal; a literal of another address than CLIENT; control/me or a domain of control/locals (not those
 * below a .domain), unless CLIENT is this host itself.  Linear in HELO and locals. */
const char *helo_fault(struct slice helo, const struct ip *client, const struct ip *local, const struct control *c);
#endif
