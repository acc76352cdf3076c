/* The ways to the delivery agents: one channel for each, and in it the destinations that have deliveries waiting or under way.
 *
 * How much a destination gets: one delivery until one has reached it, then two, one more with each that reaches it while all are used, at most half of the
 * channel's limit.  Half of that when the far side says that it is too much, one where it could not be reached; from the second failure on it is closed
 * for a while, and what waits for it is deferred at once.
 *
 * Mass mail (priority.h) waits behind everybody else's for the same destination, and destinations that have nothing else behind the others; one in eight passes all the
 * same.  It leaves a quarter of the limit free, and of Maildirs it has only so many recipients under way as the workers need to be busy.
 *
 * How the limit is shared: destinations take turns, those that were reached (proven) apart from the others, in turns with them.  The others may take three
 * quarters of the limit; so may the proven ones while others wait.  A delivery whose far side has not answered yet after a moment no longer counts, as
 * long as there is room for such (unanswered_most).  So dead destinations, however many, delay no other one for long.  Only the Maildirs count as
 * one destination, with the whole channel. */
#ifndef POSTERN_QUEUE_CHANNEL_H
#define POSTERN_QUEUE_CHANNEL_H
#include "deliver/delivery.h"

#define DESTINATION_BUCKETS 1024
#define CLOSED_FIRST_MSEC 10000  /* doubled with each failure */
#define CLOSED_MOST_MSEC 1280000
#define FORGET_MSEC 3600000      /* a failure so long ago counts no more */
#define PROVEN_MSEC 600000       /* nor a success */
#define WINDOW_FIRST 2
#define CALM 50

struct work;
struct call;
struct destination {
	struct destination *next;       /* in its bucket */
	struct destination *next_turn;
	bool listed, listed_proven;     /* waits for its turn, in that list */
	bool listed_bulk;               /* behind those who have mail of persons */
	struct unit *first, **last;     /* waiting */
	struct unit **persons;          /* where the next unit that is no mass mail goes: behind those before */
	unsigned passed;                /* mass mail by others */
	unsigned in_flight, failures;
	bool proven;                    /* reached since it last failed */
	unsigned window;                /* deliveries at once, where it is proven */
	unsigned calm;                  /* successes until it grows again after it was too much */
	unsigned with_failed;           /* under way since before the last failure or shrinking: theirs does not count again */
	int64_t closed_until, reached_at;
	char *why;                      /* the last failure, owned */
	struct call *ready;             /* conversations that may go on (delivering.c), newest first */
	char name[];                    /* lower case */
};
/* Some recipients of one message that go out in one delivery. */
struct unit {
	struct unit *next;
	struct work *w;
	struct channel *channel;
	struct destination *to;
	bool bulk;          /* mass mail */
	bool proven;        /* counted so */
	bool unanswered;    /* under way, and not counted in .busy */
	size_t n, octets;
	uint32_t rcpt[DELIVERY_RECIPIENTS_MAX];
};
struct channel {
	enum agent agent;
	int port;           /* -1: no such program */
	unsigned limit, in_flight;
	unsigned busy[2];   /* of those under way: to others, to proven ones */
	unsigned unanswered, unanswered_most;
	size_t bulk_rcpts;  /* recipients of mass mail under way */
	unsigned passed;
	unsigned ready;     /* conversations that may go on: each keeps a worker */
	int64_t msec;       /* the agent answers in this time, or its outcome is unknown */
	int64_t pause_until; /* its socket was full */
	int64_t look_at;    /* somebody waits for a place: look for unanswered deliveries then; 0: nobody */
	struct turns {
		struct destination *first, **last, **persons;
		unsigned passed;
	} turns[2];         /* others, proven ones */
	bool last_proven;   /* whose turn it was */
	struct destination *bucket[DESTINATION_BUCKETS];
	size_t destinations;
	int64_t swept;
};
enum reached {
	REACHED_UNKNOWN, REACHED_NOT, REACHED_YES,
	REACHED_BUSY, /* it answered that this is too much for now */
};

/* The destination NAME (relay.h says which; for local ""), made when it is new.  NULL: no memory. */
struct destination *channel_destination(struct channel *c, struct slice name);
/* U waits for TO. */
void channel_add(struct channel *c, struct destination *to, struct unit *u);
/* The destination whose turn it is: its .first may go out now, or, where channel_closed(), is to be deferred.  NULL: none, or the limit is reached. */
struct destination *channel_turn(struct channel *c);
bool channel_closed(const struct destination *d);
/* May D's .first (NULL: no) go out by a conversation that is ready, though others wait? */
bool channel_may_go_on(const struct channel *c, const struct destination *d);
/* Does another destination wait for a place? */
bool channel_others_wait(const struct channel *c, const struct destination *d);
/* D's first unit was taken out; SENT: it went out. */
struct unit *channel_take(struct channel *c, struct destination *d, bool sent);
/* The delivery of U ended.  WHY: the reason where it was not reached. */
void channel_ended(struct channel *c, struct unit *u, enum reached reached, const char *why);
/* The far side of U has not answered for long: does not count any more, if there is room for it.  It has answered: counts again. */
void channel_unanswered(struct channel *c, struct unit *u);
void channel_answered(struct channel *c, struct unit *u);
/* Forget destinations that are not in use; looks once a minute. */
void channel_tend(struct channel *c);
/* Forget all failures: an operator says try now. */
void channel_open(struct channel *c);
#endif
