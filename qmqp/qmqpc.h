/* One delivery to another host of the cluster. */
#ifndef POSTERN_QMQP_QMQPC_H
#define POSTERN_QMQP_QMQPC_H
#include "deliver/delivery.h"
#include "lib/addr.h"
#include "lib/control.h"

/* What became of a delivery: the same for all its recipients, as QMQP has one answer for a message. */
struct qmqp_fate {
	enum delivery_status status;
	bool doubt;              /* deferred: the whole message went out and no answer came */
	char enhanced[12];
	char text[DELIVERY_TEXT_MAX + 1];
};
struct qmqpc_settings {
	const struct control *control;
	struct resolver *resolver; /* deliver/resolve.h */
};
struct qmqp_content {
	struct slice header, body; /* with LF */
	int reply_fd;              /* the queue's end; nobody there: the message is not completed */
	void (*connected)(void *ctx);
	void *ctx;
};
/* Send the message M of D to the host that its first target names.  Blocks at most as long as control/timeoutremote says, and before that for DNS and
 * the connection.  Never fails: what goes wrong is a fate, temporary unless the far side says D or the message loops. */
void qmqpc_deliver(struct qmqp_fate *fate, const struct delivery *d, const struct qmqp_content *m, struct qmqpc_settings *set);
/* The far side's answer, a netstring K…, Z… or D….  False: not an answer (the outcome is unknown). */
bool qmqp_answer_parse(struct qmqp_fate *fate, struct slice answer);
#endif
