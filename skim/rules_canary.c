/* Rule X4: accounts that nobody owns ([canary]), whose passwords stand only where thieves look.  Whoever logs in to one has other accounts too: each that was
 * used from that address within a week is marked, and each that will be.  Networks of ours, and those of many people behind few addresses, prove nothing. */
#include "skim/rules.h"

#include <stdlib.h>

#define OPEN (1u << NET_TRUSTED | 1u << NET_WEBMAIL | 1u << NET_MOBILE)
#define WEEK (7 * DAY)
#define CANARY_POINTS 100

static bool used_from(const struct user *u, const struct ip *ip, int64_t since)
{
	for (uint16_t i = 0; i < u->logins; i++)
		if (u->login[i].time >= since && memcmp(&u->login[i].ip, ip, sizeof *ip) == 0)
			return true;
	return false;
}

static void mark(const struct judging *j, struct user *u)
{
	const struct rule_setting *set = &j->g->cfg->rule[R_X4];
	if (!u->hits && !(u->hits = calloc(1, sizeof *u->hits)))
		return;
	u->hits->of[R_X4] = (struct hit){.time = j->now, .points = set->points};
	if (u->state == USER_FREE) {
		engine_code(u, j->now);
		u->state = USER_FLAGGED;
		u->since = j->now;
	}
	history_touch(j->g->history, u);
}

static void mark_others(const struct judging *j)
{
	size_t at = 0;
	for (struct user *u; (u = history_each(j->g->history, &at));)
		if (u != j->u && used_from(u, &j->ip, j->now - WEEK) && !config_canary(j->g->cfg, slice_make(u->name, u->name_n)))
			mark(j, u);
}

void judge_canary(struct judging *j)
{
	const struct skim_config *c = j->g->cfg;
	if (c->canaries.n == 0 || c->rule[R_X4].mode == RULE_OFF || j->place.kinds & OPEN)
		return;
	if (!config_canary(c, j->ev->user)) {
		if (history_canary_used(j->g->history, &j->ip, j->now - WEEK))
			judging_hit(j, R_X4, 0, &(struct hit){0});
		return;
	}
	judging_hit(j, R_X4, CANARY_POINTS, &(struct hit){.a = 1});
	if (history_canary_note(j->g->history, &j->ip, j->now) && c->rule[R_X4].mode == RULE_ON)
		mark_others(j);
}
