/* What an order comes to in the journal: the incident, its addresses, its steps, today's budget of locks: see respond_journal.h.  One order is one transaction.  Orders
 * come from postern-skim, checked by respond.h's decoder; what users are called is bound as octets. */
#include <stdio.h>

#include "skim/respond_journal.h"

#define DAY_SEC 86400
#define ADDRESSES_KEPT 64 /* of one incident, over all its orders */

struct known {
	bool found;
	long long state, lock_day, limited_day;
	char phase[12];
	bool same_user;
	struct slice user;
};

static int note_known(void *arg, const struct db_value *v, size_t n)
{
	struct known *k = arg;
	(void)n;
	k->found = true;
	k->same_user = slice_eq(v[0].octets, k->user);
	k->state = v[1].number, k->lock_day = v[3].number, k->limited_day = v[4].number;
	(void)!slice_copy(k->phase, sizeof k->phase, v[2].octets);
	return 0;
}

static int find_known(struct journal *j, struct known *k, const char *code, struct slice user, struct err *e)
{
	*k = (struct known){.user = user, .state = -1};
	return db_each(j->db, "select user, state, phase, lock_day, limited_day from incident where code = $1", DB_VALUES(DB_T(code)), note_known, k, e);
}

static int add_incident(struct journal *j, const char *code, const struct respond_order *o, int64_t now, struct err *e)
{
	return db_do(j->db, NULL, "insert into incident (code, user, state, phase, since, time, score, rules, why) values ($1, $2, $3, 'acted', $4, $5, $6, $7, $8)",
		DB_VALUES(DB_T(code), DB_O(o->user), DB_N(o->state), DB_N(o->since), DB_N(now), DB_N(o->score), ((struct db_value){.kind = DB_TEXT, .octets = o->rules}),
			DB_O(o->why)), e);
}

static int raise_incident(struct journal *j, const char *code, const struct respond_order *o, struct err *e)
{
	return db_do(j->db, NULL, "update incident set state = $2, score = $3, rules = $4, why = $5 where code = $1",
		DB_VALUES(DB_T(code), DB_N(o->state), DB_N(o->score), ((struct db_value){.kind = DB_TEXT, .octets = o->rules}), DB_O(o->why)), e);
}

/* How many of them were not known. */
static int add_addresses(struct journal *j, const char *code, const struct respond_order *o, struct err *e)
{
	char text[INET6_ADDRSTRLEN];
	long long changed, fresh = 0;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < o->addresses; i++) {
		ip_text(text, &o->address[i]);
		rc = db_do(j->db, &changed, "insert into address (code, address) select $1, $2 where (select count(*) from address where code = $1) < $3"
			" and not exists (select 1 from address where code = $1 and address = $2)", DB_VALUES(DB_T(code), DB_T(text), DB_N(ADDRESSES_KEPT)), e);
		fresh += rc == 0 ? changed : 0;
	}
	return rc < 0 ? rc : (int)fresh;
}

/* Blocks that are done take new addresses too. */
static int block_again(struct journal *j, const char *code, struct err *e)
{
	return db_do(j->db, NULL, "update step set state = 'begun', next = 0 where code = $1 and state = 'done' and"
		" (cast(text as text) like 'block%' or cast(text as text) like 'nftables%')", DB_VALUES(DB_T(code)), e);
}

static int add_step(struct journal *j, const char *code, struct slice text, bool ldap, struct err *e)
{
	return db_do(j->db, NULL, "insert into step (code, number, text, state, ldap) select $1, (select count(*) + 1 from step where code = $1), $2, 'waiting', $3"
		" where not exists (select 1 from step where code = $1 and text = $2)", DB_VALUES(DB_T(code), DB_O(text), DB_N(ldap)), e);
}

static int add_steps(struct journal *j, const char *code, const struct plan *p, enum respond_state state, bool may_lock, struct err *e)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < p->steps; i++)
		if (p->from[i] <= state && (p->from[i] < RESPOND_LOCKED || may_lock))
			rc = add_step(j, code, p->step[i].text, plan_writes_ldap(p->step[i].kind), e);
	return rc;
}

