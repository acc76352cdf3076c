/* One user's memory: see history.h.  Numbers come from events and are bounded by their types' ranges before they are added. */
#include <math.h>
#include <stdlib.h>

#include "skim/history.h"

static uint16_t day_of(int64_t now)
{
	return (uint16_t)(now / DAY);
}

static void *room(void *p, uint16_t n, uint16_t *have, uint16_t most, size_t each)
{
	if (n < *have || *have == most)
		return p;
	uint16_t more = (uint16_t)(*have ? *have * 2 : 2);
	void *q = reallocarray(p, more < most ? more : most, each);
	if (!q)
		return p;
	*have = more < most ? more : most;
	return q;
}

static struct login *oldest_login(struct user *u)
{
	struct login *old = u->login;
	for (uint16_t i = 1; i < u->logins; i++)
		if (u->login[i].time < old->time)
			old = &u->login[i];
	return old;
}

struct login *user_note_login(struct user *u, const struct ip *ip, const struct place *p, int64_t now)
{
	struct login *l = NULL;
	for (uint16_t i = 0; i < u->logins && !l; i++)
		if (memcmp(&u->login[i].ip, ip, sizeof *ip) == 0)
			l = &u->login[i];
	if (!l) {
		u->login = room(u->login, u->logins, &u->logins_room, LOGINS_MAX, sizeof *u->login);
		if (!u->login)
			return NULL;
		l = u->logins < u->logins_room ? &u->login[u->logins++] : oldest_login(u);
		l->time = l->first = now;
	}
	if (now >= l->time || memcmp(&l->ip, ip, sizeof *ip) != 0)
		*l = (struct login){now, l->first, *ip, p->country, p->radius_km, p->latitude, p->longitude, p->asn, p->located, p->kinds};
	return l;
}

const struct login *user_last_login(const struct user *u, const struct ip *ip, int64_t now)
{
	const struct login *last = NULL;
	for (uint16_t i = 0; i < u->logins; i++)
		if (u->login[i].time <= now && memcmp(&u->login[i].ip, ip, sizeof *ip) != 0 && (!last || u->login[i].time > last->time))
			last = &u->login[i];
	return last;
}

static unsigned before_today(const struct known_place *k, uint16_t today)
{
	return (unsigned)k->days - (k->days && k->last_day == today);
}

void user_note_place(struct user *u, country cc, uint32_t asn, int64_t now)
{
	struct known_place *use = &u->place[0];
	uint16_t today = day_of(now);
	for (int i = 0; i < PLACES_MAX; i++) {
		struct known_place *k = &u->place[i];
		if (k->days && k->country == cc && k->asn == asn) {
			if (k->last_day < today)
				k->last_day = today, k->days++;
			return;
		}
		if (k->days < use->days || (k->days == use->days && k->last_day < use->last_day))
			use = k;
	}
	*use = (struct known_place){cc, 1, today, asn};
}

unsigned user_place_days(const struct user *u, country cc, uint32_t asn, int64_t now)
{
	for (int i = 0; i < PLACES_MAX; i++)
		if (u->place[i].days && u->place[i].country == cc && u->place[i].asn == asn)
			return before_today(&u->place[i], day_of(now));
	return 0;
}

unsigned user_known_days(const struct known *list, size_t n, uint32_t hash, int64_t now)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].days && list[i].hash == hash)
			return (unsigned)list[i].days - (list[i].last_day == day_of(now));
	return 0;
}

bool user_knows_country(const struct user *u, country cc, int64_t now)
{
	for (int i = 0; i < PLACES_MAX; i++)
		if (u->place[i].country == cc && before_today(&u->place[i], day_of(now)))
			return true;
	return false;
}

bool user_knows_asn(const struct user *u, uint32_t asn, int64_t now)
{
	for (int i = 0; i < PLACES_MAX; i++)
		if (u->place[i].asn == asn && before_today(&u->place[i], day_of(now)))
			return true;
	return false;
}

