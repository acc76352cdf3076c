/* An LDAP search result as an account. */
#ifndef POSTERN_DIRECTORY_LDAP_ENTRY_H
#define POSTERN_DIRECTORY_LDAP_ENTRY_H
#include <ldap.h>

#include "directory/account.h"

#define LDAP_ENTRY_OCTETS_MAX (256 * 1024)

/* An account with the memory that its slices point into. */
struct ldap_entry {
	struct account account;
	size_t used;
	char space[LDAP_ENTRY_OCTETS_MAX];
};
/* MESSAGE, the one entry of a result, into ENTRY; without D its values alone (account_add()), not what they come to.  0; E_SYNTAX (it makes no sense), E_TOO_LONG, E_PEER. */
MUST_CHECK int ldap_entry_read(struct ldap_entry *entry, LDAP *ld, LDAPMessage *message, const struct account_defaults *d, struct err *e);
#endif
