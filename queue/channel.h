/* The ways to the delivery agents: one channel for each, and in it the destinations that have deliveries waiting or under way.
 *
 * A channel hands out so many deliveries at once, a destination takes at most half of them, and one that could not be reached a single one, until that
 * gets through; from the second failure on it is closed for a while, and what waits for it is deferred at once.  So a dead destination never
 * occupies an agent's workers.  Destinations take turns.  Only the Maildirs count as one destination, with the whole channel. */
#ifndef POSTERN_QUEUE_CHANNEL_H
#define POSTERN_QUEUE_CHANNEL_H
#include "deliver/delivery.h"

#define DESTINATION_BUCKETS 1024
#define CLOSED_FIRST_MSEC 10000  /* doubled with each failure */
#define CLOSED_MOST_MSEC 1280000
#define FORGET_MSEC 3600000      /* a failure so long ago counts no more */

struct work;
struct destination {
	struct destination *next;       /* in its bucket */
	struct destination *next_turn;
	bool listed;                    /* waits for its turn */
	struct unit *first, **last;     /* waiting */
	unsigned in_flight, failures;
	unsigned with_failed;           /* under way since before the last failure: theirs does not count again */
	int64_t closed_until;
	char *why;                      /* the last failure, owned */
	char name[];                    /* lower case */
};
/* Some recipients of one message that go out in one delivery. */
struct unit {
	struct unit *next;
	struct work *w;
	struct channel *channel;
	struct destination *to;
	size_t n, octets;
	uint32_t rcpt[DELIVERY_RECIPIENTS_MAX];
};
struct channel {
	enum agent agent;
	int port;           /* -1: no such program */
	unsigned limit, in_flight;
	int64_t msec;       /* the agent answers in this time, or its outcome is unknown */
	int64_t pause_until; /* its socket was full */
	struct destination *turn, **turn_last;
	struct destination *bucket[DESTINATION_BUCKETS];
	size_t destinations;
	int64_t swept;
};

/* The destination NAME (a host, ":port"; for local ""), made when it is new.  NULL: no memory. */
struct destination *channel_destination(struct channel *c, struct slice name);
/* U waits for TO. */
void channel_add(struct channel *c, struct destination *to, struct unit *u);
/* The destination whose turn it is: its .first may go out now, or, where channel_closed(), is to be deferred.  NULL: none. */
struct destination *channel_turn(struct channel *c);
bool channel_closed(const struct destination *d);
/* The first unit of the destination whose turn it is was taken out; SENT: it went out. */
struct unit *channel_take(struct channel *c, bool sent);
/* A delivery ended.  REACHED: 1 yes, 0 no (WHY: the reason), -1 nobody knows. */
void channel_ended(struct channel *c, struct destination *d, int reached, const char *why);
/* Forget destinations that are not in use; looks once a minute. */
void channel_tend(struct channel *c);
/* Forget all failures: an operator says try now. */
void channel_open(struct channel *c);
#endif
