/* The embedded directory, control/directory.ldif: its text stays as it is, an index by keyed hash says where each entry begins, and an
 * entry is parsed when it is asked for.  Memory: the text and about 12 to 24 octets for each address, login and DN. */
#ifndef POSTERN_DIRECTORY_EMBEDDED_H
#define POSTERN_DIRECTORY_EMBEDDED_H
#include "directory/account.h"
#include "directory/password.h"
#include "lib/hash.h"

struct embedded {
	struct slice text; /* borrowed */
	struct account_defaults defaults;
	struct hash_key secret;
	uint64_t *hash;
	uint32_t *at;      /* offset of the entry + 1; 0: free */
	size_t slots, used;
	size_t entries;    /* that count */
	size_t entry_octets_most;
	char *space, *spare_space, *member_space;
	struct account *spare;
	char password[PASSWORD_STORED_MAX + 1]; /* the first stored one of a known scheme: those of this directory look so; "": there is none */
};

/* Read TEXT (which must stay).  0, or with nothing kept E_SYNTAX with "directory.ldif:LINE: reason", E_SYS. */
MUST_CHECK int embedded_load(struct embedded *d, struct slice text, const struct account_defaults *defaults, struct err *e);
void embedded_free(struct embedded *d);

enum embedded_key { KEY_ADDRESS = 'a', KEY_LOGIN = 'u', KEY_DN = 'd' };
/* The account with this KEY (made by account_…_key()); false when there is none.  Slices of A borrow from the text and from D,
 * until the next call. */
bool embedded_find(struct account *a, struct embedded *d, enum embedded_key kind, struct slice key);

/* For `postern check`: 0, or E_SYNTAX with the first fault of control/directory.ldif; E_SYS. */
MUST_CHECK int directory_ldif_check(struct slice text, const struct account_defaults *defaults, struct err *e);
#endif
