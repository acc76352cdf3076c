/* Rules L1 to L13: see ruletable.h, postern-skim(5).  Input: the place of an event's address and what is remembered of the user. */
#include "skim/rules.h"

#define OUR (1u << NET_TRUSTED | 1u << NET_WEBMAIL)
#define FLEXIBLE (1u << NET_HOSTING | 1u << NET_MOBILE) /* networks whose place says little */

static struct place place_of(const struct login *l)
{
	return (struct place){.country = l->country, .radius_km = l->radius_km, .latitude = l->latitude, .longitude = l->longitude,
		.asn = l->asn, .located = l->located, .kinds = l->kinds};
}

static void where(struct hit *h, const struct judging *j)
{
	h->to = j->place.country;
	memcpy(h->text, j->place.city, sizeof h->text);
}

/* Faster than an aeroplane, or, where no distance is known or it is short, another country within hours. */
static void travel(struct judging *j, const struct login *last)
{
	const struct skim_config *c = j->g->cfg;
	if (!last || (last->kinds & (OUR | FLEXIBLE)) || (j->place.kinds & FLEXIBLE) || !j->place.country || !last->country)
		return;
	if (user_place_days(j->u, j->place.country, j->place.asn, j->now) >= USUAL_DAYS)
		return;
	struct place before = place_of(last);
	int64_t sec = j->now - last->time;
	long km = geo_distance_km(&before, &j->place);
	struct hit h = {.a = (long)sec, .b = km, .from = last->country};
	where(&h, j);
	bool fast = km * 3600 > config_number(c, N_speed_kmh) * (sec > 60 ? sec : 60);
	bool compared = before.located && j->place.located;
	if (fast && km > config_number(c, N_distance_km) && sec < DAY)
		judging_hit(j, R_L1, 0, &h);
	else if (last->country != j->place.country && sec <= config_number(c, N_hook_interval) && (!compared || (fast && km > 100)) &&
		!config_safe_country(c, j->place.country) && !user_knows_country(j->u, j->place.country, j->now))
		judging_hit(j, R_L3, 0, &h);
}

static unsigned collect(country list[LOGINS_MAX + 1], unsigned n, country cc)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i] == cc)
			return n;
	list[n] = cc;
	return n + 1;
}

static void countries(struct judging *j, country home)
{
	const struct skim_config *c = j->g->cfg;
	country list[LOGINS_MAX + 1];
	unsigned n = 0;
	if (j->place.country && j->place.country != home && !(j->place.kinds & FLEXIBLE))
		n = collect(list, n, j->place.country);
	for (uint16_t i = 0; i < j->u->logins; i++) {
		const struct login *l = &j->u->login[i];
		if (l->time > j->now - DAY && l->country && l->country != home && !(l->kinds & (OUR | FLEXIBLE)) && !config_safe_country(c, l->country))
			n = collect(list, n, l->country);
	}
	if (n >= (unsigned)config_number(c, N_countries))
		judging_hit(j, R_L2, n >= (unsigned)config_number(c, N_countries_many) ? 70 : 0, &(struct hit){.a = n});
}

static bool at_once(const struct judging *j, const struct login *last, const struct login *own)
{
	if (!own || !last || last->time <= own->time || j->now - own->time > 3600 || last->country == own->country)
		return false;
	struct place before = place_of(last);
	if ((last->kinds | j->place.kinds) & (OUR | FLEXIBLE) || user_place_days(j->u, last->country, last->asn, j->now) >= USUAL_DAYS)
		return false;
	return geo_distance_km(&before, &j->place) > config_number(j->g->cfg, N_distance_km);
}

static bool same_network(const struct ip *a, const struct ip *b)
{
	return memcmp(a, b, ip_is4(a) ? 15 : 6) == 0; /* /24, /48 */
}

/* Addresses of mobile networks change by themselves: each counts half. */
static void breadth(struct judging *j)
{
	unsigned nets = 2, addresses = 2;
	for (uint16_t i = 0; i < j->u->logins; i++) {
		const struct login *l = &j->u->login[i];
		unsigned weight = l->kinds & (1u << NET_MOBILE) ? 1 : 2;
		if (l->time <= j->now - DAY || (l->kinds & OUR) || memcmp(&l->ip, &j->ip, sizeof j->ip) == 0)
			continue;
		addresses += weight;
		bool seen = same_network(&l->ip, &j->ip);
		for (uint16_t k = 0; k < i && !seen; k++)
			seen = j->u->login[k].time > j->now - DAY && same_network(&j->u->login[k].ip, &l->ip);
		nets += seen ? 0 : weight;
	}
	if (addresses / 2 > (unsigned)config_number(j->g->cfg, N_addresses_day))
		judging_hit(j, R_L7, 40, &(struct hit){.a = addresses / 2, .b = 1});
	else if (nets / 2 > (unsigned)config_number(j->g->cfg, N_networks_day))
		judging_hit(j, R_L7, 0, &(struct hit){.a = nets / 2});
}

