/* From rules to a decision: see rules.h.  The ladder, the two families, the budget of locks, learning and declared travel are here. */
#include "skim/rules.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define RULE_BIT(r) ((uint64_t)1 << (r))

const char *state_name(enum user_state s)
{
	static const char *const name[] = {"free", "flagged", "held", "stopped", "locked", "recovering"};
	return name[s];
}

/* The same rule again makes its points fresh, not more; a declared traveller's logins count a quarter. */
void judging_hit(struct judging *j, enum rule r, int points, const struct hit *what)
{
	const struct rule_setting *set = &j->g->cfg->rule[r];
	if (set->mode == RULE_OFF || (rule_info[r].learns && !j->learned))
		return;
	if (set->mode == RULE_LOG)
		points = -1, j->noted |= RULE_BIT(r);
	if (!j->u->hits && !(j->u->hits = calloc(1, sizeof *j->u->hits)))
		return;
	struct hit *h = &j->u->hits->of[r], was = *h;
	/* points given by a rule for its own steps scale with what the settings say of it */
	int worth = points < 0 ? 0 : points == 0 || rule_info[r].points == 0 ? set->points : points * set->points / rule_info[r].points;
	if (rule_info[r].family == FAMILY_LOGIN && j->declared)
		worth /= 4;
	*h = *what;
	h->time = j->now;
	h->points = worth;
	double before = hit_points(&was, set, j->now);
	if (before > worth)
		h->points = (int)lround(before);
	j->hit |= RULE_BIT(r);
}

int engine_score(const struct engine *g, const struct user *u, int64_t now, int *families)
{
	double by[FAMILY_COUNT], sum = user_score(u, g->cfg->rule, now, by), most = (double)config_number(g->cfg, N_login_most);
	*families = 0;
	if (by[FAMILY_LOGIN] > most)
		sum -= by[FAMILY_LOGIN] - most;
	for (int f = 0; f < FAMILY_COUNT; f++)
		*families += by[f] > 0 && lround(by[f]) >= config_number(g->cfg, N_family_points);
	/* after an incident half is enough */
	if (now < u->recovering_until)
		sum *= 2;
	return (int)lround(sum);
}

/* Something that an honest person's first large mailing from the usual place does not have: a strange login, addresses that do not exist, a foreign name,
 * spam.  Without it mail is held at most. */
static bool telling(const struct judging *j)
{
	const struct skim_config *c = j->g->cfg;
	const struct hits *h = j->u->hits;
	double by[FAMILY_COUNT];
	user_score(j->u, c->rule, j->now, by);
	if (!h || by[FAMILY_LOGIN] + 0.5 >= (double)config_number(c, N_family_points) || by[FAMILY_REPORT] > 0)
		return h;
	return hit_points(&h->of[R_S3], &c->rule[R_S3], j->now) >= 40 || hit_points(&h->of[R_S4], &c->rule[R_S4], j->now) > 0 ||
		hit_points(&h->of[R_C3], &c->rule[R_C3], j->now) > 0 || (h->of[R_F1].b && hit_points(&h->of[R_F1], &c->rule[R_F1], j->now) >= 40);
}

static enum skim_action ladder(const struct judging *j, int score, int families)
{
	const struct skim_config *c = j->g->cfg;
	if (score < config_number(c, N_hold))
		return ACTION_LOG;
	if (score < config_number(c, N_stop) || !telling(j))
		return ACTION_HOLD;
	return score >= config_number(c, N_lock) && families >= config_number(c, N_families) ? ACTION_LOCK : ACTION_STOP;
}

/* One lock for one incident, and so many a day. */
static enum skim_action lock_or_stop(struct engine *g, const struct user *u, int64_t now)
{
	if (u->state == USER_LOCKED)
		return ACTION_STOP;
	if (now / DAY != g->lock_day)
		g->lock_day = now / DAY, g->locks = 0;
	if (g->locks >= config_number(g->cfg, N_maxlocks))
		return ACTION_STOP;
	g->locks++;
	return ACTION_LOCK;
}

/* Letters and digits that are not taken for one another on the telephone. */
void engine_code(struct user *u, int64_t now)
{
	static const char letters[] = "ACDEFHJKLMNPRTUVWXY34679";
	uint64_t x = ((uint64_t)u->hash << 32 ^ (uint64_t)now ^ history_hash64(slice_str(u->code))) * 0x9e3779b97f4a7c15u;
	for (int i = 0; i < 7; i++, x /= 24)
		u->code[i] = i == 3 ? '-' : letters[x % 24];
	u->code[7] = 0;
}

static void set_state(struct decision *d, struct user *u, const struct skim_config *cfg, int64_t now)
{
	static const enum user_state of[] = {[ACTION_PASS] = USER_FREE, [ACTION_LOG] = USER_FLAGGED, [ACTION_HOLD] = USER_HELD,
		[ACTION_STOP] = USER_STOPPED, [ACTION_LOCK] = USER_LOCKED};
	enum user_state state = of[d->action];
	if (u->state == USER_LOCKED)
		return;
	/* an operator's flag goes on being one, and who was given back is watched until that ends */
	if (u->mark && state == USER_HELD && d->score < config_number(cfg, N_hold))
		state = USER_FLAGGED;
	if (state < USER_HELD && now < u->recovering_until)
		state = USER_RECOVERING;
	d->changed = state != u->state;
	if (!d->changed)
		return;
	if (u->state == USER_FREE || !u->code[0] || (u->given_back && state >= USER_HELD && state != USER_RECOVERING)) {
		engine_code(u, now);
		u->given_back = false;
	}
	u->state = state;
	u->since = now;
}

