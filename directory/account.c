/* The sense of attributes: see account.h.  Names and values as in qmail-ldap (qmailUser, qmailGroup), RFC 4519 and RFC 2307.
 *
 * Runs in postern-directory and in the lint.  Entries are what administrators and their tools wrote; a value that cannot be
 * right is an error, which the lint names by line and which LDAP questions meet as a temporary failure: mail waits until the entry is
 * mended, and never goes where nobody meant it to. */
#include "directory/account.h"

#include <limits.h>
#include <stdio.h>

#include "lib/addr.h"

enum number { N_QUOTA_OCTETS, N_QUOTA_COUNT, N_SIZE, N_QMAIL_UID, N_QMAIL_GID, N_UID, N_GID };
#define NUMBER_NONE LLONG_MIN
#define ID_LEAST 100 /* as in qmail-ldap: mail is never delivered as a user of the system */
#define ID_MOST 4294967294LL
#define UID_MAX 256
#define REPLY_MAX 8192

static int wrong(struct err *e, const char *reason)
{
	return err_set(e, E_SYNTAX, "%s", reason);
}

static int add_to(struct slice *list, size_t *count, size_t most, struct slice value, struct err *e)
{
	if (*count == most)
		return err_set(e, E_SYNTAX, "more than %zu values", most);
	list[(*count)++] = value;
	return 0;
}

static int check_address(struct slice value, struct err *e)
{
	struct addr parsed;
	return addr_parse_mailbox(&parsed, value, true) < 0 ? wrong(e, "not an address: it must be local@domain") : 0;
}

/* The handlers of the table below; ARG is its last column. */
static int on_mail(struct account *a, struct slice v, int arg, struct err *e)
{
	struct directory_entry *d = &a->entry;
	if (check_address(v, e) < 0)
		return E_SYNTAX;
	if (arg || d->mail.n)
		return add_to(d->alternates, &d->alternate_count, DIRECTORY_ADDRESSES_MAX, v, e);
	d->mail = v;
	return 0;
}

static int on_forward(struct account *a, struct slice v, int arg, struct err *e)
{
	(void)arg;
	if (slice_starts(v, "&"))
		v = slice_from(v, 1);
	if (check_address(v, e) < 0)
		return E_SYNTAX;
	return add_to(a->entry.forwards, &a->entry.forward_count, DIRECTORY_ADDRESSES_MAX, v, e);
}

static int on_uid(struct account *a, struct slice v, int arg, struct err *e)
{
	(void)arg;
	if (v.n == 0 || v.n > UID_MAX)
		return wrong(e, "empty or longer than 256 octets");
	if (a->entry.uid.n == 0)
		a->entry.uid = v;
	return add_to(a->logins, &a->login_count, DIRECTORY_ADDRESSES_MAX, v, e);
}

static int on_password(struct account *a, struct slice v, int arg, struct err *e)
{
	(void)arg;
	return add_to(a->passwords, &a->password_count, ACCOUNT_PASSWORDS_MAX, v, e);
}

static int on_member(struct account *a, struct slice v, int arg, struct err *e)
{
	(void)arg;
	return add_to(a->members, &a->member_count, DIRECTORY_ADDRESSES_MAX, v, e);
}

static int on_class(struct account *a, struct slice v, int arg, struct err *e)
{
	(void)arg;
	if (slice_case_eq_str(v, "qmailGroup"))
		a->group = true;
	return add_to(a->classes, &a->class_count, ACCOUNT_CLASSES_MAX, v, e);
}

static int on_host(struct account *a, struct slice v, int arg, struct err *e)
{
	(void)arg;
	if (addr_check_domain(v, false) < 0)
		return wrong(e, "not a host name");
	a->entry.mail_host = v;
	return 0;
}

