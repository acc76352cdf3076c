/* Search filters, RFC 4515, and the lines of control/ldapserver. */
#ifndef POSTERN_DIRECTORY_LDAP_FILTER_H
#define POSTERN_DIRECTORY_LDAP_FILTER_H
#include "directory/backend.h"
#include "lib/control.h"

/* The filter for KEY, appended to B: the only place where outside text enters a filter.  Every octet of it that is not a letter, a
 * digit or one of "@.-_+" is escaped (RFC 4515 3), so that it can be nothing but the literal in an equality. */
void ldap_filter(struct buf *b, enum lookup_kind kind, struct slice key, struct slice object_class);

#define LDAP_SERVERS_MAX 8
struct ldap_server {
	char url[300];
	bool starttls;
};
/* control/ldapserver: host[:port] or a URL (ldap, ldaps, ldapi), each possibly followed by the word starttls; several on a line or on lines.
 * 0, or E_SYNTAX with "ldapserver:LINE: reason". */
MUST_CHECK int ldap_servers(struct ldap_server *list, size_t *count, const struct control *c, struct err *e);
#endif