static uint64_t live(const struct user *u, const struct skim_config *c, int64_t now)
{
	uint64_t rules = 0;
	for (int r = 0; u->hits && r < R_COUNT; r++)
		if (hit_points(&u->hits->of[r], &c->rule[r], now) > 0)
			rules |= RULE_BIT(r);
	return rules;
}

void engine_forget(struct user *u)
{
	free(u->hits);
	u->hits = NULL;
	if (u->state == USER_LOCKED || u->mark)
		return;
	u->state = u->recovering_until ? USER_RECOVERING : USER_FREE;
	if (u->state == USER_FREE)
		u->code[0] = 0;
}

void engine_settle(const struct engine *g, struct user *u, int64_t now)
{
	if (u->recovering_until && now >= u->recovering_until) {
		u->recovering_until = 0;
		if (u->state == USER_RECOVERING)
			u->state = USER_FLAGGED, u->since = now;
	}
	if (u->state != USER_FREE && !live(u, g->cfg, now))
		engine_forget(u);
}

bool engine_travels(const struct engine *g, const struct user *u, country cc, int64_t now)
{
	for (int i = 0; i < TRAVEL_COUNTRIES_MAX && u->travel[i] && now < u->travel_until; i++)
		if (u->travel[i] == cc)
			return true;
	return config_travels(g->cfg, slice_make(u->name, u->name_n), cc, now);
}

void judging_decide(struct decision *d, struct judging *j)
{
	struct engine *g = j->g;
	struct user *u = j->u;
	int families;
	d->score = engine_score(g, u, j->now, &families);
	d->hit = j->hit;
	d->rules = j->hit | live(u, g->cfg, j->now);
	if (!d->rules && u->state != USER_LOCKED && !u->mark) {
		if (u->hits)
			engine_forget(u);
		return;
	}
	d->action = ladder(j, d->score, families);
	if (u->mark && j->floor < ACTION_HOLD)
		j->floor = ACTION_HOLD;
	if (d->action < j->floor)
		d->action = j->floor;
	if (d->action == ACTION_LOCK || u->state == USER_LOCKED)
		d->action = lock_or_stop(g, u, j->now);
	set_state(d, u, g->cfg, j->now);
	/* nothing new, and no message to hold */
	if (!j->hit && !(j->ev->send && d->action >= ACTION_HOLD))
		d->action = ACTION_PASS;
	if (d->action != ACTION_PASS)
		why_text(d->why, u, g->cfg, j->hit, j->now);
}

void judging_start(struct judging *j, struct engine *g, const struct skim_event *ev)
{
	const struct skim_config *c = g->cfg;
	*j = (struct judging){.g = g, .ev = ev, .now = ev->time == INT64_MIN ? g->clock : ev->time, .recipients = 1};
	j->now = j->now < 0 ? 0 : j->now > (int64_t)UINT16_MAX * DAY ? (int64_t)UINT16_MAX * DAY : j->now;
	if (j->now > g->clock)
		g->clock = j->now;
	j->has_ip = ip_parse(&j->ip, ev->ip) == 0;
	history_pin(g->history, NULL);
	j->u = history_user(g->history, ev->user, ev->send || ev->success || ev->exists);
	history_pin(g->history, j->u);
	if (j->has_ip) {
		geo_find(&j->place, g->geo, c, &j->ip);
		j->ip = ip_network(&j->ip, ip_is4(&j->ip) ? 32 : 64);
		j->trusted = j->place.kinds & (1u << NET_TRUSTED | 1u << NET_WEBMAIL);
	}
	struct user *u = j->u;
	if (!u)
		return;
	history_touch(g->history, u);
	if (!u->first)
		u->first = j->now;
	if (j->now > u->last)
		u->last = j->now;
	j->learned = j->now - u->first >= config_number(c, N_learn_days) * DAY || u->logins_total >= (uint32_t)config_number(c, N_learn_logins);
	if (ev->class.n && ev->class.n <= CLASS_NAME_MAX && slice_copy(u->class, sizeof u->class, ev->class) < 0)
		u->class[0] = 0;
	engine_settle(g, u, j->now);
	j->declared = j->place.country && engine_travels(g, u, j->place.country, j->now);
}

void engine_judge(struct decision *d, struct engine *g, const struct skim_event *ev)
{
	struct judging j;
	*d = (struct decision){.action = ACTION_PASS};
	judging_start(&j, g, ev);
	d->user = j.u;
	if (!ev->send && !ev->success) {
		judge_failure(&j);
		return;
	}
	if (!j.u)
		return;
	if (j.has_ip) {
		judge_login(&j);
		judge_canary(&j);
	}
	if (ev->send)
		judge_send(&j);
	judge_checks(&j);
	judging_decide(d, &j);
	bool good = d->score < config_number(g->cfg, N_hold) && j.floor < ACTION_HOLD;
	if (j.has_ip)
		note_login(&j, good);
	if (ev->send)
		note_send(&j, good);
}

void decision_json(struct buf *b, const struct decision *d, const struct skim_event *ev)
{
	bool first = true;
	buf_add_str(b, "{\"id\":");
	buf_add_slice(b, ev->id.n ? ev->id : slice_str("null"));
	buf_add_str(b, ",\"time\":\"");
	json_escape(b, ev->time_text);
	buf_add_str(b, "\",\"user\":\"");
	json_escape(b, ev->user);
	buf_add_format(b, "\",\"action\":\"%s\",\"score\":%d,\"rules\":[", action_name(d->action), d->score);
	for (int r = 0; r < R_COUNT; r++)
		if (d->rules & RULE_BIT(r)) {
			buf_add_format(b, "%s\"%s\"", first ? "" : ",", rule_info[r].name);
			first = false;
		}
	buf_add_str(b, "],\"why\":\"");
	json_escape(b, slice_str(d->why));
	buf_add_str(b, "\"}\n");
}
