/* The client's side of SMTP (RFC 5321) and LMTP (RFC 2033), for postern-remote and postern-lmtp.  Blocking, one connection at a time, each step with
 * a deadline.  The server is a stranger: its replies are bounded (reply.h), its octets go nowhere but into results. */
#ifndef POSTERN_DELIVER_CLIENT_H
#define POSTERN_DELIVER_CLIENT_H
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "deliver/delivery.h"
#include "deliver/reply.h"

#define CLIENT_IN_OCTETS 8192
#define CLIENT_MESSAGES_MOST 200  /* on one connection */
#define CLIENT_KEEP_MSEC 300000   /* a connection this old is used no more */

enum client_feature {
	CLIENT_PIPELINING = 1, CLIENT_SIZE = 2, CLIENT_8BITMIME = 4, CLIENT_STARTTLS = 8, CLIENT_SMTPUTF8 = 16, CLIENT_ESMTP = 32,
	CLIENT_DSN = 64,
};

/* What is the same for every connection of a worker. */
struct client_settings {
	bool lmtp;
	char helo[256];
	int64_t connect_msec, step_msec;
	SSL_CTX *tls;             /* NULL: no STARTTLS */
};
struct client {
	const struct client_settings *set;
	int fd;                   /* -1: not connected */
	SSL *ssl;
	int64_t until;            /* the end of all patience */
	unsigned features;
	unsigned messages;        /* that this connection was used for */
	int64_t opened;           /* clock_msec() */
	bool dirty;               /* a transaction was begun and not ended by its final reply */
	bool busy;                /* the server said 421; set by the client, cleared by its user */
	char host[256];           /* for results: name, "[address]" */
	char tls[80];             /* "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" */
	size_t start, end;
	char in[CLIENT_IN_OCTETS];
};

/* One message and where each of its recipients stands. */
struct client_mail {
	struct slice sender, header, body;
	int reply_fd;             /* the queue's end; nobody there: the message is not sent */
	bool smtputf8;            /* a header with octets beyond ASCII goes only to servers that know SMTPUTF8 */
	char ret;                 /* RFC 3461, told to servers that know DSN: as in struct delivery */
	struct slice envid;
	size_t count;
	struct client_rcpt {
		struct slice address;
		const char *notify;
		struct slice orcpt;
		enum delivery_relay relay; /* of a success */
		bool asked, accepted, decided;
		enum delivery_status status;
		char enhanced[12];
		char host[256];
		char text[DELIVERY_TEXT_MAX + 1];
	} rcpt[DELIVERY_RECIPIENTS_MAX];
};

/* The context for STARTTLS: any certificate is taken (RFC 7435), TLS 1.2 and later.  Before program_confine().  NULL with *E. */
SSL_CTX *client_tls_context(struct err *e);
void client_init(struct client *c, const struct client_settings *set, int64_t until);
/* Connect, greeting, EHLO or LHLO, STARTTLS where it is offered and CLEAR is false.  NAME is for results and SNI.
 * 0; E_REFUSED: TLS failed, try again with CLEAR; others: this address serves nothing now.  The text says why; the connection is closed. */
MUST_CHECK int client_open(struct client *c, const struct sockaddr *to, socklen_t octets, const char *name, bool clear, struct err *e);
/* Is this open connection good for another transaction of its own, with patience until UNTIL?  Where an earlier one was not ended it is reset.  False: it is
 * closed now, and nothing was said of any message. */
bool client_again(struct client *c, int64_t until);
/* May another transaction follow?  The server did not say that it had enough, and the connection is neither old nor much used. */
bool client_keeps(const struct client *c);
/* One transaction.  Afterwards every recipient is decided.  0; E_EOF: the session failed before the server said anything of the message, or a used
 * connection was answered 421 to MAIL (nobody is decided: another address, or a fresh connection, may be tried).  After E_… the connection is closed. */
MUST_CHECK int client_deliver(struct client *c, struct client_mail *m, struct err *e);
/* QUIT (its answer is not waited for) and close. */
void client_close(struct client *c);
/* The outcome of one recipient, or of all that are not decided. */
void client_decide(struct client_rcpt *r, enum delivery_status status, const char *enhanced, const char *host, const char *text);
void client_decide_rest(struct client_mail *m, enum delivery_status status, const char *enhanced, const char *host, const char *text);

/* client_io.c */
void client_drop(struct client *c);
MUST_CHECK int client_write(struct client *c, const void *p, size_t n, struct err *e);
MUST_CHECK int client_reply(struct client *c, struct reply *r, void (*keyword)(struct client *c, struct slice text), struct err *e);
MUST_CHECK int client_dial(struct client *c, const struct sockaddr *to, socklen_t octets, struct err *e);
/* TLS on the connection; octets that came before it make it E_PEER. */
MUST_CHECK int client_start_tls(struct client *c, const char *name, struct err *e);
/* client_data.c: HEADER and BODY (LF, or stray CR) with CR LF, dots doubled, and the final dot.  Never a lone CR or LF. */
MUST_CHECK int client_send_data(struct client *c, struct slice header, struct slice body, int reply_fd, struct err *e);
/* The same conversion into B without the final dot, for tests. */
void client_convert(struct buf *b, struct slice text, bool *line_start, bool *cr);
#endif
