/* The agent's side of the conversation about deliveries to one destination (delivery.h), for postern-remote, postern-lmtp and postern-qmqpc. */
#ifndef POSTERN_DELIVER_CONVERSE_H
#define POSTERN_DELIVER_CONVERSE_H
#include "deliver/delivery.h"
#include "deliver/local.h"

struct conversation {
	int reply_fd;
	bool ending; /* no further delivery is taken */
	/* Deliver D; the results and MARK_READY where another delivery may follow, else another mark, into B. */
	void (*deliver)(struct conversation *c, struct buf *b, const struct delivery *d, const struct local_message *msg);
	/* A descriptor on which nothing should come while the agent waits, or -1; else .broken is called. */
	int (*idle_fd)(struct conversation *c);
	void (*broken)(struct conversation *c);
	void *ctx;
};
/* Serve deliveries from PORT until told to stop, one conversation after the other; BUSY and FREE tell when one begins and ends. */
void converse_serve(struct conversation *c, int port, void (*busy)(struct conversation *c), void (*free_again)(struct conversation *c));
/* Tell the queue that the far side has greeted. */
void converse_connected(const struct conversation *c);
#endif
