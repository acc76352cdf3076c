/* LDAP for postern-respond: see respond_ldap.h.  RFC 4511; groups by RFC 4519 (member, uniqueMember), RFC 2307 (memberUid) and qmail-ldap (dnMember).
 * Connects by directory/ldap_connect.c, with a login of its own that may write.  The server is trusted for what its entries say. */
#include "skim/respond_ldap.h"

#include <stdio.h>
#include <stdlib.h>

#include "directory/account.h"
#include "lib/log.h"
#include "lib/program.h"

int rldap_settings(struct rldap *l, const struct control *c, struct err *e)
{
	char rule[sizeof l->settings.ca_file + 2];
	*l = (struct rldap){.configured = control_present(c, C_ldapserver) && control_present(c, C_respondlogin)};
	if (!l->configured)
		return 0;
	int rc = ldap_settings(&l->settings, c, e);
	if (rc == 0 && (slice_copy(l->settings.login, sizeof l->settings.login, control_word(c, C_respondlogin)) < 0
			|| slice_copy(l->settings.password, sizeof l->settings.password, control_word(c, C_respondpassword)) < 0))
		rc = control_fault(e, c, C_respondlogin, 1, "too long, or respondpassword is");
	if (rc == 0 && l->settings.ca_file[0] == '/') {
		snprintf(rule, sizeof rule, "r:%s", l->settings.ca_file);
		program_allow_path(rule);
	}
	return rc;
}

void rldap_close(struct rldap *l)
{
	if (l->ld)
		ldap_unbind_ext(l->ld, NULL, NULL);
	l->ld = NULL;
}

static int open_ldap(struct rldap *l, struct err *e)
{
	struct connecting c = {.settings = &l->settings};
	if (!l->configured)
		return err_set(e, E_REFUSED, "control/ldapserver or control/respondlogin is missing");
	if (l->ld)
		return 0;
	ldap_connect_settings = &l->settings;
	ldap_connect_run(&c.work);
	l->ld = c.ld;
	return l->ld ? 0 : err_set(e, E_TIMEOUT, "%s", c.error);
}

/* What a result means; a connection that is no good any more is closed. */
static int result(struct rldap *l, int rc, const char *what, struct err *e)
{
	enum err_code code = E_REFUSED;
	if (rc == LDAP_SUCCESS)
		return 0;
	if (rc == LDAP_NO_SUCH_OBJECT)
		code = E_NOT_FOUND;
	else if (rc == LDAP_NO_SUCH_ATTRIBUTE || rc == LDAP_TYPE_OR_VALUE_EXISTS)
		code = E_EOF;
	else if (rc == LDAP_OBJECT_CLASS_VIOLATION)
		code = E_PEER;
	else if (rc < 0 || rc == LDAP_BUSY || rc == LDAP_UNAVAILABLE || rc == LDAP_TIMELIMIT_EXCEEDED || rc == LDAP_UNWILLING_TO_PERFORM || rc == LDAP_OTHER)
		code = E_TIMEOUT;
	if (rc < 0 || rc == LDAP_UNAVAILABLE)
		rldap_close(l);
	return err_set(e, code, "%.120s: %s", what, ldap_err2string(rc));
}

void values_free(struct values *v)
{
	ldap_value_free_len(v->list);
	*v = (struct values){0};
}

bool values_have(const struct values *v, struct slice value)
{
	for (size_t i = 0; i < v->n; i++)
		if (slice_eq(value_of(v, i), value))
			return true;
	return false;
}

#define NAME(text) ((char[]){text})

static int search(struct rldap *l, LDAPMessage **out, const char *base, int scope, const char *filter, char **attributes, int most, struct err *e)
{
	struct timeval limit = {l->settings.timeout_sec, 0};
	*out = NULL;
	int rc = open_ldap(l, e);
	if (rc < 0)
		return rc;
	rc = ldap_search_ext_s(l->ld, base, scope, filter, attributes, 0, NULL, NULL, &limit, most, out);
	if (rc == LDAP_SUCCESS)
		return 0;
	ldap_msgfree(*out);
	*out = NULL;
	return result(l, rc, base, e);
}

/* ---- accounts ---- */

static int take_account(struct rldap *l, LDAPMessage *found, char dn[BACKEND_DN_MAX + 1], char uid[ADDRESS_MAX + 1], struct err *e)
{
	LDAPMessage *entry = ldap_first_entry(l->ld, found);
	char *name = ldap_get_dn(l->ld, entry);
	struct values v = {.list = ldap_get_values_len(l->ld, entry, "uid")};
	int rc = name && slice_copy(dn, BACKEND_DN_MAX + 1, slice_str(name)) == 0 ? 0 : err_set(e, E_PEER, "the account's DN is too long");
	uid[0] = 0;
	if (v.list && v.list[0])
		(void)!slice_copy(uid, ADDRESS_MAX + 1, slice_make(v.list[0]->bv_val, v.list[0]->bv_len));
	ldap_memfree(name);
	values_free(&v);
	return rc;
}

