/* LDAP back end: to come. */
#include "directory/backend.h"

const struct backend *ldap_backend(const struct control *c, struct err *e)
{
	(void)c;
	err_set(e, E_SYNTAX, "ldapserver: not yet available");
	return NULL;
}
