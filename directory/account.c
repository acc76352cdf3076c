/* The sense of attributes: see account.h.  Names and values as in qmail-ldap (qmailUser, qmailGroup), RFC 4519 and RFC 2307.
 *
 * Runs in postern-directory and in the lint.  Entries are what administrators and their tools wrote; a value that cannot be
 * right is an error, which the lint names by line and which LDAP questions meet as a temporary failure: mail waits until the entry is
 * mended, and never goes where nobody meant it to. */
#include "directory/account.h"

#include <stdio.h>

#include "lib/addr.h"

static int wrong(struct err *e, const char *reason)
{
	return err_set(e, E_SYNTAX, "%s", reason);
}

void account_begin(struct account *a, struct slice dn)
{
	struct directory_entry *d = &a->entry;
	d->uid = d->mail = d->mail_host = d->message_store = d->home = d->account_status = d->reply_text = slice_make("", 0);
	d->local = d->forward = d->reply = false;
	d->forward_count = d->alternate_count = 0;
	d->user_class[0] = 0;
	a->dn = dn;
	a->password_count = a->login_count = a->member_count = 0;
	a->group = a->counts = a->nolocal = a->noforward = false;
	a->class_count = 0;
	a->store = a->restriction = slice_make("", 0);
	for (size_t i = 0; i < ACCOUNT_COUNT; i++)
		a->number[i] = ACCOUNT_NUMBER_NONE;
}

static bool has_class(const struct account *a, struct slice class)
{
	for (size_t i = 0; i < a->class_count; i++)
		if (slice_case_eq(a->classes[i], class))
			return true;
	return class.n == 0;
}

static long long number_or(const struct account *a, enum account_number which, long long def)
{
	return a->number[which] == ACCOUNT_NUMBER_NONE ? def : a->number[which];
}

static void finish_numbers(struct account *a, const struct account_defaults *d)
{
	struct directory_entry *e = &a->entry;
	bool qmail = a->number[ACCOUNT_QMAIL_UID] != ACCOUNT_NUMBER_NONE && a->number[ACCOUNT_QMAIL_GID] != ACCOUNT_NUMBER_NONE;
	bool posix = a->number[ACCOUNT_UID] != ACCOUNT_NUMBER_NONE && a->number[ACCOUNT_GID] != ACCOUNT_NUMBER_NONE;
	e->uid_number = qmail ? a->number[ACCOUNT_QMAIL_UID] : posix ? a->number[ACCOUNT_UID] : -1;
	e->gid_number = qmail ? a->number[ACCOUNT_QMAIL_GID] : posix ? a->number[ACCOUNT_GID] : -1;
	e->quota_octets = number_or(a, ACCOUNT_QUOTA_OCTETS, d->quota_octets);
	e->quota_count = number_or(a, ACCOUNT_QUOTA_COUNT, d->quota_count);
	e->size_most = number_or(a, ACCOUNT_SIZE, 0);
}

/* mailMessageStore made absolute: as it is, below ldapmessagestore, or below homeDirectory. */
static int finish_store(struct account *a, const struct account_defaults *d, struct err *e)
{
	struct slice store = a->store, below = d->message_store.n ? d->message_store : a->entry.home;
	while (store.n > 1 && store.p[store.n - 1] == '/')
		store.n--;
	if (store.n == 0 || store.p[0] == '/') {
		a->entry.message_store = store;
		return 0;
	}
	if (slice_starts(store, "./"))
		store = slice_from(store, 2);
	if (below.n == 0 || below.p[0] != '/')
		return wrong(e, "mailMessageStore: relative, and there is neither control/ldapmessagestore nor homeDirectory to stand before it");
	const char *slash = below.p[below.n - 1] == '/' ? "" : "/";
	int n = snprintf(a->path, sizeof a->path, "%.*s%s%.*s", SLICE_FMT(below), slash, SLICE_FMT(store));
	if (n < 0 || (size_t)n >= sizeof a->path)
		return wrong(e, "mailMessageStore: too long with what stands before it");
	a->entry.message_store = slice_make(a->path, (size_t)n);
	return 0;
}