static int find_account(struct rldap *l, char dn[BACKEND_DN_MAX + 1], char uid[ADDRESS_MAX + 1], enum lookup_kind kind, struct slice key, struct err *e)
{
	struct buf filter = BUF_INIT(16 * 1024);
	char *attributes[] = {NAME("uid"), NULL};
	LDAPMessage *found;
	ldap_filter(&filter, kind, key, l->settings.object_class);
	buf_add_char(&filter, 0);
	int rc = filter.overflow ? err_set(e, E_NOT_FOUND, "no such account") :
		search(l, &found, l->settings.base, LDAP_SCOPE_SUBTREE, filter.p, attributes, 5, e);
	buf_free(&filter);
	if (rc < 0)
		return rc;
	int n = ldap_count_entries(l->ld, found);
	if (n == 1)
		rc = take_account(l, found, dn, uid, e);
	else
		rc = n ? err_set(e, E_PEER, "the directory has more than one account with this name") : err_set(e, E_NOT_FOUND, "the directory has no such account");
	ldap_msgfree(found);
	return rc;
}

/* As postern-directory finds who logs in: by uid, else, with an "@", by address. */
int rldap_account(struct rldap *l, char dn[BACKEND_DN_MAX + 1], char uid[ADDRESS_MAX + 1], struct slice user, struct err *e)
{
	struct buf login = BUF_INIT(2 * ADDRESS_MAX), address = BUF_INIT(2 * ADDRESS_MAX);
	account_login_key(&login, user);
	account_address_key(&address, user);
	int rc = find_account(l, dn, uid, LOOKUP_LOGIN, buf_slice(&login), e);
	if (rc == E_NOT_FOUND && slice_find(user, '@') < user.n)
		rc = find_account(l, dn, uid, LOOKUP_ADDRESS, buf_slice(&address), e);
	buf_free(&login);
	buf_free(&address);
	return rc;
}

int rldap_values(struct rldap *l, struct values *out, const char *dn, const char *attribute, struct err *e)
{
	char name[64], *attributes[] = {name, NULL};
	LDAPMessage *found;
	*out = (struct values){0};
	snprintf(name, sizeof name, "%s", attribute);
	int rc = search(l, &found, dn, LDAP_SCOPE_BASE, "(objectClass=*)", attributes, 1, e);
	if (rc < 0)
		return rc;
	LDAPMessage *entry = ldap_first_entry(l->ld, found);
	if (!entry)
		rc = err_set(e, E_NOT_FOUND, "%.120s: no such entry, or it may not be read", dn);
	else
		out->list = ldap_get_values_len(l->ld, entry, attribute);
	out->n = out->list ? (size_t)ldap_count_values_len(out->list) : 0;
	ldap_msgfree(found);
	return rc;
}

/* ---- changes ---- */

struct mod {
	LDAPMod mod;
	struct berval **list, *at;
};

static bool make_mod(struct mod *m, int op, char *attribute, const struct slice *value, size_t n)
{
	m->list = calloc(n + 1, sizeof *m->list);
	m->at = calloc(n + 1, sizeof *m->at);
	for (size_t i = 0; m->list && m->at && i < n; i++) {
		m->at[i].bv_len = value[i].n;
		memcpy(&m->at[i].bv_val, &value[i].p, sizeof m->at[i].bv_val); /* libldap only reads it */
		m->list[i] = &m->at[i];
	}
	m->mod = (LDAPMod){.mod_op = op | LDAP_MOD_BVALUES, .mod_type = attribute, .mod_vals.modv_bvals = m->list};
	return m->list && m->at;
}

int rldap_swap(struct rldap *l, const char *dn, const char *attribute, const struct slice *gone, size_t ngone, const struct slice *come, size_t ncome,
	struct err *e)
{
	struct mod away = {0}, new = {0};
	LDAPMod *mods[3] = {NULL};
	char name[64];
	int n = 0, rc = open_ldap(l, e);
	snprintf(name, sizeof name, "%s", attribute);
	if (rc == 0 && (!make_mod(&away, LDAP_MOD_DELETE, name, gone, ngone) || !make_mod(&new, LDAP_MOD_ADD, name, come, ncome)))
		rc = err_set(e, E_TIMEOUT, "no memory");
	if (ngone)
		mods[n++] = &away.mod;
	if (ncome)
		mods[n++] = &new.mod;
	if (rc == 0 && n)
		rc = result(l, ldap_modify_ext_s(l->ld, dn, mods, NULL, NULL), dn, e);
	free(away.list);
	free(away.at);
	free(new.list);
	free(new.at);
	return rc;
}

