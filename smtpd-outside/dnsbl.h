/* control/dnsbl: DNS lists of clients, those that speak against a client and those that speak for it, and what their answers add up to.
 * Pure: no input, no output.  RFC 5782; addresses and codes as in postscreen's weights.
 *
 *	zone [weight=N] [codes=127.0.0.2-11,127.0.0.20] [reply=550] [text="…"]
 *
 * A zone may stand in several lines with other codes and weights; it is asked once. */
#ifndef POSTERN_SMTPD_DNSBL_H
#define POSTERN_SMTPD_DNSBL_H
#include <stdint.h>

#include "lib/addr.h"
#include "lib/control.h"

#define DNSBL_RULES_MAX 64       /* lines */
#define DNSBL_ZONES_MAX 32       /* different zones among them */
#define DNSBL_ZONE_MAX 180       /* octets of a zone's name, so that 32 nibbles and their dots fit before it */
#define DNSBL_NAME_MAX 256       /* octets of a question's name, with a NUL */
#define DNSBL_CODES_MAX 16       /* ranges in one line */
#define DNSBL_TEXT_MAX 240       /* octets of a text */
#define DNSBL_WEIGHT_MAX 1000

struct dnsbl_codes {
	uint32_t low, high;      /* addresses as numbers; the last octet alone may be a range */
};
struct dnsbl_rule {
	unsigned zone;           /* number in dnsbl.zone */
	int weight;              /* below 0: it speaks for the client */
	int reply;               /* 451, 550, 553 or 554 */
	struct dnsbl_codes codes[DNSBL_CODES_MAX];
	unsigned code_count;     /* 0: any address in 127.0.0.0/8 but 127.255.255.0/24 */
	char text[DNSBL_TEXT_MAX + 1]; /* "": what the list itself says (TXT) */
};
struct dnsbl {
	struct dnsbl_rule rule[DNSBL_RULES_MAX];
	unsigned rules;
	char zone[DNSBL_ZONES_MAX][DNSBL_ZONE_MAX + 1];
	unsigned zones;
	long long threshold;
};

/* One line, its zone's name into ZONE (DNSBL_ZONE_MAX + 1 octets, lower case, no dot at the end); OUT->zone stays as it is.
 * 0, or E_SYNTAX with the reason in *E. */
MUST_CHECK int dnsbl_parse_line(struct dnsbl_rule *out, char *zone, struct slice line, struct err *e);
/* The whole of control/dnsbl and dnsblthreshold; an absent file has no rules.  0, or E_SYNTAX with file, line and reason. */
MUST_CHECK int dnsbl_parse(struct dnsbl *out, const struct control *c, struct err *e);
/* The name under which a list has CLIENT: "1.2.0.192.zone", or 32 nibbles for IPv6 (RFC 5782 2.1, 2.4). */
void dnsbl_name(char out[DNSBL_NAME_MAX], const struct ip *client, const char *zone);
/* The name under which CLIENT's own names are: in-addr.arpa, ip6.arpa (RFC 1035 3.5, RFC 3596 2.5). */
void dnsbl_reverse_name(char out[DNSBL_NAME_MAX], const struct ip *client);

/* What is known of a client while answers come in: all zero at the beginning. */
struct dnsbl_score {
	uint64_t matched;        /* bits of rules */
	uint64_t failed;         /* bits of zones that gave no answer, or one that tells of an error (127.255.255.0/24, RFC 5782 5) */
};
/* One A record of a zone's answer (4 octets). */
void dnsbl_answer(struct dnsbl_score *s, const struct dnsbl *d, unsigned zone, const unsigned char *address);
long dnsbl_sum(const struct dnsbl_score *s, const struct dnsbl *d);
bool dnsbl_refuses(const struct dnsbl_score *s, const struct dnsbl *d);
/* Of a refused client: the rule whose words it gets, the matching one with the greatest weight.  NULL: none matched. */
const struct dnsbl_rule *dnsbl_speaker(const struct dnsbl_score *s, const struct dnsbl *d);
/* The text for the client: TEMPLATE with %IP% and %ZONE% replaced, or "…blocked by ZONE" with what its TXT record says (may be empty).  Printable ASCII. */
void dnsbl_text(char *out, size_t size, const struct dnsbl_rule *rule, const char *zone, struct slice txt, const struct ip *client);
/* The text of a TXT record's data (RFC 1035 3.3.14): its strings one after the other.  0 or E_SYNTAX. */
MUST_CHECK int dnsbl_txt(char *out, size_t size, struct slice data);
/* The host's name in a PTR record's data (RFC 1035 3.3.12; compression taken out): lower case, no dot at the end, a domain by addr_check_domain().  0 or E_SYNTAX. */
MUST_CHECK int dnsbl_host(char out[DNSBL_NAME_MAX], struct slice data);
#endif
