/* Steps that change the directory: memberships of groups, passwords, accountStatus.
 *
 * What each finds is written down value by value before it changes anything.  A change takes away just the values that were found, in one modification with
 * what replaces them, so one that somebody made meanwhile is noticed by the server; giving back puts just those values back, and only where the entry still
 * has what the step left there.  All of it can be repeated at any point.  The user's name comes from postern-skim and enters LDAP as one escaped literal. */
#include <stdio.h>

#include "lib/netstring.h"
#include "skim/respond_steps.h"

#define STATUS "accountStatus"
#define PASSWORD "userPassword"
#define TIMES_MAX 3 /* a modification that met somebody else's is tried again so often at once */

struct account_names {
	char dn[BACKEND_DN_MAX + 1], uid[ADDRESS_MAX + 1];
};

static int find(struct doing *d, struct account_names *a, struct err *e)
{
	return rldap_account(&d->r->ldap, a->dn, a->uid, slice_str(d->incident.user), e);
}

static struct slice saved(const struct doing *d)
{
	return buf_slice(&d->step->saved);
}

static struct slice next(struct slice *rest)
{
	struct slice s;
	return netstring_take(&s, rest, JOURNAL_SAVED_MAX) == 0 ? s : (*rest = slice_make("", 0));
}

static bool text(char *to, size_t size, struct slice s)
{
	return slice_copy(to, size, s) == 0;
}

/* ---- groups-remove: saved is (group, attribute, value)… ---- */

static bool is_saved(const struct doing *d, struct slice group, struct slice attribute, struct slice value)
{
	for (struct slice rest = saved(d); rest.n; ) {
		struct slice g = next(&rest), a = next(&rest), v = next(&rest);
		if (slice_eq(g, group) && slice_eq(a, attribute) && slice_eq(v, value))
			return true;
	}
	return false;
}

static int note_membership(void *arg, const char *group, const char *attribute, struct slice value)
{
	struct doing *d = arg;
	if (is_saved(d, slice_str(group), slice_str(attribute), value))
		return 0;
	netstring_add_str(&d->step->saved, group);
	netstring_add_str(&d->step->saved, attribute);
	netstring_add(&d->step->saved, value);
	return 0;
}

struct counts {
	int changed, same, gone, kept;
	char kept_name[100];
};

/* One membership taken away or put back. */
static int change(struct doing *d, struct counts *n, struct slice group, struct slice attribute, struct slice value, bool remove, struct err *e)
{
	char dn[BACKEND_DN_MAX + 1], name[64];
	if (!text(dn, sizeof dn, group) || !text(name, sizeof name, attribute))
		return 0;
	int rc = remove ? rldap_swap(&d->r->ldap, dn, name, &value, 1, NULL, 0, e) : rldap_swap(&d->r->ldap, dn, name, NULL, 0, &value, 1, e);
	n->changed += rc == 0, n->same += rc == E_EOF, n->gone += rc == E_NOT_FOUND, n->kept += rc == E_PEER;
	if (rc == E_PEER)
		snprintf(n->kept_name, sizeof n->kept_name, "%.99s", dn);
	return rc == E_EOF || rc == E_NOT_FOUND || rc == E_PEER ? 0 : rc;
}

static int change_all(struct doing *d, struct counts *n, bool remove, struct err *e)
{
	int rc = 0;
	for (struct slice rest = saved(d); rc == 0 && rest.n; ) {
		struct slice g = next(&rest), a = next(&rest), v = next(&rest);
		rc = change(d, n, g, a, v, remove, e);
	}
	return rc;
}

int take_groups_remove(struct doing *d, struct err *e)
{
	struct account_names a;
	struct counts n = {0};
	char base[PLAN_STEP_MAX + 1];
	(void)!text(base, sizeof base, d->step->plan.args);
	int rc = find(d, &a, e);
	if (rc == 0)
		rc = rldap_memberships(&d->r->ldap, base, a.dn, a.uid, note_membership, d, e);
	if (rc == 0)
		rc = doing_begin(d, e);
	if (rc == 0)
		rc = change_all(d, &n, true, e);
	if (rc < 0)
		return rc;
	if (n.kept)
		doing_note(d, "left %d groups; still in %s, which may not be without a member", n.changed + n.same, n.kept_name);
	else
		doing_note(d, n.changed + n.same == 1 ? "left %d group" : "left %d groups", n.changed + n.same);
	return 0;
}

int undo_groups_remove(struct doing *d, struct err *e)
{
	struct counts n = {0};
	int rc = change_all(d, &n, false, e);
	if (rc < 0)
		return rc;
	if (n.gone)
		doing_note(d, "back in %d groups; %d are no more", n.changed + n.same, n.gone);
	else
		doing_note(d, n.changed + n.same == 1 ? "back in %d group" : "back in %d groups", n.changed + n.same);
	return 0;
}

/* ---- group-add: saved is (group, attribute, value), or nothing where the account was a member already ---- */