static int check_path(struct slice v, struct err *e)
{
	struct slice part, rest = v;
	if (v.n == 0 || v.n >= ACCOUNT_PATH_MAX / 2 || memchr(v.p, 0, v.n))
		return wrong(e, "not a path of at most 2047 octets");
	while (slice_cut(&part, &rest, '/'))
		if (slice_eq_str(part, ".."))
			return wrong(e, "a path must not contain \"..\"");
	return 0;
}

static int on_store(struct account *a, struct slice v, int arg, struct err *e)
{
	(void)arg;
	a->store = v;
	return check_path(v, e);
}

static int on_home(struct account *a, struct slice v, int arg, struct err *e)
{
	(void)arg;
	a->entry.home = v;
	return check_path(v, e);
}

static int on_status(struct account *a, struct slice v, int arg, struct err *e)
{
	static const char *const known[][2] = {
		{"active", "active"}, {"noaccess", "noaccess"}, {"nopop", "noaccess"}, {"disabled", "disabled"}, {"deleted", "deleted"}};
	(void)arg;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (slice_case_eq_str(v, known[i][0])) {
			a->entry.account_status = slice_str(known[i][1]);
			return 0;
		}
	return wrong(e, "not one of active, noaccess, disabled, deleted");
}

static int on_mode(struct account *a, struct slice v, int arg, struct err *e)
{
	static const struct {
		const char *name;
		bool nolocal, noforward, reply;
	} known[] = {
		{"nolocal", true, false, false}, {"nombox", true, false, false}, {"forwardonly", true, false, false},
		{"noforward", false, true, false}, {"reply", false, false, true},
		{"normal", false, false, false}, {"local", false, false, false}, {"localdelivery", false, false, false},
		{"forward", false, false, false}, {"program", false, false, false}, {"noprogram", false, false, false}, {"noreply", false, false, false},
	};
	(void)arg;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (slice_case_eq_str(v, known[i].name)) {
			a->nolocal |= known[i].nolocal;
			a->noforward |= known[i].noforward;
			a->entry.reply |= known[i].reply;
			return 0;
		}
	return wrong(e, "not one of nolocal, noforward, reply, noprogram, local, forward, program, noreply");
}

static int on_reply(struct account *a, struct slice v, int arg, struct err *e)
{
	(void)arg;
	if (v.n > REPLY_MAX)
		return wrong(e, "longer than 8192 octets");
	a->entry.reply_text = v;
	return 0;
}

static int on_number(struct account *a, struct slice v, int arg, struct err *e)
{
	bool id = arg >= N_QMAIL_UID;
	if (slice_number(&a->number[arg], v, id ? ID_LEAST : 0, id ? ID_MOST : LLONG_MAX) < 0)
		return wrong(e, id ? "not a number from 100 to 4294967294" : "not a whole number of 0 or more");
	return 0;
}

/* A list that only some may write to must not be open to all for want of a moderator here: its mail waits. */
static int on_restriction(struct account *a, struct slice v, int arg, struct err *e)
{
	if (arg && slice_case_eq_str(v, "FALSE"))
		return 0;
	if (arg && !slice_case_eq_str(v, "TRUE"))
		return wrong(e, "neither TRUE nor FALSE");
	a->restriction = v;
	return 0;
}

static int on_ignored(struct account *a, struct slice v, int arg, struct err *e)
{
	(void)a, (void)v, (void)arg, (void)e;
	return 0;
}

