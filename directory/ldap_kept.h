/* Lookups answered from the cache. */
#ifndef POSTERN_DIRECTORY_LDAP_KEPT_H
#define POSTERN_DIRECTORY_LDAP_KEPT_H
#include "directory/backend.h"

/* Keep F as the answer to L for SECONDS (less where it says no); 0: never.  Temporary answers are not kept. */
void ldap_kept_put(const struct lookup *l, const struct found *f, int seconds);
/* Answer L if it can be: true, and .done was called. */
bool ldap_kept_answer(struct lookup *l, int seconds);
#endif
