/* postern-qmqpc's work: deliveries taken one after the other. */
#ifndef POSTERN_QMQP_AGENT_H
#define POSTERN_QMQP_AGENT_H
#include "lib/control.h"

/* Take one delivery from PORT (waits until told to stop), forward it, report.  0, E_EOF when told to stop, E_SYS. */
MUST_CHECK int qmqp_agent_serve(int port, const struct control *c, struct err *e);
#endif
