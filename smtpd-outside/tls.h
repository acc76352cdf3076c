/* postern-tls inside: certificate and settings of TLS (tls_context.c), one connection (tls_pump.c over tls_wire.c), the parent (tls.c). */
#ifndef POSTERN_SMTPD_TLS_H
#define POSTERN_SMTPD_TLS_H
#include <openssl/ssl.h>

#include "smtpd-outside/tls_cert.h"
#include "smtpd-outside/tls_client.h"

/* A server's context with the certificate, chain and key in PEM.  NULL with the reason in *E. */
SSL_CTX *tls_context(struct slice pem, struct err *e);
/* Make CTX answer with the certificates of control/certs to clients that ask for those names.  0; E_SYNTAX with "certs/FILE: reason", E_SYS. */
MUST_CHECK int tls_names(SSL_CTX *ctx, const struct control *c, struct err *e);
/* One handshake of each protocol version in memory, so that what OpenSSL fetches and allocates at its first is there before any fork, and a
 * certificate that cannot be used is known at start.  0 or E_SYNTAX. */
MUST_CHECK int tls_rehearse(SSL_CTX *ctx, struct err *e);
/* The oldest error of OpenSSL's queue as text; empties the queue. */
void tls_error(struct err *e, enum err_code code, const char *what);

/* The client's socket below an SSL.  Zeroed but for fd; it blocks nowhere. */
#define WIRE_OCTETS 16384
struct wire {
	int fd;
	bool readable;          /* there may be something to read; set after poll() */
	bool ended, broken;     /* the client's end of file was read; writing failed for good */
	size_t n;               /* octets in out that are not sent yet */
	char out[WIRE_OCTETS];
};
/* To be given to SSL_set_bio(), which owns it; W must live as long.  NULL: no memory. */
BIO *wire_bio(struct wire *w);
/* Send what can be sent now.  False: the client is gone. */
bool wire_flush(struct wire *w);

/* Octets on their way through a connection. */
#define PUMP_OCTETS 8192
struct way {
	char octet[PUMP_OCTETS];
	size_t at, n;           /* octet[at..n) is still to be written */
	bool ended;             /* nothing more will be read */
	bool closed;            /* and the other side knows */
};
struct pump {
	SSL *ssl;
	struct wire *wire;
	int clear_fd;
	short client_events, clear_events;
	bool clear_readable;    /* poll() said so, or nothing was read since */
	bool held;              /* what the wire holds can wait for the session's first octets: a ticket */
	bool broken;            /* no TLS any more: a fault, or the session is gone */
	bool progress;
	struct way in, out;     /* client to session, session to client */
};

/* The server's handshake on SSL over WIRE, to whose end what was written may still wait in WIRE.  0; E_TIMEOUT, E_PEER with the reason. */
MUST_CHECK int tls_handshake(SSL *ssl, struct wire *wire, int64_t deadline, struct err *e);
/* BINDING: with what tls-exporter says, which nobody needs where there is no AUTH. */
void tls_facts_of(struct tls_facts *facts, SSL *ssl, bool binding);
/* Carry octets both ways between P's ssl over wire and clear_fd until the session has closed its end and all it wrote is sent, or one side is gone or stuck.
 * P's in holds the answer, which goes first; all else is zeroed. */
void tls_pump(struct pump *p);
/* What the client still sends is read away for a moment: closing on unread octets would reset the connection, and the last reply or alert with it. */
void tls_linger(int client_fd);

/* Builds the list of system calls that the program has from tls_begin() on; before program_confine(), which forbids to write files (memfds too).
 * 0 or E_SYS. */
MUST_CHECK int tls_prepare(struct err *e);
/* After program_confine(): begins the connection that each process will go on with, and gives up all calls but those of the list.  0 or E_SYS. */
MUST_CHECK int tls_begin(SSL_CTX *ctx, struct err *e);
/* The parent: questions on IN_FD until told to stop, at most MOST connections at once. */
void tls_run(SSL_CTX *ctx, int in_fd, int lifeline_fd, unsigned most);
#endif
