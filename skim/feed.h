/* What other programs of the suite tell postern-skim, beside the jobs of the line: one datagram each over PORT_SKIM, netstrings in the order of struct feed.
 * Fire and forget: it never waits, and what finds the socket full is dropped and counted.  postern-skim believes no more of it than its grammar and limits;
 * whoever may send there may already send it jobs of any user (smtpd), or decides over passwords and mail anyway. */
#ifndef POSTERN_SKIM_FEED_H
#define POSTERN_SKIM_FEED_H
#include "lib/err.h"

#define FEED_MAX 1024        /* octets of a datagram */
#define FEED_TEXT_MAX 64     /* of ip, service, class */
#define FEED_COUNT_MAX 100000

enum feed_kind {
	FEED_LOGIN = 'L',    /* postern-directory: a password was checked; ip, service, class, outcome */
	FEED_REFUSED = 'R',  /* postern-smtpd: so many recipients that do not exist were refused to the user (count) */
	FEED_BAD = 'V',      /* postern-scan: a message of the user is spam or has a virus */
	FEED_BOUNCED = 'B',  /* postern-queue: so many recipients of the user's mail do not exist (count) */
	FEED_RETURNED = 'T', /* postern-smtpd: a message of the user was not taken after all (service: its id) */
};
enum feed_outcome {
	FEED_RIGHT = 'y',    /* the right password */
	FEED_WRONG = 'n',    /* a wrong one, of an account that exists */
	FEED_NOBODY = 'u',   /* no such account */
};
struct feed {
	enum feed_kind kind;
	struct slice user;   /* 1 to ADDRESS_MAX octets; any */
	struct slice ip, service, class; /* printable, FEED_TEXT_MAX; of a login, else empty but for FEED_RETURNED */
	enum feed_outcome outcome;       /* of a login; else RIGHT */
	long count;          /* 1 to FEED_COUNT_MAX */
};

/* Encode and send, without waiting.  SOCK -1: nobody is there, and nothing happens.  False: it was dropped (the socket is full, F is not within its
 * limits); what was dropped is logged at most once a minute. */
bool feed_send(int sock, const struct feed *f);
/* 0, or E_PEER (grammar, limits; the text says what).  OUT borrows from TEXT. */
MUST_CHECK int feed_decode(struct feed *out, struct slice text, struct err *e);
#endif
