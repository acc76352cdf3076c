/* Counting what users send: see sendlimit.h.  Runs in postern-skim; the numbers come from envelopes (checked) and from its own clock, never from a session's, so
 * that parallel sessions are one sequence. */
#include "skim/sendlimit.h"

#include <stdio.h>
#include <stdlib.h>

const char *const sendlimit_names[SEND_COUNTERS] = {"messages_hour", "recipients_hour", "messages_day", "recipients_day"};

/* What a counter counts, and in what: the steps kept are those of the hour or day and the one that is not over. */
static const struct span {
	bool day, recipients;
	int64_t sec;
	unsigned steps;
} spans[SEND_COUNTERS] = {{false, false, 300, HOUR_STEPS}, {false, true, 300, HOUR_STEPS}, {true, false, 3600, DAY_STEPS}, {true, true, 3600, DAY_STEPS}};

static int64_t step_at(const struct span *s, int64_t now)
{
	return now > 0 ? now / s->sec : 0;
}

static uint32_t *count_of(struct send_counts *c, const struct span *s, int64_t step)
{
	return &(s->day ? c->day[s->recipients] : c->hour[s->recipients])[step % s->steps];
}

/* NULL: nothing is known of STEP.  What was counted in the future was counted by a clock that was wrong; one step may come of a small correction. */
static uint32_t *known(const struct user *u, const struct span *s, int64_t step, int64_t now)
{
	int64_t last = u->counts ? u->counts->last[s->day] : 0;
	if (!u->counts || step < 0 || step > last || last - step >= s->steps || last > step_at(s, now) + 1)
		return NULL;
	return count_of(u->counts, s, step);
}

/* The steps that count at NOW, from the oldest. */
#define EACH_STEP(step, s, now) (int64_t step = step_at(s, now) - (s)->steps + 1; step <= step_at(s, now) + 1; step++)

uint64_t sendlimit_used(const struct user *u, enum send_counter k, int64_t now)
{
	const struct span *s = &spans[k];
	uint64_t sum = 0;
	for EACH_STEP(step, s, now) {
		const uint32_t *n = known(u, s, step, now);
		sum += n ? *n : 0;
	}
	return sum;
}

int64_t sendlimit_wait(const struct user *u, const struct sendlimit *l, enum send_counter k, uint32_t count, int64_t now)
{
	const struct span *s = &spans[k];
	uint64_t most = (uint64_t)l->most[k], used = sendlimit_used(u, k, now);
	if (most == 0 || used + count <= most)
		return 0;
	if (count > most)
		return -1;
	for EACH_STEP(step, s, now) {
		const uint32_t *n = known(u, s, step, now);
		used -= n ? *n : 0;
		if (used + count <= most)
			return (step + s->steps) * s->sec - now;
	}
	return 0; /* not reached: with nothing used, COUNT fits */
}

/* "12 min", rounded up: nobody comes back too early. */
static void words(char text[40], int64_t sec)
{
	long min = (long)((sec + 59) / 60);
	if (min < 60)
		snprintf(text, 40, "%ld min", min);
	else
		snprintf(text, 40, "%ld h %ld min", min / 60, min % 60);
}

static int refuse(const struct user *u, const struct sendlimit *l, enum send_counter k, uint32_t rcpts, int64_t wait, int64_t now, struct err *e)
{
	char when[40], more[40] = "";
	words(when, wait);
	if (spans[k].recipients)
		snprintf(more, sizeof more, " and %u more asked for", rcpts);
	return err_set(e, E_REFUSED, "%s: %llu of %ld%s, again in %s", sendlimit_names[k], (unsigned long long)sendlimit_used(u, k, now), l->most[k], more, when);
}

