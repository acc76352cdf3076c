/* Mail addresses: RFC 5321 paths and mailboxes, domains, IP addresses.  One parser for the whole suite, so that all its programs
 * agree on what an address is.  Nothing here allocates or blocks; all is linear. */
#ifndef POSTERN_LIB_ADDR_H
#define POSTERN_LIB_ADDR_H
#include <netinet/in.h>

#include "lib/buf.h"
#include "lib/envelope.h"
#include "lib/err.h"

struct addr {
	struct slice local;  /* as given, quoted strings with their quotes; empty for <> and <postmaster> has no domain */
	struct slice domain; /* as given (case kept); "[1.2.3.4]" for a literal; empty for <> and <postmaster> */
};

/* Parse one Path, '<' to '>', at the start of IN; set *USED to its octets.  RFC 5321 4.1.2, limits 4.5.3.1 (local part 64, domain
 * 255, path 256), source routes ("@a,@b:") skipped as 4.1.1.3 allows, octets over 0x7f only with UTF8 and then
 * valid UTF-8 (RFC 6531 3.3).  "<>" gives two empty slices; "<postmaster>" (any case) a local part without domain.
 * Returns 0, or with OUT and USED untouched:
 *   E_SYNTAX    not a Path, or contains NUL, CR or LF     (SMTP 501)
 *   E_TOO_LONG  over a limit                              (SMTP 501)
 * OUT borrows: its slices point into IN. */
MUST_CHECK int addr_parse_path(struct addr *out, size_t *used, struct slice in, bool utf8);
/* The whole of IN as local@domain (no brackets around it). */
MUST_CHECK int addr_parse_mailbox(struct addr *out, struct slice in, bool utf8);
/* RFC 5321 Domain (letters, digits, hyphens, dots, labels of at most 63; UTF8: U-labels too) or address literal. */
MUST_CHECK int addr_check_domain(struct slice domain, bool utf8);
/* local@domain in the form used inside the suite: domain in lower case without final dot, local part unquoted where the quotes are not
 * needed, its case kept.  Appends to B. */
void addr_canonical(struct buf *b, const struct addr *a);
/* The same for looking up: the local part in lower case too. */
void addr_lookup_key(struct buf *b, const struct addr *a);
/* The domain of local@domain (after the last "@"), or an empty slice. */
struct slice addr_domain_of(struct slice mailbox);
/* DOMAIN matches PATTERN: equal, or PATTERN begins with "." and DOMAIN ends with it.  ASCII case does not count. */
bool addr_domain_matches(struct slice domain, struct slice pattern);

/* IP addresses are kept as 16 octets; IPv4 as ::ffff:a.b.c.d. */
struct ip {
	unsigned char a[16];
};
/* Textual IPv4 or IPv6 (no brackets, no zone).  0 or E_SYNTAX. */
MUST_CHECK int ip_parse(struct ip *out, struct slice text);
bool ip_is4(const struct ip *ip);
bool ip_is_loopback(const struct ip *ip); /* 127.0.0.0/8, ::1 */
/* Textual form, IPv4 dotted where it is one. */
void ip_text(char text[INET6_ADDRSTRLEN], const struct ip *ip);
/* The first BITS bits kept, the others zero; for IPv4 addresses BITS counts from their own first bit (0..32). */
struct ip ip_network(const struct ip *ip, unsigned bits);
#endif
