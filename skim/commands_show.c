/* list and show of the operators' commands: see commands.h.  Rows of keys and values; all that comes from outside is a value. */
#include <arpa/inet.h>
#include <stdio.h>

#include "lib/netstring.h"
#include "skim/commands_own.h"
#include "skim/desk.h"
#include "skim/sendlimit.h"

static void pair(struct buf *b, const char *key, struct slice value)
{
	netstring_add_str(b, key);
	netstring_add(b, value);
}

static void pair_str(struct buf *b, const char *key, const char *value)
{
	pair(b, key, slice_str(value));
}

static void pair_number(struct buf *b, const char *key, long long value)
{
	netstring_add_str(b, key);
	netstring_add_number(b, value);
}

static bool send_row(struct caller *c)
{
	int rc = command_row(c->cmd, &c->row);
	buf_reset(&c->row);
	return rc == 0;
}

static void pair_rules(struct caller *c, const struct user *u)
{
	char text[R_COUNT * 12] = "";
	size_t n = 0;
	for (int r = 0; u->hits && r < R_COUNT; r++)
		if (hit_points(&u->hits->of[r], &c->g->cfg->rule[r], c->now) > 0)
			n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? "," : "", rule_info[r].name);
	pair(&c->row, "rules", slice_make(text, n));
}

/* What list and show have in common. */
static void user_row(struct caller *c, const struct user *u)
{
	char why[WHY_MAX + 1];
	int families;
	why_text(why, u, c->g->cfg, 0, c->now);
	pair_str(&c->row, "kind", "user");
	pair(&c->row, "user", name_of(u));
	pair_str(&c->row, "state", state_name(u->state));
	pair_number(&c->row, "since", u->since);
	pair_number(&c->row, "score", engine_score(c->g, u, c->now, &families));
	pair_rules(c, u);
	pair_str(&c->row, "why", why);
	pair_str(&c->row, "code", u->code);
}

void commands_list(struct caller *c)
{
	struct user *u;
	size_t at = 0;
	bool ok = true;
	while (ok && (u = history_each(c->g->history, &at))) {
		engine_settle(c->g, u, c->now);
		if (u->state == USER_FREE)
			continue;
		user_row(c, u);
		ok = send_row(c);
	}
	command_end(c->cmd, 0, "");
}

static void travel_row(struct caller *c, const struct user *u)
{
	char text[TRAVEL_COUNTRIES_MAX * 3 + 1] = "", cc[3];
	size_t n = 0;
	for (int i = 0; i < TRAVEL_COUNTRIES_MAX && u->travel[i] && c->now < u->travel_until; i++) {
		country_text(cc, u->travel[i]);
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? "," : "", cc);
	}
	pair(&c->row, "travel", slice_make(text, n));
	pair_number(&c->row, "travel_until", n ? u->travel_until - 1 : 0);
}

static bool details(struct caller *c, const struct user *u)
{
	user_row(c, u);
	pair_number(&c->row, "first", u->first);
	pair_number(&c->row, "last", u->last);
	pair_number(&c->row, "logins", u->logins_total);
	pair_str(&c->row, "class", u->class);
	pair_number(&c->row, "recovering_until", u->recovering_until);
	pair_number(&c->row, "failures", u->failing && c->now - u->failing <= DAY ? u->failures : 0);
	pair_number(&c->row, "failing", u->failing);
	pair_str(&c->row, "operator", u->mark ? u->mark->why : "");
	pair_number(&c->row, "operator_uid", u->mark ? (long long)u->mark->uid : -1);
	travel_row(c, u);
	pair_str(&c->row, "respond", c->responds ? "yes" : "no");
	return send_row(c);
}

