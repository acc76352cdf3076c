/* The session's side of postern-tls: hand over the client's socket, get the clear bytes back.
 *
 * The session must have answered 220 to STARTTLS and must hold no unread octet of the client (surplus octets: refuse, RFC 3207 4.2).
 * After success it closes its own client descriptor at once and uses *CLEAR_FD alone: nothing can come before or
 * around TLS any more.  postern-tls(8) has the wire form. */
#ifndef POSTERN_SMTPD_TLS_CLIENT_H
#define POSTERN_SMTPD_TLS_CLIENT_H
#include "lib/buf.h"
#include "lib/ask.h" /* wants buf.h before it */

#define TLS_SNI_MAX 255
#define TLS_EXPORTER_MAX 44 /* 32 octets */

struct tls_facts {
	char version[16];          /* "TLSv1.3" */
	char cipher[64];           /* "TLS_AES_256_GCM_SHA384" */
	char sni[TLS_SNI_MAX + 1]; /* name that the client asked for, printable, or "" */
	char exporter[TLS_EXPORTER_MAX + 1]; /* what tls-exporter says of this connection (RFC 9266), in base64; "" below TLS 1.3 and on port 25 */
	bool resumed;              /* by a ticket */
};

/* Ask on TLS_PORT (PORT_TLS) for a handshake on CLIENT_FD (not taken).  Waits until
 * DEADLINE.  0: *CLEAR_FD is one end of a stream socket with the clear octets, FACTS is filled.  Its end of file is the client's
 * (close_notify or not); closing it or shutting down writing sends all that was written and close_notify to the client.  Otherwise:
 *   E_REFUSED  the handshake failed (text says why); the client's connection is of no use any more: close it
 *   E_TIMEOUT, E_EOF (postern-tls died), E_PEER, E_SYS  the same for the client */
MUST_CHECK int tls_start(int *clear_fd, struct tls_facts *facts, int tls_port, int client_fd, int64_t deadline, struct err *e);

/* The wire form, for postern-tls and tests.  A question is: milliseconds left, with the client's socket and one end of a stream pair.  That end answers
 * with TLS_ANSWER_OCTETS, "ok" VERSION CIPHER SNI EXPORTER RESUMED or "failed" TEXT with zero octets behind, and carries the clear octets from then on. */
#define TLS_ANSWER_OCTETS 512
void tls_question_encode(struct buf *b, int64_t msec);
MUST_CHECK int tls_question_decode(int64_t *msec, struct slice text);
void tls_answer_ok(struct buf *b, const struct tls_facts *facts);
void tls_answer_failed(struct buf *b, const char *text);
/* 0 (FACTS filled), E_REFUSED (*E has the text), E_PEER. */
MUST_CHECK int tls_answer_decode(struct tls_facts *facts, struct slice text, struct err *e);
#endif