static int plan_group_add(struct doing *d, struct err *e)
{
	struct account_names a;
	struct values there = {0};
	struct slice value;
	const char *attribute;
	char group[PLAN_STEP_MAX + 1];
	(void)!text(group, sizeof group, d->step->plan.args);
	int rc = find(d, &a, e);
	if (rc == 0)
		rc = rldap_member_form(&d->r->ldap, &attribute, &value, group, a.dn, a.uid, e);
	if (rc == 0)
		rc = rldap_values(&d->r->ldap, &there, group, attribute, e);
	if (rc == 0 && !values_have(&there, value)) {
		netstring_add_str(&d->step->saved, group);
		netstring_add_str(&d->step->saved, attribute);
		netstring_add(&d->step->saved, value);
	}
	values_free(&there);
	return rc;
}

int take_group_add(struct doing *d, struct err *e)
{
	struct counts n = {0};
	int rc = d->resumed ? 0 : plan_group_add(d, e);
	if (rc == 0 && !d->resumed)
		rc = doing_begin(d, e);
	if (rc == 0)
		rc = change_all(d, &n, false, e);
	if (rc == 0)
		doing_note(d, saved(d).n ? "is in the group" : "was in the group already");
	return rc < 0 ? rc : n.gone ? err_set(e, E_NOT_FOUND, "there is no such group") : 0;
}

int undo_group_add(struct doing *d, struct err *e)
{
	struct counts n = {0};
	int rc = change_all(d, &n, true, e);
	if (rc < 0)
		return rc;
	if (n.kept) {
		doing_note(d, "still in the group, which may not be without a member");
		return 1;
	}
	doing_note(d, saved(d).n ? "is out of the group" : "was in the group before, and still is");
	return 0;
}

/* ---- password: saved is DN, value… ---- */

static bool locked(struct slice value)
{
	return slice_starts(value, LOCKED_PREFIX);
}

/* A prefix before each of N values, in memory that FREE gives back. */
static bool with_prefix(struct slice *out, struct buf *space, const struct slice *value, size_t n)
{
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		buf_add_str(space, LOCKED_PREFIX);
		buf_add_slice(space, value[i]);
	}
	for (size_t i = 0; !space->overflow && i < n; i++) {
		out[i] = slice_make(space->p + at, sizeof LOCKED_PREFIX - 1 + value[i].n);
		at += out[i].n;
	}
	return !space->overflow;
}

#define PASSWORDS_MAX 64

static int swap_passwords(struct doing *d, const char *dn, const struct slice *plain, size_t n, bool lock, struct err *e)
{
	struct slice with[PASSWORDS_MAX];
	struct buf space = BUF_INIT(JOURNAL_SAVED_MAX);
	int rc = with_prefix(with, &space, plain, n) ? 0 : err_set(e, E_PEER, "the passwords are too long");
	if (rc == 0)
		rc = lock ? rldap_swap(&d->r->ldap, dn, PASSWORD, plain, n, with, n, e) : rldap_swap(&d->r->ldap, dn, PASSWORD, with, n, plain, n, e);
	buf_free(&space);
	return rc;
}

static bool saved_password(const struct doing *d, struct slice value)
{
	struct slice rest = saved(d);
	for (next(&rest); rest.n; )
		if (slice_eq(next(&rest), value))
			return true;
	return false;
}

/* Once: look, write down, lock.  E_EOF: somebody changed it in between. */
static int lock_once(struct doing *d, const struct account_names *a, size_t *n, struct err *e)
{
	struct values v;
	struct slice plain[PASSWORDS_MAX];
	int rc = rldap_values(&d->r->ldap, &v, a->dn, PASSWORD, e);
	if (rc == 0 && v.n == 0)
		rc = err_set(e, E_REFUSED, "the account has no password that respondlogin may read");
	*n = 0;
	for (size_t i = 0; rc == 0 && i < v.n && *n < PASSWORDS_MAX; i++)
		if (!locked(value_of(&v, i)))
			plain[(*n)++] = value_of(&v, i);
	if (rc == 0 && d->step->saved.n == 0)
		netstring_add_str(&d->step->saved, a->dn);
	for (size_t i = 0; rc == 0 && i < *n; i++)
		if (!saved_password(d, plain[i]))
			netstring_add(&d->step->saved, plain[i]);
	if (rc == 0)
		rc = doing_begin(d, e);
	if (rc == 0 && *n)
		rc = swap_passwords(d, a->dn, plain, *n, true, e);
	values_free(&v);
	return rc;
}

int take_password(struct doing *d, struct err *e)
{
	struct account_names a;
	size_t n;
	int rc = find(d, &a, e), times = 0;
	while (rc == 0 && (rc = lock_once(d, &a, &n, e)) == E_EOF && ++times < TIMES_MAX)
		rc = 0;
	if (rc == 0)
		doing_note(d, n || d->resumed ? "the password is locked" : "the password was locked already");
	return rc;
}

struct unlocking {
	size_t locked, as_before, saved;
};

