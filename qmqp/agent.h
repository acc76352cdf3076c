/* postern-qmqpc between the queue's deliveries (deliver/delivery.h) and QMQP. */
#ifndef POSTERN_QMQP_AGENT_H
#define POSTERN_QMQP_AGENT_H
#include "deliver/pool.h"
#include "deliver/resolve.h"
#include "qmqp/qmqpc.h"

struct qmqp_agent {
	struct qmqpc_settings set;
	struct resolver resolver;
	int port;
	struct pool pool;
};
/* Before program_confine().  0 or E_SYS. */
MUST_CHECK int qmqp_agent_prepare(struct qmqp_agent *a, const struct control *c, struct err *e);
/* Deliveries from PORT until told to stop. */
void qmqp_agent_run(struct qmqp_agent *a, int port);
#endif
