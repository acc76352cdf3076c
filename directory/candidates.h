/* The keys under which an address is looked up, in order, as qmail-ldap does it (postern-directory(5)):
 *	user-a-b@domain, then user-a-catchall@domain, user-catchall@domain, catchall@domain;
 *	user+detail@domain, then as user@domain. */
#ifndef POSTERN_DIRECTORY_CANDIDATES_H
#define POSTERN_DIRECTORY_CANDIDATES_H
#include "lib/envelope.h"

#define DASHES_MAX 4 /* extensions that are tried; later dashes belong to the last one */
#define CANDIDATES_MAX (3 + DASHES_MAX)

struct candidates {
	struct slice key[CANDIDATES_MAX]; /* point into .space */
	size_t count;
	char space[CANDIDATES_MAX * (ADDRESS_MAX + 16)];
};
/* KEY is an address as addr_lookup_key() makes it, of at most ADDRESS_MAX octets. */
void candidates_make(struct candidates *c, struct slice key);
#endif
