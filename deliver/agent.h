/* What postern-remote and postern-lmtp have in common: deliveries in, one at a time, results out; addresses tried in their order; the connection kept
 * while the queue has more for the same destination.  postern-remote(8). */
#ifndef POSTERN_DELIVER_AGENT_H
#define POSTERN_DELIVER_AGENT_H
#include "deliver/client.h"
#include "deliver/pool.h"
#include "deliver/resolve.h"

#define AGENT_MSEC 3600000 /* one delivery, whatever the server does; the queue waits twice as long */

struct agent_settings {
	struct client_settings client;
	struct resolver resolver;
	const struct control *control;
	enum agent agent;
	int port;
	/* The places of DESTINATION.  0, or all recipients of M decided. */
	int (*find)(struct places *p, struct agent_settings *a, struct client_mail *m, struct slice destination);
	struct pool pool;
};
/* Reads what both programs need from the control files, and opens what the workers share; before program_confine(). */
MUST_CHECK int agent_prepare(struct agent_settings *a, const struct control *c, bool lmtp, struct err *e);
/* Deliveries from the port until told to stop. */
void agent_run(struct agent_settings *a, int port);
#endif