static const struct {
	const char *name;
	int (*add)(struct account *a, struct slice value, int arg, struct err *e);
	int arg;
} attributes[] = {
	{"userPassword", on_password, 0}, /* first, and never asked of LDAP: account_attributes() begins after it */
	{"mail", on_mail, 0},
	{"mailAlternateAddress", on_mail, 1},
	{"uid", on_uid, 0},
	{"objectClass", on_class, 0},
	{"mailHost", on_host, 0},
	{"mailMessageStore", on_store, 0},
	{"homeDirectory", on_home, 0},
	{"accountStatus", on_status, 0},
	{"deliveryMode", on_mode, 0},
	{"mailForwardingAddress", on_forward, 0},
	{"mailReplyText", on_reply, 0},
	{"mailQuotaSize", on_number, N_QUOTA_OCTETS},
	{"mailQuotaCount", on_number, N_QUOTA_COUNT},
	{"mailSizeMax", on_number, N_SIZE},
	{"qmailUID", on_number, N_QMAIL_UID},
	{"qmailGID", on_number, N_QMAIL_GID},
	{"uidNumber", on_number, N_UID},
	{"gidNumber", on_number, N_GID},
	{"rfc822member", on_forward, 0},
	{"dnmember", on_member, 0},
	{"filtermember", on_restriction, 0},
	{"membersonly", on_restriction, 1},
	{"senderconfirm", on_restriction, 1},
	{"dnmoderator", on_restriction, 0},
	{"rfc822moderator", on_restriction, 0},
	{"dnsender", on_restriction, 0},
	{"rfc822sender", on_restriction, 0},
	{"filtersender", on_restriction, 0},
	{"bounceadmin", on_ignored, 0},
	{"confirmtext", on_ignored, 0},
	{"moderatortext", on_ignored, 0},
};
#define ATTRIBUTES (sizeof attributes / sizeof *attributes)

const char *const *account_attributes(void)
{
	static const char *names[ATTRIBUTES];
	for (size_t i = 1; i < ATTRIBUTES; i++)
		names[i - 1] = attributes[i].name;
	return names;
}

void account_begin(struct account *a, struct slice dn)
{
	struct directory_entry *d = &a->entry;
	d->uid = d->mail = d->mail_host = d->message_store = d->home = d->account_status = d->reply_text = slice_make("", 0);
	d->local = d->forward = d->reply = false;
	d->forward_count = d->alternate_count = 0;
	a->dn = dn;
	a->password_count = a->login_count = a->member_count = 0;
	a->group = a->counts = a->nolocal = a->noforward = false;
	a->class_count = 0;
	a->store = a->restriction = slice_make("", 0);
	for (size_t i = 0; i < sizeof a->number / sizeof *a->number; i++)
		a->number[i] = NUMBER_NONE;
}

int account_add(struct account *a, struct slice name, struct slice value, struct err *e)
{
	for (size_t i = 0; i < ATTRIBUTES; i++) {
		struct err why = {0};
		if (!slice_case_eq_str(name, attributes[i].name))
			continue;
		if (attributes[i].add(a, value, attributes[i].arg, &why) == 0)
			return 0;
		return err_set(e, E_SYNTAX, "%s: %s", attributes[i].name, why.text);
	}
	return 0;
}

static bool has_class(const struct account *a, struct slice class)
{
	for (size_t i = 0; i < a->class_count; i++)
		if (slice_case_eq(a->classes[i], class))
			return true;
	return class.n == 0;
}

static long long number_or(const struct account *a, enum number which, long long def)
{
	return a->number[which] == NUMBER_NONE ? def : a->number[which];
}

static void finish_numbers(struct account *a, const struct account_defaults *d)
{
	struct directory_entry *e = &a->entry;
	bool qmail = a->number[N_QMAIL_UID] != NUMBER_NONE && a->number[N_QMAIL_GID] != NUMBER_NONE;
	bool posix = a->number[N_UID] != NUMBER_NONE && a->number[N_GID] != NUMBER_NONE;
	e->uid_number = qmail ? a->number[N_QMAIL_UID] : posix ? a->number[N_UID] : -1;
	e->gid_number = qmail ? a->number[N_QMAIL_GID] : posix ? a->number[N_GID] : -1;
	e->quota_octets = number_or(a, N_QUOTA_OCTETS, d->quota_octets);
	e->quota_count = number_or(a, N_QUOTA_COUNT, d->quota_count);
	e->size_most = number_or(a, N_SIZE, 0);
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