/* May this incident's account be locked today?  1 yes, 0 no: then the first such one of the day tells the postmaster. */
static int take_lock(struct journal *j, const char *code, const struct known *k, const struct budget *budget, int64_t now, struct err *e)
{
	char notice[PLAN_STEP_MAX + 1];
	long long taken, limited, today = now / DAY_SEC;
	if (k->lock_day)
		return 1;
	int rc = db_number(j->db, &taken, 0, "select count(*) from incident where lock_day = $1", DB_VALUES(DB_N(today)), e);
	if (rc == 0 && taken < budget->maxlocks)
		return (rc = db_do(j->db, NULL, "update incident set lock_day = $2, limited_day = 0 where code = $1", DB_VALUES(DB_T(code), DB_N(today)), e)) < 0 ? rc : 1;
	if (rc == 0)
		rc = db_number(j->db, &limited, 0, "select count(*) from incident where limited_day = $1", DB_VALUES(DB_N(today)), e);
	if (rc == 0 && k->limited_day == 0)
		rc = db_do(j->db, NULL, "update incident set limited_day = $2 where code = $1", DB_VALUES(DB_T(code), DB_N(today)), e);
	if (rc < 0 || limited > 0)
		return rc;
	snprintf(notice, sizeof notice, "notice %s", budget->postmaster);
	return add_step(j, code, slice_str(notice), false, e);
}

static int take_order(struct journal *j, const char *code, const struct respond_order *o, const struct plan *p, const struct budget *budget, int64_t now,
	struct err *e)
{
	struct known k;
	int rc = find_known(j, &k, code, o->user, e), fresh = 0, lock = 0;
	if (rc < 0)
		return rc;
	if (k.found && !k.same_user)
		return err_set(e, E_REFUSED, "the incident %s is another user's", code);
	if (k.found && slice_starts(slice_str(k.phase), "restor"))
		return 0;
	if (!k.found)
		rc = add_incident(j, code, o, now, e);
	else if ((long long)o->state > k.state)
		rc = raise_incident(j, code, o, e);
	if (rc == 0)
		rc = fresh = add_addresses(j, code, o, e);
	if (fresh > 0)
		rc = block_again(j, code, e);
	if (rc >= 0 && o->state == RESPOND_LOCKED)
		rc = lock = take_lock(j, code, &k, budget, now, e);
	if (rc >= 0)
		rc = add_steps(j, code, p, o->state, lock == 1, e);
	return rc < 0 ? rc : !k.found || (long long)o->state > k.state || fresh > 0;
}

int journal_order(struct journal *j, const struct respond_order *o, const struct plan *p, const struct budget *budget, int64_t now, struct err *e)
{
	char code[RESPOND_CODE_MAX + 1];
	if (slice_copy(code, sizeof code, o->code) < 0)
		return err_set(e, E_REFUSED, "an order without code");
	int rc = db_begin(j->db, e), new = 0;
	if (rc == 0)
		rc = new = take_order(j, code, o, p, budget, now, e);
	rc = journal_end(j, rc < 0 ? rc : 0, code, now, e);
	return rc < 0 ? rc : new;
}

int journal_lift(struct journal *j, const char *code, const struct plan *p, struct err *e)
{
	struct known k;
	int rc = find_known(j, &k, code, slice_str(""), e);
	if (rc < 0 || !k.limited_day || slice_starts(slice_str(k.phase), "restor"))
		return rc;
	rc = db_begin(j->db, e);
	if (rc == 0)
		rc = db_do(j->db, NULL, "update incident set lock_day = 1, limited_day = 0 where code = $1", DB_VALUES(DB_T(code)), e);
	if (rc == 0)
		rc = add_steps(j, code, p, RESPOND_LOCKED, true, e);
	return journal_end(j, rc, code, 0, e);
}
