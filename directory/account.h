/* What the attributes of one entry come to, whichever back end they were read from: postern-directory(5) has the table.
 * Nothing here allocates or blocks; values are borrowed and must outlive the account. */
#ifndef POSTERN_DIRECTORY_ACCOUNT_H
#define POSTERN_DIRECTORY_ACCOUNT_H
#include "directory/query.h"

#define ACCOUNT_PASSWORDS_MAX 8
#define ACCOUNT_CLASSES_MAX 64
#define ACCOUNT_PATH_MAX 4096

/* Settings that give entries their sense. */
struct account_defaults {
	struct slice object_class;  /* only entries of this class count; empty: all */
	struct slice message_store; /* what stands before a relative mailMessageStore, or empty */
	long long quota_octets, quota_count;
};

/* Numbers of an entry, in struct account. */
enum account_number { ACCOUNT_QUOTA_OCTETS, ACCOUNT_QUOTA_COUNT, ACCOUNT_SIZE, ACCOUNT_QMAIL_UID, ACCOUNT_QMAIL_GID, ACCOUNT_UID, ACCOUNT_GID, ACCOUNT_COUNT };
#define ACCOUNT_NUMBER_NONE (-1)

struct account {
	struct directory_entry entry; /* forwards of a group: its members given as addresses */
	struct slice dn;
	struct slice passwords[ACCOUNT_PASSWORDS_MAX];
	size_t password_count;
	struct slice logins[DIRECTORY_ADDRESSES_MAX]; /* values of uid, the first one is entry.uid */
	size_t login_count;
	struct slice members[DIRECTORY_ADDRESSES_MAX]; /* group: DNs still to be resolved to addresses, which then go to entry.forwards */
	size_t member_count;
	bool group, counts;  /* counts: of the object class that is asked for, and has an address or a login */
	/* What a question about it is answered; TEXT for all but YES. */
	enum directory_verdict verdict;
	const char *text;
	/* internal */
	struct slice store, restriction;
	long long number[ACCOUNT_COUNT];
	bool nolocal, noforward;
	struct slice classes[ACCOUNT_CLASSES_MAX];
	size_t class_count;
	char path[ACCOUNT_PATH_MAX];
};

void account_begin(struct account *a, struct slice dn);
/* One value.  Attributes without meaning here are passed over.  0, or E_SYNTAX with the reason in *E. */
MUST_CHECK int account_add(struct account *a, struct slice name, struct slice value, struct err *e);
/* All values are there: see what they come to together.  0, or E_SYNTAX: the entry makes no sense (the reason in *E). */
MUST_CHECK int account_finish(struct account *a, const struct account_defaults *d, struct err *e);
/* The same once members have been resolved: a group without any takes no mail. */
void account_finish_group(struct account *a);
/* The names of all attributes that count, userPassword only where PASSWORDS is wanted, NULL-ended, for LDAP searches. */
const char *const *account_attributes(bool passwords);
/* True when ADDRESS (a lookup key) is mail or mailAlternateAddress of the account; LOGIN (lower case) one of its uids. */
bool account_has_address(const struct account *a, struct slice key);
bool account_has_login(const struct account *a, struct slice login);
/* VALUE as a key to look up, appended to B: an address as addr_lookup_key() makes it, other text and DNs in lower case, DNs without
 * blanks around "," and "=". */
void account_address_key(struct buf *b, struct slice value);
void account_login_key(struct buf *b, struct slice value);
void account_dn_key(struct buf *b, struct slice value);
#endif