static int unlock_once(struct doing *d, struct unlocking *u, struct err *e)
{
	struct values v;
	struct slice plain[PASSWORDS_MAX], rest = saved(d);
	char dn[BACKEND_DN_MAX + 1];
	*u = (struct unlocking){0};
	if (!text(dn, sizeof dn, next(&rest)) || !dn[0])
		return 0;
	while (rest.n)
		next(&rest), u->saved++;
	int rc = rldap_values(&d->r->ldap, &v, dn, PASSWORD, e);
	for (size_t i = 0; rc == 0 && i < v.n && u->locked < PASSWORDS_MAX; i++) {
		struct slice without = slice_from(value_of(&v, i), sizeof LOCKED_PREFIX - 1);
		u->as_before += saved_password(d, value_of(&v, i));
		if (locked(value_of(&v, i)) && saved_password(d, without))
			plain[u->locked++] = without;
	}
	if (rc == 0 && u->locked)
		rc = swap_passwords(d, dn, plain, u->locked, false, e);
	values_free(&v);
	return rc;
}

int undo_password(struct doing *d, struct err *e)
{
	struct unlocking u;
	int rc = unlock_once(d, &u, e);
	if (rc == E_EOF)
		return err_set(e, E_TIMEOUT, "the password is just being changed");
	if (rc < 0 && rc != E_NOT_FOUND)
		return rc;
	bool whole = rc == 0 && u.locked + u.as_before >= u.saved;
	if (rc == E_NOT_FOUND)
		doing_note(d, "the account is no more");
	else if (u.saved == 0)
		doing_note(d, "the password was locked before, and still is");
	else
		doing_note(d, whole ? "the password is as before" : "the password was changed since; it stays as it is");
	return whole ? 0 : 1;
}

/* ---- accountstatus: saved is DN, value… (none: there was no such attribute) ---- */

static bool just(const struct values *v, struct slice value)
{
	return v->n == 1 && slice_case_eq(value_of(v, 0), value);
}

static void save_status(struct doing *d, const char *dn, const struct values *v)
{
	buf_reset(&d->step->saved);
	netstring_add_str(&d->step->saved, dn);
	for (size_t i = 0; i < v->n; i++)
		netstring_add(&d->step->saved, value_of(v, i));
}

/* E_EOF: somebody changed it in between. */
static int set_status(struct doing *d, struct err *e)
{
	struct account_names a;
	struct values v = {0};
	struct slice want = d->step->plan.word[0], now[PASSWORDS_MAX];
	int rc = find(d, &a, e);
	if (rc == 0)
		rc = rldap_values(&d->r->ldap, &v, a.dn, STATUS, e);
	bool there = rc == 0 && just(&v, want), ours = there && d->resumed;
	if (rc == 0 && there && !d->resumed)
		buf_reset(&d->step->saved); /* nothing to be undone */
	else if (rc == 0 && !ours)
		save_status(d, a.dn, &v);
	if (rc == 0)
		rc = doing_begin(d, e);
	for (size_t i = 0; i < v.n && i < PASSWORDS_MAX; i++)
		now[i] = value_of(&v, i);
	if (rc == 0 && !there)
		rc = rldap_swap(&d->r->ldap, a.dn, STATUS, now, v.n < PASSWORDS_MAX ? v.n : PASSWORDS_MAX, &want, 1, e);
	values_free(&v);
	return rc;
}

int take_accountstatus(struct doing *d, struct err *e)
{
	int rc = 0, times = 0;
	while ((rc = set_status(d, e)) == E_EOF && ++times < TIMES_MAX)
		continue;
	if (rc == 0)
		doing_note(d, saved(d).n ? STATUS " is %.*s" : STATUS " was %.*s already", SLICE_FMT(slice_upto(d->step->plan.word[0], 60)));
	return rc;
}

int undo_accountstatus(struct doing *d, struct err *e)
{
	struct slice back[PASSWORDS_MAX], rest = saved(d), ours = d->step->plan.word[0];
	struct values v = {0};
	char dn[BACKEND_DN_MAX + 1];
	size_t n = 0;
	if (rest.n == 0) {
		doing_note(d, STATUS " was that before, and still is");
		return 0;
	}
	if (!text(dn, sizeof dn, next(&rest)))
		return err_set(e, E_PEER, "the DN is too long");
	while (rest.n && n < PASSWORDS_MAX)
		back[n++] = next(&rest);
	int rc = rldap_values(&d->r->ldap, &v, dn, STATUS, e);
	bool as_before = v.n == n;
	for (size_t i = 0; i < n; i++)
		as_before = as_before && values_have(&v, back[i]);
	bool set = rc == 0 && just(&v, ours);
	if (set) {
		struct slice now = value_of(&v, 0);
		rc = rldap_swap(&d->r->ldap, dn, STATUS, &now, 1, back, n, e);
	}
	values_free(&v);
	if (rc < 0 && rc != E_EOF && rc != E_NOT_FOUND)
		return rc;
	if (rc == 0 && (set || as_before)) {
		doing_note(d, n ? STATUS " is as before" : "there is no " STATUS ", as before");
		return 0;
	}
	doing_note(d, rc == E_NOT_FOUND ? "the account is no more" : STATUS " was changed since; it stays as it is");
	return 1;
}
