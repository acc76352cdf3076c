/* The envelope of a message: what is known of it beside its header and body, and the records that carry it between
 * programs.  postern-job(5) describes the format; the table in envelope.c is its grammar.
 *
 * A head is: records (netstrings; the first octet is the kind), an empty netstring, then the header with its final blank
 * line.  message = header ++ body, line ends are LF alone. */
#ifndef POSTERN_LIB_ENVELOPE_H
#define POSTERN_LIB_ENVELOPE_H
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/id.h"

#define RECIPIENTS_MAX 20000       /* of one message, in any envelope */
#define ADDRESS_MAX 320            /* octets: 64 + "@" + 255, RFC 5321 4.5.3.1 */
#define HEADER_MAX (1024 * 1024)   /* octets of a header with its blank line */
#define ENVELOPE_MAX (16 * 1024 * 1024)
#define HEAD_MAX (ENVELOPE_MAX + HEADER_MAX)

/* Which way the message came in. */
enum envelope_class {
	CLASS_OUTSIDE = 'o',    /* port 25 */
	CLASS_SUBMISSION = 's', /* 587, 465: .user is the authenticated user */
	CLASS_CLUSTER = 'q',    /* QMQP from another host of the cluster */
	CLASS_LOCAL = 'l',      /* sendmail, qmail-queue, API */
	CLASS_BOUNCE = 'b',     /* made here: bounces, notices, autoreplies */
};

struct recipient {
	struct slice address; /* local@domain, domain in lower case; never empty */
	struct slice orcpt;   /* RFC 3461 ORCPT as received (xtext), or empty */
	char notify[4];       /* RFC 3461 NOTIFY: any of "S", "F", "D", or "N" alone; "" when not given */
};

struct envelope {
	struct slice id;          /* 13 characters */
	enum envelope_class class;
	int64_t wall_usec;        /* when the message was received */
	struct slice sender;      /* reverse-path without <>; empty: null sender */
	struct slice user;        /* authenticated user, or empty */
	struct slice client_ip;   /* textual address, or empty */
	struct slice client_host; /* TCPREMOTEHOST, or empty */
	struct slice helo;        /* as given; printable; or empty */
	struct slice tls;         /* "TLSv1.3 TLS_AES_256_GCM_SHA384" and the like, or empty */
	struct slice envid;       /* RFC 3461 ENVID (xtext), or empty */
	char ret;                 /* RFC 3461 RET: 'F', 'H' or 0 */
	bool eightbit;            /* BODY=8BITMIME */
	bool smtputf8;
	bool require_tls;         /* REQUIRETLS (RFC 8689): goes on only over TLS with a verified certificate, to servers that offer REQUIRETLS;
	                             else it fails with 5.7.30.  postern-smtpd takes no recipient of another host with it */
	struct slice origin;      /* CLASS_CLUSTER: the message's id at the host .client_ip that sent it here, or empty */
	bool origin_again;        /* it sent the message before and had no answer */
	bool foreign_sender, foreign_from; /* .user sends with an address that is not the account's, in the envelope or in the From field */
	/* A stage may ask the queue to hold the message: reason, owner (authenticated user or address), until when (0: no deadline)
	 * and what happens then: 'r' release, 'b' bounce, 'd' delete. */
	struct slice hold_reason, hold_owner;
	int64_t hold_until_sec;
	char hold_then;
	struct recipient *rcpt;   /* count > 0 */
	size_t rcpts;
	void *memory;             /* owned: free with envelope_free() */
};

/* Append ENV's records and the empty netstring to B.  The caller checks B->overflow. */
void envelope_encode(struct buf *b, const struct envelope *env);
/* Decode the records at the start of HEAD; *HEADER is what follows.  Slices borrow from HEAD.
 * 0, E_PEER (grammar, limits; the text says what) or E_SYS (no memory). */
MUST_CHECK int envelope_decode(struct envelope *env, struct slice *header, struct slice head, struct err *e);
void envelope_free(struct envelope *env);
/* A copy of SRC with room for other recipients: slices stay borrowed, .rcpt is a fresh array of COUNT.  0 or E_SYS. */
MUST_CHECK int envelope_copy(struct envelope *dst, const struct envelope *src, size_t count, struct err *e);
#endif
