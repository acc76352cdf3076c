/* The checks of qmail-skim.conf, as its documentation describes them and without the faults of its program (postern-skim(5) lists both).
 * Input: events, from anybody who can log in; patterns from the administrator. */
#include "skim/rules.h"

#include "lib/header.h"
#include "lib/log.h"

#define OUR (1u << NET_TRUSTED | 1u << NET_WEBMAIL)

static void trip(struct judging *j, enum rule r, enum skim_action floor, int points, const struct hit *h)
{
	if (j->g->cfg->rule[r].mode == RULE_ON && j->floor < floor)
		j->floor = floor;
	judging_hit(j, r, points, h);
}

static bool any_hit(const struct judging *j, uint64_t rules)
{
	return j->hit & rules;
}
#define RULE_BIT(r) ((uint64_t)1 << (r))

/* The evidence counts once: what a rule of ours has seen already adds nothing. */
static int points(const struct judging *j, enum rule r, uint64_t same)
{
	return any_hit(j, same) ? -1 : j->g->cfg->rule[r].points;
}

static void snag(struct judging *j, enum rule r, uint64_t same, const struct hit *h)
{
	trip(j, r, ACTION_STOP, points(j, r, same), h);
}

/* Last login in a safe country, this one not, within the interval. */
static bool hop(struct judging *j, const struct login *last)
{
	const struct skim_config *c = j->g->cfg;
	if (!config_number(c, N_hook_hop) || !last || !last->country || !j->place.country || j->declared)
		return false;
	int64_t sec = j->now - last->time;
	if (sec > config_number(c, N_hook_interval) || (last->kinds & OUR) || last->country == j->place.country)
		return false;
	/* where the user was on three days before, or an operator cleared it, it is no hop */
	if (user_place_days(j->u, j->place.country, j->place.asn, j->now) >= USUAL_DAYS)
		return false;
	return config_safe_country(c, last->country) && !config_safe_country(c, j->place.country);
}

static unsigned unsafe_countries(const struct judging *j)
{
	const struct skim_config *c = j->g->cfg;
	country list[LOGINS_MAX + 1];
	unsigned n = 0;
	for (uint16_t i = 0; i <= j->u->logins; i++) {
		const struct login *l = i < j->u->logins ? &j->u->login[i] : NULL;
		country cc = l ? l->country : j->place.country;
		if (!cc || config_safe_country(c, cc) || engine_travels(j->g, j->u, cc, j->now))
			continue;
		if (l && ((l->kinds & OUR) || l->time < j->now - config_number(c, N_hook_interval)))
			continue;
		unsigned k = 0;
		while (k < n && list[k] != cc)
			k++;
		if (k == n)
			list[n++] = cc;
	}
	return n;
}

static const uint64_t login_rules = RULE_BIT(R_L1) | RULE_BIT(R_L2) | RULE_BIT(R_L3);

static void phishhook(struct judging *j)
{
	const struct skim_config *c = j->g->cfg;
	if (c->test_user.n && slice_case_eq(c->test_user, j->ev->user)) {
		snag(j, R_PHISHHOOK, login_rules, &(struct hit){.b = 2});
		return;
	}
	if (!j->has_ip || j->trusted || config_safe_user(c, j->ev->user))
		return;
	const struct login *last = user_last_login(j->u, &j->ip, j->now);
	if (hop(j, last)) {
		struct hit h = {.a = (long)(j->now - last->time), .from = last->country, .to = j->place.country};
		memcpy(h.text, j->place.city, sizeof h.text);
		snag(j, R_PHISHHOOK, login_rules, &h);
	}
	unsigned n = config_number(c, N_hook_count) >= 3 ? unsafe_countries(j) : 0;
	if (n && n >= (unsigned)config_number(c, N_hook_count))
		snag(j, R_PHISHHOOK, login_rules, &(struct hit){.a = n, .b = 1});
}

static void phishfrom(struct judging *j)
{
	if (j->recipients > config_number(j->g->cfg, N_from_maxrcptto) && sends_as_other(j))
		snag(j, R_PHISHFROM, RULE_BIT(R_F1), &(struct hit){.a = j->recipients});
}

