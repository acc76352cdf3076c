/* Attributes one by one: the table of their names, and what is a possible value of each.  postern-directory(5) tells the same to people.
 *
 * Runs in postern-directory and in the lint; see account.c for why a wrong value is an error. */
#include <limits.h>

#include "directory/account.h"
#include "lib/addr.h"

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
	bool id = arg >= ACCOUNT_QMAIL_UID;
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

/* For postern-skim alone: one that makes no sense there is none. */
static int on_user_class(struct account *a, struct slice v, int arg, struct err *e)
{
	(void)arg, (void)e;
	if (!a->entry.user_class[0] && slice_printable(v) && slice_copy(a->entry.user_class, sizeof a->entry.user_class, v) < 0)
		a->entry.user_class[0] = 0;
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
	{"userPassword", on_password, 0}, /* first: account_attributes() mostly begins after it */
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
	{"mailQuotaSize", on_number, ACCOUNT_QUOTA_OCTETS},
	{"mailQuotaCount", on_number, ACCOUNT_QUOTA_COUNT},
	{"mailSizeMax", on_number, ACCOUNT_SIZE},
	{"qmailUID", on_number, ACCOUNT_QMAIL_UID},
	{"qmailGID", on_number, ACCOUNT_QMAIL_GID},
	{"uidNumber", on_number, ACCOUNT_UID},
	{"gidNumber", on_number, ACCOUNT_GID},
	{"userClass", on_user_class, 0},
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

const char *const *account_attributes(bool passwords)
{
	static const char *names[ATTRIBUTES + 1];
	for (size_t i = 0; i < ATTRIBUTES; i++)
		names[i] = attributes[i].name;
	return passwords ? names : names + 1;
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
