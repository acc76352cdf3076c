/* Operators' acts on users: see desk.h.  Names and texts come from operators and, behind them, from anybody who called the helpdesk: they are compared, bounded
 * and kept, nothing else. */
#include "skim/desk.h"

#include <stdlib.h>

#include "skim/config_value.h"

#define WEEK (7 * DAY)

struct user *desk_find(const struct engine *g, struct slice key)
{
	struct user *u = history_user(g->history, key, false);
	size_t at = 0;
	if (u || key.n != 7)
		return u;
	while ((u = history_each(g->history, &at)))
		if (slice_case_eq_str(key, u->code))
			return u;
	return NULL;
}

static int find(struct user **u, const struct engine *g, struct slice user, int64_t now, struct err *e)
{
	*u = desk_find(g, user);
	if (!*u)
		return err_set(e, E_NOT_FOUND, "no user or code %.*s is known", SLICE_FMT(slice_upto(user, 100)));
	engine_settle(g, *u, now);
	history_touch(g->history, *u);
	return 0;
}

static void change(struct user *u, enum user_state state, int64_t now)
{
	if (!u->code[0] || (u->given_back && state == USER_LOCKED)) {
		engine_code(u, now);
		u->given_back = false;
	}
	if (u->state != state)
		u->state = state, u->since = now;
}

/* One line, so that it stands in logs and lists as it is. */
static bool plain(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

int desk_flag(struct user **out, struct engine *g, struct slice user, bool lock, struct slice why, unsigned uid, int64_t now, struct err *e)
{
	if (why.n == 0 || why.n > MARK_WHY_MAX || !plain(why))
		return err_set(e, E_SYNTAX, "the reason must be one line of at most %d octets", MARK_WHY_MAX);
	struct user *u = desk_find(g, user);
	if (!u && user.n <= ADDRESS_MAX && plain(user))
		u = history_user(g->history, user, true);
	if (!u)
		return err_set(e, E_SYNTAX, "that cannot be the name of a user");
	if (!u->mark && !(u->mark = calloc(1, sizeof *u->mark)))
		return err_set(e, E_SYS, "no memory");
	engine_settle(g, u, now);
	history_touch(g->history, u);
	*u->mark = (struct mark){.time = now, .uid = uid};
	memcpy(u->mark->why, why.p, why.n);
	if (!u->first)
		u->first = now;
	if (now > u->last)
		u->last = now;
	if (lock)
		change(u, USER_LOCKED, now);
	else if (u->state == USER_FREE || u->state == USER_RECOVERING)
		change(u, USER_FLAGGED, now);
	if (out)
		*out = u;
	return 0;
}

static void drop_mark(struct user *u)
{
	free(u->mark);
	u->mark = NULL;
}

/* What was taken for strange was the owner. */
static void learn(struct user *u, int64_t now)
{
	for (uint16_t i = 0; i < u->logins; i++) {
		const struct login *l = &u->login[i];
		if (l->time < now - WEEK || !l->country)
			continue;
		user_note_place(u, l->country, l->asn, l->time);
		for (int k = 0; k < PLACES_MAX; k++)
			if (u->place[k].country == l->country && u->place[k].asn == l->asn && u->place[k].days <= USUAL_DAYS)
				u->place[k].days = USUAL_DAYS + 1;
	}
}

int desk_clear(struct user **out, struct engine *g, struct slice user, int64_t now, struct err *e)
{
	struct user *u;
	int rc = find(&u, g, user, now, e);
	if (rc)
		return rc;
	if (u->state == USER_LOCKED)
		return err_set(e, E_REFUSED, "the account is locked; give it back with: postern skim restore %.*s", (int)u->name_n, u->name);
	learn(u, now);
	drop_mark(u);
	u->recovering_until = 0;
	u->reports = 0;
	engine_forget(u);
	u->since = now;
	if (out)
		*out = u;
	return 0;
}

int desk_restore(struct user **out, struct engine *g, struct slice user, int64_t now, struct err *e)
{
	struct user *u;
	int rc = find(&u, g, user, now, e);
	if (rc)
		return rc;
	if (u->state == USER_FREE)
		return err_set(e, E_REFUSED, "nothing is the matter with %.*s", (int)u->name_n, u->name);
	drop_mark(u);
	free(u->hits);
	u->hits = NULL;
	u->reports = 0;
	u->failures = 0;
	u->logins = 0; /* the owner's next login is not measured against the thief's */
	u->recovering_until = now + RECOVERING_DAYS * DAY;
	u->given_back = true;
	u->state = USER_RECOVERING;
	u->since = now;
	if (out)
		*out = u;
	return 0;
}

static int countries_of(country to[TRAVEL_COUNTRIES_MAX], struct slice list, struct err *e)
{
	struct slice one;
	size_t n = 0;
	while (slice_cut(&one, &list, ',')) {
		if (n == TRAVEL_COUNTRIES_MAX)
			return err_set(e, E_TOO_LONG, "more than %d countries", TRAVEL_COUNTRIES_MAX);
		int rc = config_country(&to[n++], one, e);
		if (rc)
			return rc;
	}
	return 0;
}

/* A login from there that counted in full counts a quarter, as it would have. */
static void lower(struct user *u, const country to[TRAVEL_COUNTRIES_MAX])
{
	for (int r = 0; u->hits && r < R_COUNT; r++)
		for (int i = 0; rule_info[r].family == FAMILY_LOGIN && i < TRAVEL_COUNTRIES_MAX && to[i]; i++)
			if (u->hits->of[r].to == to[i])
				u->hits->of[r].points /= 4;
}

int desk_travel(struct user **out, struct engine *g, struct slice user, struct slice countries, struct slice until, int64_t now, struct err *e)
{
	country to[TRAVEL_COUNTRIES_MAX] = {0};
	int64_t end = 0;
	bool none = slice_case_eq_str(countries, "none");
	int rc = none ? 0 : countries_of(to, countries, e);
	if (rc == 0 && !none)
		rc = config_date(&end, until, e);
	if (rc == 0 && !none && end <= now)
		rc = err_set(e, E_SYNTAX, "%.*s is over", SLICE_FMT(slice_upto(until, 20)));
	if (rc)
		return rc;
	struct user *u = desk_find(g, user);
	if (!u && plain(user))
		u = history_user(g->history, user, true);
	if (!u)
		return err_set(e, E_SYNTAX, "that cannot be the name of a user");
	if (!u->first)
		u->first = u->last = now;
	memcpy(u->travel, to, sizeof to);
	u->travel_until = end;
	lower(u, to);
	history_touch(g->history, u);
	engine_settle(g, u, now);
	if (out)
		*out = u;
	return 0;
}

int desk_report(struct decision *d, struct engine *g, struct slice user, int64_t now, struct err *e)
{
	struct user *u = desk_find(g, user);
	if (!plain(user) || user.n == 0 || user.n > ADDRESS_MAX)
		return err_set(e, E_SYNTAX, "that cannot be the name of a user");
	engine_fact(d, g, FACT_REPORT, u ? slice_make(u->name, u->name_n) : user, 1, now);
	return d->user ? 0 : err_set(e, E_SYS, "no memory");
}