static void phishlimit(struct judging *j)
{
	const struct skim_config *c = j->g->cfg;
	struct sent s = user_sent(j->u, j->now, config_number(c, N_limit_interval));
	if (s.recipients > (uint32_t)config_number(c, N_limit_maxrcptto))
		snag(j, R_PHISHLIMIT, RULE_BIT(R_S1) | RULE_BIT(R_S2) | RULE_BIT(R_S7),
			&(struct hit){.a = s.recipients, .b = config_number(c, N_limit_interval)});
}

/* By envelope sender: its history is kept under "<sender", a name that no user has. */
static void ratelimit(struct judging *j)
{
	const struct skim_config *c = j->g->cfg;
	char name[ADDRESS_MAX + 2];
	struct slice from = j->ev->mail_from;
	if (c->rule[R_RATELIMIT].mode == RULE_OFF || from.n == 0 || from.n + 1 > ADDRESS_MAX)
		return;
	name[0] = '<';
	memcpy(name + 1, from.p, from.n);
	struct user *u = history_user(j->g->history, slice_make(name, from.n + 1), true);
	if (!u)
		return;
	u->last = j->now;
	history_touch(j->g->history, u);
	user_note_sent(u, &(struct sent){.time = j->now, .recipients = (uint32_t)j->recipients});
	struct sent s = user_sent(u, j->now, config_number(c, N_rate_interval));
	if (s.recipients > (uint32_t)config_number(c, N_rate_maxrcptto))
		trip(j, R_RATELIMIT, ACTION_HOLD, 0, &(struct hit){.a = s.recipients, .b = config_number(c, N_rate_interval)});
}

static void tried(struct judging *j, const struct pattern *p, struct slice subject, enum rule r)
{
	struct hit h = {0};
	int rc = pattern_match(p, subject);
	if (rc == E_TOO_LONG)
		LOG(EV_skim_pattern, NULL, F_SLICE("pattern", p->text));
	if (rc != 1)
		return;
	struct slice name = p->header.n ? p->header : slice_str(rule_info[r].name);
	memcpy(h.text, name.p, name.n < CITY_MAX ? name.n : CITY_MAX - 1);
	trip(j, r, ACTION_HOLD, 0, &h);
}

static void header_pattern(struct judging *j, const struct pattern *p)
{
	struct slice rest = j->ev->header;
	struct header_field f;
	if (rest.n == 0) { /* no message at hand: the fields that the event tells */
		if (slice_case_eq_str(p->header, "from") && j->ev->header_from.n)
			tried(j, p, j->ev->header_from, R_HEADERS);
		if (slice_case_eq_str(p->header, "reply-to") && j->ev->reply_to.n)
			tried(j, p, j->ev->reply_to, R_HEADERS);
	}
	while (header_next(&f, &rest))
		if (slice_case_eq(f.name, p->header)) {
			struct buf value = BUF_INIT(HEADER_MAX);
			header_unfold(&value, f.value);
			tried(j, p, buf_slice(&value), R_HEADERS);
			buf_free(&value);
		}
}

static void patterns(struct judging *j)
{
	const struct skim_config *c = j->g->cfg;
	for (size_t i = 0; i < c->patterns.n; i++) {
		const struct pattern *p = &c->patterns.at[i];
		if (p->kind == PATTERN_SENDER && c->rule[R_ENVELOPE].mode)
			tried(j, p, j->ev->mail_from, R_ENVELOPE);
		for (size_t k = 0; p->kind == PATTERN_RECIPIENT && c->rule[R_ENVELOPE].mode && k < j->ev->rcpts; k++)
			tried(j, p, j->ev->rcpt[k].address, R_ENVELOPE);
		if (p->kind == PATTERN_HEADER && c->rule[R_HEADERS].mode)
			header_pattern(j, p);
		if (p->kind == PATTERN_BODY && c->rule[R_BODY].mode && j->ev->body.n)
			tried(j, p, j->ev->body, R_BODY);
	}
}

void judge_checks(struct judging *j)
{
	const struct skim_config *c = j->g->cfg;
	if (c->rule[R_PHISHHOOK].mode)
		phishhook(j);
	if (!j->ev->send)
		return;
	if (c->rule[R_PHISHFROM].mode)
		phishfrom(j);
	if (c->rule[R_PHISHLIMIT].mode)
		phishlimit(j);
	ratelimit(j);
	patterns(j);
}
