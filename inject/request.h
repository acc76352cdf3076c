/* What the front ends say to postern-inject over STATE/run/inject.sock (SOCK_SEQPACKET, postern-inject(8)).  One packet each way, then the
 * connection ends.
 *
 *	"names"                           answered by netstrings defaulthost, defaultdomain, idhost
 *	"send" with two sealed memfds     the message as it is, and the envelope: netstrings sender, recipient, recipient ...
 *	                                  answered by an SMTP reply without line end, "250 2.0.0 ok ID"
 *	"import" with two sealed memfds   head and body of postern-job(5), from root or the suite's user alone: as the queue of another host had it; the
 *	                                  same answer */
#ifndef POSTERN_INJECT_REQUEST_H
#define POSTERN_INJECT_REQUEST_H
#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/envelope.h"
#include "lib/err.h"

#define VERP_MARK "-@[]" /* qmail: a sender of its own for each recipient (queue/verp.h) */
#define REQUEST_PACKET_MAX 4096
#define REQUEST_ADDRESS_MAX 1000 /* octets of an address as the caller wrote it; what is longer than ADDRESS_MAX is refused by name */

/* How addresses and ids are completed. */
struct names {
	struct slice host;   /* for an address without a domain */
	struct slice domain; /* after a host name without a dot; only where a person wrote the address */
	struct slice idhost; /* right side of a Message-ID */
};
void names_encode(struct buf *b, const struct names *n);
/* Slices borrow from IN.  0 or E_PEER. */
MUST_CHECK int names_decode(struct names *n, struct slice in, struct err *e);

/* Fill sender and recipients of ENV from the envelope IN of a caller who is not trusted: an address without a domain gets HOST, all are
 * brought to the form of lib/envelope.h.  Texts are copied into A; ENV->rcpt is calloc()ed, the caller's to free, also after a failure.
 * 0; E_PEER (not the grammar), E_TOO_LONG (an address, or too many), E_REFUSED (an address that is none; the text names it),
 * E_SYS (no memory). */
MUST_CHECK int request_envelope(struct envelope *env, struct arena *a, struct slice in, struct slice host, struct err *e);
#endif