static void answer(struct account *a, enum directory_verdict verdict, const char *text)
{
	a->verdict = verdict;
	a->text = text;
}

/* accountStatus first, as qmail-lspawn does. */
static void finish_verdict(struct account *a)
{
	struct directory_entry *e = &a->entry;
	if (slice_eq_str(e->account_status, "deleted"))
		answer(a, DIRECTORY_NO, "no mailbox here by that name");
	else if (slice_eq_str(e->account_status, "disabled"))
		answer(a, DIRECTORY_DISABLED, "mail address is administratively disabled");
	else if (a->group && a->restriction.n)
		answer(a, DIRECTORY_TEMPORARY, "this group has rules about who may write to it, which are not supported yet");
	else if (a->group && e->forward_count + a->member_count == 0)
		answer(a, DIRECTORY_DISABLED, "this group has no members");
	else if (!e->local && !e->forward && e->mail_host.n == 0)
		answer(a, DIRECTORY_DISABLED, "this account takes no mail");
	else
		answer(a, DIRECTORY_YES, "");
}

int account_finish(struct account *a, const struct account_defaults *d, struct err *e)
{
	struct directory_entry *n = &a->entry;
	n->group = a->group;
	a->counts = (n->mail.n || n->alternate_count || a->login_count) && has_class(a, d->object_class);
	if (!a->counts)
		return 0;
	finish_numbers(a, d);
	if (a->group) { /* its mailMessageStore and mailHost are where qmail-ldap keeps pending messages, not a mailbox */
		n->local = n->reply = false;
		n->forward = true;
		n->mail_host = slice_make("", 0);
	} else {
		int rc = finish_store(a, d, e);
		if (rc < 0)
			return rc;
		n->local = !a->nolocal && n->uid.n > 0;
		n->forward = !a->noforward && n->forward_count > 0;
		n->reply = n->reply && n->reply_text.n > 0;
		if (n->uid.n == 0 && !n->forward && n->mail_host.n == 0)
			return wrong(e, "an address without uid, mailHost or mailForwardingAddress: there is nowhere to deliver");
	}
	finish_verdict(a);
	return 0;
}

void account_finish_group(struct account *a)
{
	a->member_count = 0;
	finish_verdict(a);
}

void account_address_key(struct buf *b, struct slice value)
{
	struct addr parsed;
	if (addr_parse_mailbox(&parsed, value, true) == 0)
		addr_lookup_key(b, &parsed);
	else
		account_login_key(b, value);
}

void account_login_key(struct buf *b, struct slice value)
{
	for (size_t i = 0; i < value.n; i++)
		buf_add_char(b, value.p[i] >= 'A' && value.p[i] <= 'Z' ? (char)(value.p[i] + 32) : value.p[i]);
}

/* Enough of RFC 4514 to find a DN as tools write it: blanks around separators do not count. */
void account_dn_key(struct buf *b, struct slice value)
{
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i], before = b->n ? b->p[b->n - 1] : ',';
		size_t next = i;
		while (c == ' ' && next < value.n && value.p[next] == ' ')
			next++;
		if (c == ' ' && (before == ',' || before == '=' || next == value.n || value.p[next] == ',' || value.p[next] == '='))
			continue;
		buf_add_char(b, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
	}
}

static bool has_key(struct slice value, struct slice key, void (*make)(struct buf *b, struct slice value))
{
	struct buf b = BUF_INIT(1024);
	make(&b, value);
	bool same = !b.overflow && slice_eq(buf_slice(&b), key);
	buf_free(&b);
	return same;
}

bool account_has_address(const struct account *a, struct slice key)
{
	const struct directory_entry *d = &a->entry;
	for (size_t i = 0; i < d->alternate_count; i++)
		if (has_key(d->alternates[i], key, account_address_key))
			return true;
	return d->mail.n && has_key(d->mail, key, account_address_key);
}

bool account_has_login(const struct account *a, struct slice login)
{
	for (size_t i = 0; i < a->login_count; i++)
		if (has_key(a->logins[i], login, account_login_key))
			return true;
	return false;
}
