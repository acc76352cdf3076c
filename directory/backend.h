/* The one interface behind which the directories stand (embedded, LDAP, …).  All calls are made in the event loop; an answer comes
 * by a call of .done, at once or later, exactly once. */
#ifndef POSTERN_DIRECTORY_BACKEND_H
#define POSTERN_DIRECTORY_BACKEND_H
#include <poll.h>

#include "directory/account.h"
#include "directory/password.h"
#include "directory/work.h"

#define BACKEND_DN_MAX 1024
#define BACKEND_POLL_MAX 2

enum lookup_kind { LOOKUP_ADDRESS = 'a', LOOKUP_LOGIN = 'u' };

/* What was found; borrowed for the time of the call. */
struct found {
	bool exists;                          /* false: no such entry, or (TEMPORARY) not known */
	enum directory_verdict verdict;       /* NO where nothing exists */
	const char *text;
	const struct directory_entry *entry;  /* NULL where nothing exists */
	struct slice dn;
	const struct account *account;        /* with its passwords, where they were asked for and can be read; else NULL */
};

struct lookup {
	enum lookup_kind kind;
	struct slice key;       /* account_…_key(); stays until done */
	int64_t deadline;
	bool passwords;         /* the stored ones are wanted; the answer is never one that was kept */
	void (*done)(struct lookup *l, const struct found *f);
};

/* Is this password right? */
struct check {
	struct work work;
	char password[PASSWORD_MAX + 1];
	char stored[ACCOUNT_PASSWORDS_MAX][PASSWORD_STORED_MAX + 1];
	size_t stored_count;
	char dn[BACKEND_DN_MAX + 1];
	void *connection;                /* LDAP */
	int64_t deadline;                /* not begun later */
	enum directory_verdict verdict;
	char text[DIRECTORY_TEXT_MAX];
};

struct backend {
	void (*lookup)(struct lookup *l);
	/* Fill C->work.run and what it needs; F as found, or not existing: work of the same length is then done in vain, so that the time
	 * taken does not tell whether there is such a user. */
	void (*prepare_check)(struct check *c, const struct found *f);
	/* After C->work.run: take back what it used. */
	void (*finish_check)(struct check *c);
	/* Descriptors to poll for; how many. */
	size_t (*watch)(struct pollfd p[BACKEND_POLL_MAX]);
	/* When attend() must be called at the latest. */
	int64_t (*deadline)(void);
	/* Called after every poll: read what came, see to what is due. */
	void (*attend)(void);
};

struct control;
/* Start-up, before confinement; program_fatal() texts in *E.  NULL with E_SYNTAX or E_SYS. */
const struct backend *embedded_backend(const struct control *c, struct err *e);
const struct backend *ldap_backend(const struct control *c, struct err *e);
/* The settings that both read. */
struct account_defaults backend_defaults(const struct control *c);
#endif