static bool hit_rows(struct caller *c, const struct user *u)
{
	char why[WHY_MAX + 1];
	bool ok = true;
	for (int r = 0; ok && u->hits && r < R_COUNT; r++) {
		const struct hit *h = &u->hits->of[r];
		double points = hit_points(h, &c->g->cfg->rule[r], c->now);
		if (points <= 0)
			continue;
		why_rule(why, u, (enum rule)r, c->now);
		pair_str(&c->row, "kind", "rule");
		pair_str(&c->row, "rule", rule_info[r].name);
		pair_number(&c->row, "points", (long long)(points + 0.5));
		pair_number(&c->row, "time", h->time);
		pair_str(&c->row, "text", why);
		ok = send_row(c);
	}
	return ok;
}

static const char *network_name(unsigned kinds)
{
	static const char *const name[] = {[NET_TRUSTED] = "ours", [NET_WEBMAIL] = "webmail", [NET_HOSTING] = "hosting", [NET_MOBILE] = "mobile",
		[NET_ANONYMOUS] = "anonymous"};
	for (size_t i = 0; i < sizeof name / sizeof *name; i++)
		if (kinds & 1u << i)
			return name[i];
	return "";
}

static bool login_rows(struct caller *c, const struct user *u)
{
	char cc[3], ip[INET6_ADDRSTRLEN];
	bool ok = true;
	for (uint16_t i = 0; ok && i < u->logins; i++) {
		const struct login *l = &u->login[i];
		struct place p;
		geo_find(&p, c->g->geo, c->g->cfg, &l->ip);
		country_text(cc, l->country);
		ip_text(ip, &l->ip);
		pair_str(&c->row, "kind", "login");
		pair_number(&c->row, "time", l->time);
		pair_str(&c->row, "ip", ip);
		pair_str(&c->row, "country", cc);
		pair_str(&c->row, "city", p.city);
		pair_number(&c->row, "asn", l->asn);
		pair_str(&c->row, "network", network_name(l->kinds));
		ok = send_row(c);
	}
	return ok;
}

static bool sent_rows(struct caller *c, const struct user *u)
{
	bool ok = true;
	for (uint16_t i = 0; ok && i < u->sents; i++) {
		const struct sent *s = &u->sent[i];
		if (s->time <= c->now - DAY)
			continue;
		pair_str(&c->row, "kind", "sent");
		pair_number(&c->row, "time", s->time);
		pair_number(&c->row, "recipients", s->recipients);
		pair_number(&c->row, "external", s->external);
		pair_number(&c->row, "unknown", s->unknown);
		pair_number(&c->row, "new", s->fresh);
		pair_number(&c->row, "bad", s->bad);
		ok = send_row(c);
	}
	return ok;
}

/* Where the user stands against each limit that there is. */
static bool limit_rows(struct caller *c, const struct user *u)
{
	struct sendlimit l = config_sendlimit(c->g->cfg, name_of(u), slice_str(u->class), c->now);
	bool ok = true;
	for (enum send_counter k = 0; ok && k < SEND_COUNTERS; k++) {
		if (l.most[k] == 0)
			continue;
		pair_str(&c->row, "kind", "limit");
		pair_str(&c->row, "counter", sendlimit_names[k]);
		pair_number(&c->row, "used", (long long)sendlimit_used(u, k, c->now));
		pair_number(&c->row, "most", l.most[k]);
		pair_number(&c->row, "again", sendlimit_wait(u, &l, k, 1, c->now));
		ok = send_row(c);
	}
	return ok;
}

void commands_show(struct caller *c)
{
	struct err e;
	struct user *u = desk_find(c->g, c->cmd->arg[1]);
	if (!u) {
		err_set(&e, E_NOT_FOUND, "nothing is known of %.*s", SLICE_FMT(slice_upto(c->cmd->arg[1], 100)));
		commands_fail(c, &e);
		return;
	}
	engine_settle(c->g, u, c->now);
	(void)(details(c, u) && hit_rows(c, u) && login_rows(c, u) && limit_rows(c, u) && sent_rows(c, u));
	command_end(c->cmd, 0, "");
}