static void novelty(struct judging *j, country home)
{
	struct hit h = {.a = j->place.asn};
	bool is_hosting = j->place.kinds & (1u << NET_HOSTING), mobile = j->place.kinds & (1u << NET_MOBILE);
	bool common = j->place.country && history_place_common(j->g->history, j->place.country, j->place.asn, j->u);
	bool known = user_place_days(j->u, j->place.country, j->place.asn, j->now) > 0;
	where(&h, j);
	if (is_hosting && !known && !user_knows_asn(j->u, j->place.asn, j->now))
		judging_hit(j, R_L4, 0, &h);
	if (is_hosting || known || !j->place.country)
		return;
	if (!common && !mobile)
		judging_hit(j, R_L5, 0, &h);
	if (j->place.country != home && !user_knows_country(j->u, j->place.country, j->now))
		judging_hit(j, R_L13, 0, &h);
}

static unsigned failure_networks(const struct user *u)
{
	unsigned n = 0;
	while (n < 4 && u->failure_nets[n])
		n++;
	return n;
}

static void guessing(struct judging *j)
{
	const struct skim_config *c = j->g->cfg;
	struct user *u = j->u;
	if (j->now - u->failing <= 3600 && u->failures >= (uint32_t)config_number(c, N_failures) &&
		failure_networks(u) >= (unsigned)config_number(c, N_failure_networks))
		judging_hit(j, R_L8, 0, &(struct hit){.a = u->failures, .b = failure_networks(u)});
	unsigned spray = history_spray(j->g->history, &j->ip, u, j->ev->user, false, j->now);
	if (spray >= (unsigned)config_number(c, N_spray_users))
		judging_hit(j, R_L9, 0, &(struct hit){.a = spray});
}

/* A program is known by its letters: versions change all the time. */
static uint32_t client_hash(struct slice client)
{
	char text[80];
	size_t n = 0;
	for (size_t i = 0; i < client.n && n < sizeof text; i++)
		if ((client.p[i] | 32) >= 'a' && (client.p[i] | 32) <= 'z')
			text[n++] = client.p[i];
	return history_hash(slice_make(text, n));
}

static void habits(struct judging *j)
{
	const struct user *u = j->u;
	uint32_t total = 0;
	if (j->ev->client.n && u->client[0].days && !user_known_days(u->client, CLIENTS_MAX, client_hash(j->ev->client), j->now) &&
		u->logins_total >= (uint32_t)config_number(j->g->cfg, N_learn_logins))
		judging_hit(j, R_L10, 0, &(struct hit){0});
	for (int i = 0; i < 24; i++)
		total += u->hours[i];
	if (total >= 30 && u->hours[j->now % DAY / 3600] * 100u < total)
		judging_hit(j, R_L12, 0, &(struct hit){0});
}

void judge_login(struct judging *j)
{
	country home = history_home(j->g->history, 0);
	guessing(j);
	if (j->trusted)
		return;
	const struct login *last = user_last_login(j->u, &j->ip, j->now), *own = NULL;
	for (uint16_t i = 0; i < j->u->logins; i++)
		if (memcmp(&j->u->login[i].ip, &j->ip, sizeof j->ip) == 0)
			own = &j->u->login[i];
	travel(j, last);
	countries(j, home);
	if (at_once(j, last, own)) {
		struct hit h = {.from = last->country};
		where(&h, j);
		judging_hit(j, R_L11, 0, &h);
	}
	if (j->place.kinds & (1u << NET_ANONYMOUS))
		judging_hit(j, R_L6, 0, &(struct hit){0});
	breadth(j);
	novelty(j, home);
	habits(j);
}

void judge_failure(struct judging *j)
{
	struct user *u = j->u;
	if (j->has_ip)
		history_spray(j->g->history, &j->ip, u, j->ev->user, true, j->now);
	if (!u)
		return;
	if (j->now - u->failing > 3600) {
		u->failing = j->now, u->failures = 0;
		memset(u->failure_nets, 0, sizeof u->failure_nets);
	}
	u->failures++;
	struct ip net = ip_network(&j->ip, ip_is4(&j->ip) ? 24 : 48);
	uint32_t hash = history_hash(slice_make(net.a, sizeof net.a));
	for (int i = 0; i < 4 && j->has_ip && u->failure_nets[i] != hash; i++)
		if (!u->failure_nets[i]) {
			u->failure_nets[i] = hash;
			break;
		}
}

/* What is under suspicion does not become usual. */
void note_login(struct judging *j, bool good)
{
	struct user *u = j->u;
	u->logins_total++;
	if (u->hours[j->now % DAY / 3600] < UINT16_MAX)
		u->hours[j->now % DAY / 3600]++;
	user_note_login(u, &j->ip, &j->place, j->now);
	history_home(j->g->history, j->place.country);
	if (!good)
		return;
	if (!j->trusted && j->place.country)
		user_note_place(u, j->place.country, j->place.asn, j->now);
	if (j->ev->client.n)
		user_note_known(u->client, CLIENTS_MAX, client_hash(j->ev->client), j->now);
}