int sendlimit_check(const struct user *u, const struct sendlimit *l, uint32_t rcpts, int64_t now, struct err *e)
{
	enum send_counter last = SEND_COUNTERS;
	int64_t longest = 0;
	for (enum send_counter k = 0; k < SEND_COUNTERS; k++) {
		int64_t wait = sendlimit_wait(u, l, k, spans[k].recipients ? rcpts : 1, now);
		if (wait < 0)
			return err_set(e, E_TOO_LONG, "%s: %ld, and this message has %u recipients", sendlimit_names[k], l->most[k], rcpts);
		if (wait > longest)
			longest = wait, last = k;
	}
	return last == SEND_COUNTERS ? 0 : refuse(u, l, last, rcpts, longest, now, e);
}

/* Forget what lies between the newest step and now, or all of it when a wrong clock counted it. */
static void go_on(struct send_counts *c, const struct span *s, int64_t now)
{
	int64_t at = step_at(s, now), last = c->last[s->day], oldest = at - s->steps + 1;
	for (int64_t step = last > at + 1 || last < oldest ? oldest : last + 1; step <= at; step++)
		if (step >= 0)
			*count_of(c, s, step) = 0;
}

void sendlimit_count(struct user *u, uint32_t rcpts, int64_t now)
{
	if (!u->counts && !(u->counts = calloc(1, sizeof *u->counts)))
		return;
	for (enum send_counter k = 0; k < SEND_COUNTERS; k++)
		go_on(u->counts, &spans[k], now);
	for (enum send_counter k = 0; k < SEND_COUNTERS; k += 2) {
		int64_t at = step_at(&spans[k], now), *last = &u->counts->last[spans[k].day];
		*last = *last == at + 1 ? *last : at;
	}
	for (enum send_counter k = 0; k < SEND_COUNTERS; k++) {
		uint32_t *to = count_of(u->counts, &spans[k], u->counts->last[spans[k].day]);
		if (__builtin_add_overflow(*to, spans[k].recipients ? rcpts : 1, to))
			*to = UINT32_MAX;
	}
}

/* Out of the newest steps first: that is where it was put. */
void sendlimit_return(struct user *u, uint32_t rcpts, int64_t now)
{
	for (const struct span *s = spans; s < spans + SEND_COUNTERS; s++) {
		uint32_t left = s->recipients ? rcpts : 1;
		for (int64_t step = step_at(s, now) + 1; left && step > step_at(s, now) - (int64_t)s->steps; step--) {
			uint32_t *n = known(u, s, step, now), out = !n ? 0 : *n < left ? *n : left;
			left -= out;
			if (out)
				*n -= out;
		}
	}
}

static struct sendlimit limits_of(const struct engine *g, struct slice name, const struct user *u, int64_t now)
{
	return config_sendlimit(g->cfg, name, slice_str(u ? u->class : ""), now);
}

static bool any(const struct sendlimit *l)
{
	for (enum send_counter k = 0; k < SEND_COUNTERS; k++)
		if (l->most[k])
			return true;
	return false;
}

int sendlimit_ask(struct engine *g, struct slice user, size_t rcpts, int64_t now, struct err *e)
{
	static const struct user nobody;
	const struct user *u = history_user(g->history, user, false);
	struct sendlimit l = limits_of(g, user, u, now);
	return sendlimit_check(u ? u : &nobody, &l, (uint32_t)rcpts, now, e);
}

void sendlimit_passed(struct engine *g, struct slice user, struct slice id, size_t rcpts, int64_t now)
{
	struct user *u = history_user(g->history, user, true);
	struct sendlimit l = limits_of(g, user, u, now);
	if (!u || !any(&l))
		return;
	sendlimit_count(u, (uint32_t)rcpts, now);
	charges_put(g->charges, id, u, (uint32_t)rcpts);
	u->last = u->last < now ? now : u->last;
	history_touch(g->history, u);
}

void sendlimit_refused(struct engine *g, struct slice user, struct slice id, int64_t now)
{
	struct user *u = history_user(g->history, user, false);
	uint32_t rcpts = u ? charges_take(g->charges, id, u) : 0;
	if (rcpts == 0)
		return;
	sendlimit_return(u, rcpts, now);
	history_touch(g->history, u);
}
