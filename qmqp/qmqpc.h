/* One delivery to another host of the cluster. */
#ifndef POSTERN_QMQP_QMQPC_H
#define POSTERN_QMQP_QMQPC_H
#include "deliver/delivery.h"
#include "lib/control.h"

/* What became of a delivery: the same for all its recipients, as QMQP has one answer for a message. */
struct qmqp_fate {
	enum delivery_status status;
	char enhanced[12];
	char text[DELIVERY_TEXT_MAX + 1];
};
/* Send the message of D (HEADER and BODY with LF) to the host that its first target names.  Blocks at most as long as control/timeoutremote says.
 * Never fails: what goes wrong is a fate, temporary unless the far side says D or the message loops. */
void qmqpc_deliver(struct qmqp_fate *fate, const struct delivery *d, struct slice header, struct slice body, const struct control *c);
/* A line of control/qmqproutes, "host:address[:port]", address IPv4 or [IPv6].  0 or E_SYNTAX. */
struct qmqp_route {
	struct slice host;
	char address[64];
	char port[8];
};
MUST_CHECK int qmqp_route_parse(struct qmqp_route *r, struct slice line, struct err *e);
/* The far side's answer, a netstring K…, Z… or D….  False: not an answer (the outcome is unknown). */
bool qmqp_answer_parse(struct qmqp_fate *fate, struct slice answer);
#endif
