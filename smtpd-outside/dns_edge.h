/* What postern-door, sessions (postern-smtpd) and postern-dns say to each other.
 *
 * The door makes a SOCK_SEQPACKET pair and sends one end, with the text "door", to PORT_DNS.  Over the pair go questions and answers, one
 * netstring list in a packet, as many under way as the door likes; answers come in any order.  When either side is gone the other
 * sees the end of file: the door makes a new pair and asks again, postern-dns forgets what that door had asked.
 *
 * A session asks over PORT_SENDERS, where nothing else is taken, by lib/ask.h: "sender" DOMAIN; the answer is one letter. */
#ifndef POSTERN_SMTPD_DNS_EDGE_H
#define POSTERN_SMTPD_DNS_EDGE_H
#include <stdint.h>

#include "lib/addr.h"

#define DNS_PACKET_MAX 1024
#define DNS_NUMBER_MAX INT64_MAX
#define DNS_TEXT_MAX 300  /* octets of what a refused client is told */
#define DNS_HOST_MAX 255

enum dns_want { DNS_LISTS = 1, DNS_HOST = 2, DNS_GREY = 4, DNS_ALL = 7 };
struct dns_question {
	int64_t number;  /* comes back with the answer; 0..DNS_NUMBER_MAX */
	struct ip client;
	unsigned want;   /* bits of dns_want, at least one */
};
struct dns_answer {
	int64_t number;
	long long score; /* sum of the weights of lists that have the client */
	unsigned failed; /* lists that gave no answer in time */
	int reply;       /* 0: not refused by the lists; 451, 550, 553 or 554 */
	unsigned grey_sec; /* 0: let in; how long it should wait before it comes back */
	struct slice text; /* of the refusal: printable ASCII */
	struct slice host; /* the client's name, confirmed forward; empty: none.  Lower case. */
};
void dns_question_encode(struct buf *b, const struct dns_question *q);
void dns_answer_encode(struct buf *b, const struct dns_answer *a);
/* The whole of TEXT.  0 or E_PEER.  An answer borrows from TEXT. */
MUST_CHECK int dns_question_decode(struct dns_question *q, struct slice text);
MUST_CHECK int dns_answer_decode(struct dns_answer *a, struct slice text);

#define SENDER_DOMAIN_MAX 255
enum sender_domain {
	SENDER_EXISTS = 'Y',   /* it has MX records, or an address; or nothing can be said of such a name */
	SENDER_MISSING = 'N',  /* certainly neither: it does not exist, or is empty */
	SENDER_NULL_MX = 'M',  /* RFC 7505: it takes no mail */
	SENDER_UNKNOWN = 'T',  /* its name servers, or postern-dns, do not say */
};
/* DOMAIN: a domain, U-labels too, no literal.  Waits until DEADLINE.  Whatever goes wrong is SENDER_UNKNOWN. */
enum sender_domain sender_domain_ask(int sock, struct slice domain, int64_t deadline);
void sender_question_encode(struct buf *b, struct slice domain);
void sender_answer_encode(struct buf *b, enum sender_domain what);
/* The whole of TEXT.  0 or E_PEER.  DOMAIN borrows. */
MUST_CHECK int sender_question_decode(struct slice *domain, struct slice text);
MUST_CHECK int sender_answer_decode(enum sender_domain *what, struct slice text);
#endif