/* ---- groups ---- */

static const char *const by_dn[] = {"member", "uniqueMember", "dnMember"};
#define BY_DN (sizeof by_dn / sizeof *by_dn)
#define BY_UID "memberUid"

static void add_literal(struct buf *b, const char *text)
{
	for (; *text; text++)
		buf_add_format(b, "\\%02x", (unsigned char)*text);
}

static void group_filter(struct buf *b, const char *dn, const char *uid)
{
	buf_add_str(b, "(|");
	for (size_t i = 0; i < BY_DN; i++) {
		buf_add_format(b, "(%s=", by_dn[i]);
		add_literal(b, dn);
		buf_add_char(b, ')');
	}
	if (uid[0]) {
		buf_add_str(b, "(" BY_UID "=");
		add_literal(b, uid);
		buf_add_char(b, ')');
	}
	buf_add_char(b, ')');
	buf_add_char(b, 0);
}

static bool same_dn(struct slice a, struct slice b)
{
	struct buf x = BUF_INIT(16 * 1024), y = BUF_INIT(16 * 1024);
	account_dn_key(&x, a);
	account_dn_key(&y, b);
	bool same = !x.overflow && !y.overflow && slice_eq(buf_slice(&x), buf_slice(&y));
	buf_free(&x);
	buf_free(&y);
	return same;
}

/* The values are given as they are stored, so that they can be put back to the octet. */
static int members(struct rldap *l, LDAPMessage *entry, const char *group, const char *attribute, struct slice who, bool dn, rldap_membership *each, void *arg)
{
	struct values v = {.list = ldap_get_values_len(l->ld, entry, attribute)};
	int rc = 0;
	v.n = v.list ? (size_t)ldap_count_values_len(v.list) : 0;
	for (size_t i = 0; rc == 0 && i < v.n; i++)
		if (dn ? same_dn(value_of(&v, i), who) : slice_eq(value_of(&v, i), who))
			rc = each(arg, group, attribute, value_of(&v, i));
	values_free(&v);
	return rc;
}

static int group_members(struct rldap *l, LDAPMessage *entry, const char *dn, const char *uid, rldap_membership *each, void *arg)
{
	char *group = ldap_get_dn(l->ld, entry);
	int rc = 0;
	for (size_t i = 0; group && rc == 0 && i < BY_DN; i++)
		rc = members(l, entry, group, by_dn[i], slice_str(dn), true, each, arg);
	if (group && rc == 0 && uid[0])
		rc = members(l, entry, group, BY_UID, slice_str(uid), false, each, arg);
	ldap_memfree(group);
	return rc;
}

int rldap_memberships(struct rldap *l, const char *base, const char *dn, const char *uid, rldap_membership *each, void *arg, struct err *e)
{
	struct buf filter = BUF_INIT(64 * 1024);
	char *attributes[] = {NAME("member"), NAME("uniqueMember"), NAME("dnMember"), NAME(BY_UID), NULL};
	LDAPMessage *found;
	group_filter(&filter, dn, uid);
	int rc = filter.overflow ? err_set(e, E_PEER, "the account's DN is too long") :
		search(l, &found, base, LDAP_SCOPE_SUBTREE, filter.p, attributes, 0, e);
	buf_free(&filter);
	if (rc < 0)
		return rc;
	for (LDAPMessage *entry = ldap_first_entry(l->ld, found); rc == 0 && entry; entry = ldap_next_entry(l->ld, entry))
		rc = group_members(l, entry, dn, uid, each, arg);
	ldap_msgfree(found);
	return rc;
}

static const struct {
	const char *class, *attribute;
} forms[] = {{"groupOfUniqueNames", "uniqueMember"}, {"groupOfNames", "member"}, {"groupOfMembers", "member"}, {"group", "member"}, {"qmailGroup", "dnMember"},
	{"posixGroup", BY_UID}};

int rldap_member_form(struct rldap *l, const char **attribute, struct slice *value, const char *group, const char *dn, const char *uid, struct err *e)
{
	struct values classes;
	int rc = rldap_values(l, &classes, group, "objectClass", e);
	*attribute = NULL;
	for (size_t f = 0; rc == 0 && !*attribute && f < sizeof forms / sizeof *forms; f++)
		for (size_t i = 0; i < classes.n; i++)
			if (slice_case_eq_str(value_of(&classes, i), forms[f].class))
				*attribute = forms[f].attribute;
	values_free(&classes);
	if (rc == 0 && !*attribute)
		rc = err_set(e, E_REFUSED, "%.120s is no group of a known kind", group);
	if (rc == 0)
		*value = slice_str(strcmp(*attribute, BY_UID) == 0 ? uid : dn);
	return rc < 0 ? rc : value->n ? 0 : err_set(e, E_REFUSED, "the account has no uid to be a member by");
}
