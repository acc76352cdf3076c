/* Whether control files give postern-dns something to do.  Asked by the supervisor (whether it is started) and by the door. */
#ifndef POSTERN_SMTPD_DNS_WANTED_H
#define POSTERN_SMTPD_DNS_WANTED_H
#include "lib/control.h"

/* Is the name of each client of port 25 wanted?  As control/clientnames says; its default: where control/scanners names spamassassin. */
bool dns_names_clients(const struct control *c);
/* Does control/mfcheck, or a rule of tcp.smtp, have sessions ask about senders' domains? */
bool dns_looks_at_senders(const struct control *c);
bool dns_wanted(const struct control *c);
#endif
