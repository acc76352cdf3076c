/* Where deliveries lead.  A relay that control/smtproutes or control/qmqproutes names is one destination, whatever domains its mail is for: concurrency, back-off and
 * kept connections (channel.h) are the relay's.  Without a route each domain, and each mailHost, is a destination of its own. */
#ifndef POSTERN_QUEUE_RELAY_H
#define POSTERN_QUEUE_RELAY_H
#include "deliver/delivery.h"
#include "lib/control.h"

/* Take over the routes of C, at a start and after a reload.  0; E_SYS: no memory, and the routes are those of before. */
MUST_CHECK int relay_prepare(const struct control *c, struct err *e);
/* The destination of T: "host:port" of its relay, or its own; of a Maildir "".  Borrows from T, or from the routes until the next relay_prepare().  Logarithmic in the
 * number of routes. */
struct slice relay_of(const struct target *t);
#endif
