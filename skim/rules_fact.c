/* What becomes known of a user's mail apart from its sending: see engine_fact() in rules.h.  Counts come from other programs of the suite and from operators,
 * and are bounded here. */
#include "skim/rules.h"

#define REPORTS_MANY 3

static void note(struct judging *j, enum skim_fact fact, uint32_t n)
{
	struct sent s = {.time = j->now, .unknown = n};
	if (fact == FACT_REFUSED)
		s.recipients = n;
	if (fact == FACT_BAD)
		s = (struct sent){.time = j->now, .bad = (uint16_t)(n > 1000 ? 1000 : n)};
	user_note_sent(j->u, &s);
	j->hour = user_sent(j->u, j->now, 3600);
	j->day = user_sent(j->u, j->now, DAY);
}

/* One complaint may be a mistake, several are none. */
static void report(struct judging *j, uint32_t n)
{
	struct user *u = j->u;
	if (j->now - u->reported > 7 * DAY)
		u->reported = j->now, u->reports = 0;
	u->reports += n;
	judging_hit(j, R_X1, u->reports >= REPORTS_MANY ? 60 : 0, &(struct hit){.a = u->reports});
}

void engine_fact(struct decision *d, struct engine *g, enum skim_fact fact, struct slice user, long count, int64_t now)
{
	struct skim_event ev = {.time = now, .success = fact == FACT_REPORT, .user = user};
	struct judging j;
	uint32_t n = count < 1 ? 1 : count > FACT_COUNT_MAX ? FACT_COUNT_MAX : (uint32_t)count;
	*d = (struct decision){.action = ACTION_PASS};
	judging_start(&j, g, &ev);
	d->user = j.u;
	if (!j.u)
		return;
	if (fact == FACT_REPORT)
		report(&j, n);
	else
		note(&j, fact, n);
	if (fact == FACT_REFUSED || fact == FACT_BOUNCED)
		judge_nonexistent(&j);
	if (fact == FACT_BAD && j.hour.bad >= config_number(g->cfg, N_verdicts))
		judging_hit(&j, R_C3, 0, &(struct hit){.a = j.hour.bad});
	judging_decide(d, &j);
}
