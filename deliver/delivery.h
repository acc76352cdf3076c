/* What the queue says to postern-route and to the delivery agents, and what they say back.  postern-delivery(5).
 *
 * Route: a question (lib/ask.h) with one address; the answer is the list of its targets: one for a plain mailbox, several for groups and
 * forwards.
 *
 * Deliveries: one datagram to the agent: struct delivery, head and body (lib/content.h), a reply socket; the answer on that is one struct
 * delivery_result per recipient, and perhaps a mark.  The end of file instead of an answer means: outcome unknown, try again with .doubt set.
 *
 * The reply socket of the agents that speak with other hosts is a conversation.  MARK_CONNECTED, alone, may come before the results: the far side has greeted.
 * After results with MARK_READY the agent keeps its connection and the queue may send the next delivery for the same destination by this socket (the
 * same without a reply socket), or closes it; the queue closes it after READY_MSEC at the latest.  The agent never leaves a delivery unread: it
 * shuts its end for reading first and serves what came before that, so the queue may take what could not be sent elsewhere, without doubt. */
#ifndef POSTERN_DELIVER_DELIVERY_H
#define POSTERN_DELIVER_DELIVERY_H
#include "lib/ask.h"
#include "lib/buf.h"
#include "lib/id.h"

enum agent {
	AGENT_LOCAL = 'l',  /* postern-local, a Maildir */
	AGENT_LMTP = 'm',
	AGENT_REMOTE = 'r', /* SMTP; destination is the recipient's domain */
	AGENT_QMQP = 'q',   /* destination is the mailHost */
	AGENT_NONE = 0,     /* no delivery: .status and .text say what becomes of the recipient */
};
enum delivery_status {
	DELIVERY_DONE = 'K',
	DELIVERY_DEFERRED = 'Z',
	DELIVERY_FAILED = 'D',
};
#define DELIVERY_TEXT_MAX 400     /* octets of a result's text */
#define DELIVERY_RECIPIENTS_MAX 100 /* in one delivery */
#define READY_MSEC 1000           /* an agent waits for another delivery to the same destination */
#define READY_AGENT_MSEC 10000    /* and closes for itself when the queue does not */
/* Besides control/concurrencyremote so many deliveries whose far side has not answered yet for UNANSWERED_MSEC, so that dead hosts keep no places. */
#define UNANSWERED_MOST 300
#define UNANSWERED_MSEC 500
static inline unsigned deliveries_unanswered(unsigned concurrency) { return concurrency * 10 < UNANSWERED_MOST ? concurrency * 10 : UNANSWERED_MOST; }
#define ROUTE_SECONDS 75          /* route takes at most so long for one address; at least what it waits for one answer of the directory */
#define ROUTE_TARGETS_MAX 1000    /* of one address */
#define ROUTE_ANSWER_MAX (200 * 1024) /* octets of route's answer: give ask() a buffer with this maximum */

/* Where one address goes. */
struct target {
	enum agent agent;
	struct slice address;     /* final recipient */
	struct slice destination; /* host (and ":port") for remote, QMQP, LMTP; the account's uid for local */
	struct slice maildir;     /* local: absolute path */
	long long uid_number, gid_number; /* local: -1: the mail user */
	long long quota_octets, quota_count, size_most;
	enum delivery_status status; /* AGENT_NONE: deferred or failed */
	char enhanced[12];        /* AGENT_NONE: "5.1.1" */
	struct slice text;        /* AGENT_NONE: why */
};
void route_question(struct buf *b, struct slice id, struct slice sender, struct slice address);
MUST_CHECK int route_question_decode(struct slice *id, struct slice *sender, struct slice *address, struct slice text);
void target_encode(struct buf *b, const struct target *t);
/* Take the next target from *REST; 0, E_EOF at the end, E_PEER.  Slices borrow. */
MUST_CHECK int target_decode(struct target *t, struct slice *rest);

/* One delivery: recipients of one message that go to the same place in one go. */
struct delivery {
	char id[ID_LEN + 1];
	struct slice sender;
	long long attempt;        /* from 1 */
	bool doubt;               /* an earlier attempt may have got through */
	long long size_octets;    /* header and body */
	/* As the client gave them, for hosts that know them: RFC 6531 SMTPUTF8; RFC 8689 REQUIRETLS; RFC 3461 RET ('F', 'H', 0) and ENVID (xtext). */
	bool smtputf8, requiretls;
	char ret;
	struct slice envid;
	size_t count;
	struct {
		long long number;     /* the recipient's number in the message; part of the Maildir file's name */
		struct target target;
		struct slice original; /* the address that the client gave */
		char notify[4];       /* RFC 3461 NOTIFY, as in struct recipient */
		struct slice orcpt;   /* RFC 3461 ORCPT (xtext), or empty */
	} rcpt[DELIVERY_RECIPIENTS_MAX];
};
void delivery_encode(struct buf *b, const struct delivery *d);
/* *REST: what follows, of the message (content_take()).  0, E_PEER. */
MUST_CHECK int delivery_decode(struct delivery *d, struct slice *rest, struct slice text, struct err *e);

enum delivery_relay {
	RELAY_NO = '-',           /* the final step, or no success */
	RELAY_PLAIN = 'r',        /* handed to a host that sends no notifications (RFC 3461 5.2.1 c): who asked for one gets it from the queue */
	RELAY_DOUBT = 'd',        /* deferred without the far side's word: it may have the message */
	RELAY_DSN = 'n',          /* handed to a host that knows what notifications were asked for and sends them */
};
enum delivery_mark {
	MARK_NONE = 0,
	MARK_CONNECTED = 'C',
	MARK_READY = 'R',
	MARK_BUSY = 'B',          /* the far side has enough connections or messages from here for now (421) */
};
#define ORCPT_MAX 500             /* octets, RFC 3461 5.1 and 4.2 */
#define ENVID_MAX 100             /* RFC 3461 5.4 */

struct delivery_result {
	long long number;
	enum delivery_status status;
	char enhanced[12];
	struct slice host;        /* the far side, or empty */
	struct slice text;        /* printable, at most DELIVERY_TEXT_MAX */
	enum delivery_relay relay;
};
void result_encode(struct buf *b, const struct delivery_result *r);
/* Take the next result from *REST; 0, E_EOF at the end, E_PEER. */
MUST_CHECK int result_decode(struct delivery_result *r, struct slice *rest);
void mark_encode(struct buf *b, enum delivery_mark mark);
/* The mark that *REST consists of, taken; MARK_NONE when it is something else. */
enum delivery_mark mark_decode(struct slice *rest);
#endif
