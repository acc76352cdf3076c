/* postern-tls inside: certificate and settings of TLS (tls_context.c), one connection (tls_pump.c), the parent (tls.c). */
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

/* The server's handshake on SSL, whose descriptor is non-blocking.  0; E_TIMEOUT, E_PEER with the reason. */
MUST_CHECK int tls_handshake(SSL *ssl, int64_t deadline, struct err *e);
void tls_facts_of(struct tls_facts *facts, SSL *ssl);
/* Carry octets both ways between SSL and CLEAR_FD until the session has closed its end and all it wrote is sent, or one side is gone or stuck. */
void tls_pump(SSL *ssl, int clear_fd);

/* Builds the list of system calls of a connection's process; before program_confine(), which forbids to write files (memfds too).  0 or E_SYS. */
MUST_CHECK int tls_prepare(struct err *e);
/* The parent: questions on IN_FD until told to stop, at most MOST connections at once. */
void tls_run(SSL_CTX *ctx, int in_fd, int lifeline_fd, unsigned most);
#endif
