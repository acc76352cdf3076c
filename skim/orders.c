/* Orders to postern-respond: see orders.h.  What is told comes from the memory; the addresses are those that a thief used, as far as can be told apart. */
#include "skim/orders.h"

#include "lib/io.h"
#include "lib/log.h"
#include "skim/respond.h"

#define AGAIN_MSEC 1000
#define BEFORE_SEC DAY /* before the first thing that spoke against the user, the thief may have been there for so long */

static bool respond_state(enum respond_state *out, enum user_state s)
{
	*out = s == USER_LOCKED ? RESPOND_LOCKED : s == USER_STOPPED ? RESPOND_STOPPED : RESPOND_HELD;
	return s == USER_LOCKED || s == USER_STOPPED || s == USER_HELD;
}

static int64_t begin_of(const struct user *u)
{
	int64_t first = u->since;
	for (int r = 0; u->hits && r < R_COUNT; r++)
		if (u->hits->of[r].points > 0 && u->hits->of[r].time < first)
			first = u->hits->of[r].time;
	return first - BEFORE_SEC;
}

/* Came up with the incident, from a place that was not the user's before; never one of our own networks. */
static bool is_thief(const struct user *u, const struct login *l, int64_t begin, bool older)
{
	if (l->kinds & (1u << NET_TRUSTED | 1u << NET_WEBMAIL) || l->first < begin)
		return false;
	return l->country ? user_place_days(u, l->country, l->asn, l->first) == 0 : older;
}

/* Without places an address can be told from the user's own only where there is an older one. */
static void add_addresses(struct respond_order *o, const struct user *u)
{
	int64_t begin = begin_of(u);
	bool older = false;
	for (uint16_t i = 0; i < u->logins; i++)
		older |= u->login[i].first < begin;
	for (uint16_t i = 0; i < u->logins && o->addresses < RESPOND_ADDRESSES_MAX; i++)
		if (is_thief(u, &u->login[i], begin, older))
			o->address[o->addresses++] = u->login[i].ip;
}

static size_t rule_names(char *text, size_t size, const struct engine *g, const struct user *u, int64_t now)
{
	struct buf b = {text, 0, size, size, false};
	for (int r = 0; u->hits && r < R_COUNT; r++)
		if (hit_points(&u->hits->of[r], &g->cfg->rule[r], now) > 0)
			buf_add_format(&b, "%s%s", b.n ? "," : "", rule_info[r].name);
	return b.n;
}

void orders_user(struct orders *o, const struct engine *g, const struct user *u, int64_t now)
{
	char rules[RESPOND_RULES_MAX], why[WHY_MAX + 1];
	struct respond_order order = {.user = slice_make(u->name, u->name_n), .code = slice_str(u->code), .since = u->since};
	struct err e;
	int families;
	if (o->sock < 0 || !respond_state(&order.state, u->state) || u->name[0] == '<')
		return;
	why_text(why, u, g->cfg, 0, now);
	order.score = engine_score(g, u, now, &families);
	order.rules = slice_make(rules, rule_names(rules, sizeof rules, g, u, now));
	order.why = slice_upto(slice_str(why), RESPOND_WHY_MAX);
	add_addresses(&order, u);
	int rc = respond_send(o->sock, &order, &e);
	if (rc < 0 && rc != E_TIMEOUT)
		LOG(EV_fault, NULL, F_SLICE("user", order.user), F_ERR(&e));
	if (rc == E_TIMEOUT && !o->due) {
		o->due = true;
		o->due_msec = deadline_in(AGAIN_MSEC);
	}
}

void orders_all(struct orders *o, const struct engine *g, int64_t now)
{
	size_t at = 0;
	o->due = false;
	for (struct user *u; (u = history_each(g->history, &at));)
		orders_user(o, g, u, now);
}

void orders_tick(struct orders *o, const struct engine *g, int64_t now)
{
	if (o->due && clock_msec() >= o->due_msec)
		orders_all(o, g, now);
}
