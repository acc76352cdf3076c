/* The addresses in a header field's value (RFC 5322 3.4 with 4.4): an iterator that says where each addr-spec stands and changes
 * nothing.  Display names, comments, groups, routes and encoded words are passed over. */
#ifndef POSTERN_LIB_ADDRLIST_H
#define POSTERN_LIB_ADDRLIST_H
#include "lib/err.h"

#define ADDRLIST_MAX 20000 /* addresses in one field */

struct addrlist {
	struct slice in;
	size_t at;
	struct {
		int kind;
		size_t from, to; /* octets of IN */
		bool spaced;     /* blanks or comments stood before it */
	} token;             /* the next one, not yet taken */
	bool in_group;
	bool bare;           /* set by the caller after addrlist_start(): "root" without a domain is an address too */
	size_t count;
	const char *why;     /* after E_SYNTAX and E_TOO_LONG: the reason, for the log */
};

struct addrlist_item {
	struct slice local;  /* as written, from its first to its last octet, quotes included; borrows from IN */
	struct slice domain; /* as written; "[…]" for a literal; empty only for a bare address */
	bool plain;          /* no comment or blank inside either (they may stand around them) */
};

/* Start over the VALUE of a field.  Octets over 0x7f count as letters. */
void addrlist_start(struct addrlist *l, struct slice value);
/* The next address that has a domain, in the order of their octets: 1; 0 at the end; E_SYNTAX (not an address list), E_TOO_LONG (over
 * ADDRLIST_MAX).  Addresses handed out before an error are then not to be trusted.  Linear, without recursion or memory.
 * More is taken than the grammar allows where the meaning is beyond doubt: `a@b <c@d>` is c@d, a group may lack its semicolon at the end. */
MUST_CHECK int addrlist_next(struct addrlist_item *item, struct addrlist *l);
#endif
