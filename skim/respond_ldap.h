/* Reading and changing directory entries for postern-respond: one connection, one question at a time, every one with a deadline. */
#ifndef POSTERN_SKIM_RESPOND_LDAP_H
#define POSTERN_SKIM_RESPOND_LDAP_H
#include "directory/ldap_connect.h"
#include "lib/envelope.h"

#define RLDAP_VALUES_MAX 100000

struct rldap {
	struct ldap_settings settings; /* its login and password are those of respondlogin and respondpassword */
	bool configured;               /* ldapserver and respondlogin are there */
	LDAP *ld;
};
/* Read the settings; absent ones leave it unconfigured.  0 or E_SYNTAX.  Before confinement: the files of TLS are allowed to be read. */
MUST_CHECK int rldap_settings(struct rldap *l, const struct control *c, struct err *e);
void rldap_close(struct rldap *l);

/* Values of an attribute, as octets; owned. */
struct values {
	struct berval **list; /* NULL-ended, as libldap gives it; NULL: none */
	size_t n;
};
void values_free(struct values *v);
static inline struct slice value_of(const struct values *v, size_t i) { return slice_make(v->list[i]->bv_val, v->list[i]->bv_len); }
bool values_have(const struct values *v, struct slice value);

/* All below: 0; E_NOT_FOUND (no such entry); E_PEER (more than one entry for a user; refused by the schema); E_REFUSED (not allowed, an attribute or value
 * that the server does not take: somebody must change something first); E_TIMEOUT (server away, busy, too slow). */

/* The DN and uid of the one account that logs in as USER. */
MUST_CHECK int rldap_account(struct rldap *l, char dn[BACKEND_DN_MAX + 1], char uid[ADDRESS_MAX + 1], struct slice user, struct err *e);
MUST_CHECK int rldap_values(struct rldap *l, struct values *out, const char *dn, const char *attribute, struct err *e);

/* Take away the values GONE and add COME, at once or not at all.  Besides: E_EOF: one of GONE is not there, or one of COME is already. */
MUST_CHECK int rldap_swap(struct rldap *l, const char *dn, const char *attribute, const struct slice *gone, size_t ngone, const struct slice *come, size_t ncome,
	struct err *e);

/* Call EACH for every membership of the account in a group at or below BASE: the group's DN, the attribute and the value that names the account. */
typedef int rldap_membership(void *arg, const char *group, const char *attribute, struct slice value);
MUST_CHECK int rldap_memberships(struct rldap *l, const char *base, const char *dn, const char *uid, rldap_membership *each, void *arg, struct err *e);
/* Which attribute GROUP names its members by, and the value that stands for the account there. */
MUST_CHECK int rldap_member_form(struct rldap *l, const char **attribute, struct slice *value, const char *group, const char *dn, const char *uid, struct err *e);
#endif
