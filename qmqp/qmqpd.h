/* One QMQP connection from another host of the cluster. */
#ifndef POSTERN_QMQP_QMQPD_H
#define POSTERN_QMQP_QMQPD_H
#include "lib/control.h"
#include "smtpd-outside/handover.h"

/* Take one message from FD, pass it to NEXT, answer K, Z or D.  Blocks until the answer or a deadline; the descriptor stays the caller's. */
void qmqpd_serve(int fd, const struct handover *h, int next, const struct control *c);
#endif