void user_note_known(struct known *list, size_t n, uint32_t hash, int64_t now)
{
	struct known *use = list;
	uint16_t today = day_of(now);
	for (size_t i = 0; i < n; i++) {
		struct known *k = &list[i];
		if (k->days && k->hash == hash) {
			if (k->last_day < today)
				k->last_day = today, k->days++;
			return;
		}
		if (k->days < use->days || (k->days == use->days && k->last_day < use->last_day))
			use = k;
	}
	*use = (struct known){hash, 1, today};
}

static void add(struct sent *to, const struct sent *s)
{
	to->recipients += s->recipients, to->external += s->external, to->unknown += s->unknown, to->fresh += s->fresh;
	to->bad = (uint16_t)(to->bad + s->bad);
}

/* What a day brought is set against the days before; a usual volume fades by a tenth with each day on which anything was sent. */
static void note_day(struct user *u, uint32_t recipients, int64_t now)
{
	uint32_t day = (uint32_t)(now / DAY);
	if (day > u->today_day) {
		uint32_t *best = u->usual_day;
		best[0] -= best[0] / 50, best[1] -= best[1] / 50;
		if (u->today > best[0])
			best[1] = best[0], best[0] = u->today;
		else if (u->today > best[1])
			best[1] = u->today;
		u->today = 0, u->today_day = day;
	}
	u->today += recipients;
}

void user_note_sent(struct user *u, const struct sent *s)
{
	note_day(u, s->recipients, s->time);
	for (uint16_t i = u->sents; i-- > 0 && u->sent[i].time + 10 >= s->time;)
		if (u->sent[i].time <= s->time && u->sent[i].time + 10 > s->time) {
			add(&u->sent[i], s);
			return;
		}
	u->sent = room(u->sent, u->sents, &u->sents_room, SENDS_MAX, sizeof *u->sent);
	if (!u->sent)
		return;
	/* full: what is older than a day goes, else the two oldest are joined */
	if (u->sents == u->sents_room) {
		if (u->sent[0].time + DAY >= s->time) {
			u->sent[0].time = u->sent[1].time;
			add(&u->sent[1], &u->sent[0]);
		}
		memmove(u->sent, u->sent + 1, (size_t)--u->sents * sizeof *u->sent);
	}
	uint16_t at = u->sents++;
	for (; at > 0 && u->sent[at - 1].time > s->time; at--)
		u->sent[at] = u->sent[at - 1];
	u->sent[at] = *s;
}

struct sent user_sent(const struct user *u, int64_t now, int64_t seconds)
{
	struct sent sum = {.time = now};
	for (uint16_t i = u->sents; i-- > 0 && u->sent[i].time > now - seconds;)
		add(&sum, &u->sent[i]);
	return sum;
}

uint32_t user_note_text(struct user *u, uint64_t hash, uint32_t recipients, int64_t now)
{
	struct text_seen *old = NULL;
	if (!u->text && !(u->text = calloc(TEXTS_MAX, sizeof *u->text)))
		return recipients;
	for (uint16_t i = 0; i < TEXTS_MAX; i++) {
		struct text_seen *t = &u->text[i];
		if (t->recipients && t->hash == hash && now - t->time < DAY) {
			t->recipients += recipients;
			return t->recipients;
		}
		if (!old || t->time < old->time)
			old = t;
	}
	*old = (struct text_seen){now, hash, recipients};
	return recipients;
}

double hit_points(const struct hit *hit, const struct rule_setting *rule, int64_t now)
{
	int64_t age = now > hit->time ? now - hit->time : 0;
	if (hit->points == 0)
		return 0;
	double p = hit->points * exp2(-(double)age / (rule->half_life_hours * 3600.0));
	return p < 0.5 ? 0 : p;
}

double user_score(const struct user *u, const struct rule_setting *rules, int64_t now, double by_family[FAMILY_COUNT])
{
	double sum = 0;
	for (int f = 0; f < FAMILY_COUNT; f++)
		by_family[f] = 0;
	for (int r = 0; u->hits && r < R_COUNT; r++)
		by_family[rule_info[r].family] += hit_points(&u->hits->of[r], &rules[r], now);
	for (int f = 0; f < FAMILY_COUNT; f++)
		sum += by_family[f];
	return sum;
}
