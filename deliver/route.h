/* Where an address goes: asks the directory, follows forwards and groups, leaves a list of targets.  postern-route(8). */
#ifndef POSTERN_DELIVER_ROUTE_H
#define POSTERN_DELIVER_ROUTE_H
#include "deliver/delivery.h"
#include "directory/query.h"
#include "lib/control.h"

#define ROUTE_DEPTH_MAX 20  /* forwards of forwards */
#define ROUTE_STEPS_MAX 2000 /* addresses looked at for one question */

struct route {
	const struct control *control; /* me, locals, ldapclusterhosts */
	struct slice mail;             /* STATE/mail, absolute */
	/* directory_ask_route(), or what a test has in its place. */
	enum directory_verdict (*ask)(struct directory_entry *entry, struct buf *space, char text[DIRECTORY_TEXT_MAX],
		int sock, struct slice address, int64_t deadline);
	int sock;
};

/* Append the targets of ADDRESS to ANSWER (empty, max ROUTE_ANSWER_MAX): one or more, or one AGENT_NONE.  All or nothing: where
 * any part cannot be found out now, the whole address is deferred, so that nobody gets a second copy later.  SENDER is kept for
 * groups with rules.  Blocks at most ROUTE_SECONDS. */
void route_address(struct buf *answer, const struct route *r, struct slice sender, struct slice address);
/* UID can be the name of a folder: printable, no "/", no leading ".", at most 128 octets. */
bool route_uid_usable(struct slice uid);
#endif
