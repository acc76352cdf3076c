/* Connecting and binding to LDAP servers, and checking a password by a bind.  All of it blocks (with deadlines) and so runs as work
 * in a thread (work.h). */
#ifndef POSTERN_DIRECTORY_LDAP_CONNECT_H
#define POSTERN_DIRECTORY_LDAP_CONNECT_H
#include <ldap.h>

#include "directory/ldap_filter.h"

struct ldap_settings {
	struct ldap_server server[LDAP_SERVERS_MAX];
	size_t servers;
	char base[BACKEND_DN_MAX + 1], login[BACKEND_DN_MAX + 1], password[PASSWORD_MAX + 1], ca_file[1024];
	struct slice object_class;
	int timeout_sec, cache_sec;
	struct account_defaults defaults;
};
/* 0, or E_SYNTAX with "FILE:LINE: reason". */
MUST_CHECK int ldap_settings(struct ldap_settings *s, const struct control *c, struct err *e);

struct connecting {
	struct work work;
	const struct ldap_settings *settings;
	LDAP *ld;            /* NULL: no server could be reached */
	const char *server;  /* the URL of the one that could */
	char error[200];
};
/* For .work.run: the first server that answers, bound as ldaplogin. */
void ldap_connect_run(struct work *w);
/* For .work.run of a struct check: compare .password with .stored, then bind as .dn with it on .connection (NULL: a new one). */
void ldap_connect_check(struct work *w);
extern const struct ldap_settings *ldap_connect_settings;
#endif
