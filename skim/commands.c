/* Operators' commands to postern-skim: see commands.h.  One caller at a time, whom command_accept() checked; what they send is compared, bounded, logged
 * with quotes.  Each act leaves one line in the log. */
#include "skim/commands.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>

#include "lib/log.h"
#include "lib/netstring.h"
#include "skim/desk.h"

#define REQUEST_MSEC 1000 /* mail waits meanwhile */
#define FUTURE_SEC 60 /* clocks of other hosts may be ahead by so much */

struct caller {
	struct command *cmd;
	struct engine *g;
	bool responds;
	int64_t now;
	commands_changed *changed;
	void *arg;
	struct buf row;
};

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

static struct slice name_of(const struct user *u)
{
	return slice_make(u->name, u->name_n);
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

static void list(struct caller *c)
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

static void fail(struct caller *c, const struct err *e)
{
	command_end(c->cmd, e->code == E_SYNTAX || e->code == E_TOO_LONG ? 100 : e->code == E_SYS ? 111 : 1, e->text);
}

static void show(struct caller *c)
{
	struct err e;
	struct user *u = desk_find(c->g, c->cmd->arg[1]);
	if (!u) {
		err_set(&e, E_NOT_FOUND, "nothing is known of %.*s", SLICE_FMT(slice_upto(c->cmd->arg[1], 100)));
		fail(c, &e);
		return;
	}
	engine_settle(c->g, u, c->now);
	(void)(details(c, u) && hit_rows(c, u) && login_rows(c, u) && sent_rows(c, u));
	command_end(c->cmd, 0, "");
}

/* One line in the log for each act, done or not. */
static void done(struct caller *c, int rc, const struct user *u, const struct err *e, const char *text)
{
	const struct command *cmd = c->cmd;
	struct slice why = cmd->args > 2 ? cmd->arg[2] : slice_make("", 0);
	LOG(EV_skim_command, NULL, F_NUM("uid", cmd->uid), F_SLICE("verb", cmd->arg[0]), F_SLICE("user", u ? name_of(u) : cmd->arg[1]),
		F_STR("state", u ? state_name(u->state) : ""), F_STR("code", u ? u->code : ""), F_SLICE("what", why), F_STR("error", rc ? e->text : ""));
	if (rc)
		fail(c, e);
	else
		command_end(c->cmd, 0, text);
}

static void act(struct caller *c, int rc, struct user *u, const struct err *e)
{
	char text[400] = "";
	if (rc == 0) {
		c->changed(c->arg, u, NULL);
		snprintf(text, sizeof text, "%.*s: %s", SLICE_FMT(slice_upto(name_of(u), 100)), state_name(u->state));
		if (u->code[0] && u->state != USER_FREE)
			snprintf(text, sizeof text, "%.*s: %s, code %s", SLICE_FMT(slice_upto(name_of(u), 100)), state_name(u->state), u->code);
	}
	done(c, rc, rc ? NULL : u, e, text);
}

static void flag(struct caller *c)
{
	struct user *u = NULL;
	struct err e;
	bool lock = slice_eq_str(c->cmd->arg[0], "lock");
	int rc = desk_flag(&u, c->g, c->cmd->arg[1], lock, c->cmd->arg[2], c->cmd->uid, c->now, &e);
	act(c, rc, u, &e);
}

static void clear(struct caller *c)
{
	struct user *u = NULL;
	struct err e;
	int rc = desk_clear(&u, c->g, c->cmd->arg[1], c->now, &e);
	act(c, rc, u, &e);
}

static void restore(struct caller *c)
{
	struct user *u = NULL;
	struct err e;
	int rc = desk_restore(&u, c->g, c->cmd->arg[1], c->now, &e);
	act(c, rc, u, &e);
}

static void travel(struct caller *c)
{
	struct user *u = NULL;
	struct err e;
	int rc = desk_travel(&u, c->g, c->cmd->arg[1], c->cmd->arg[2], c->cmd->arg[3], c->now, &e);
	act(c, rc, u, &e);
}

static void report(struct caller *c)
{
	struct decision d;
	struct err e;
	int rc = desk_report(&d, c->g, c->cmd->arg[1], c->now, &e);
	if (rc == 0)
		c->changed(c->arg, d.user, &d);
	done(c, rc, rc ? NULL : d.user, &e, rc ? "" : state_name(d.user->state));
}

/* A login told by another program, as one JSON line.  No audit line: the log would hold every login. */
static void login(struct caller *c)
{
	struct command *cmd = c->cmd;
	struct skim_event ev;
	struct decision d;
	struct err e;
	/* the text is ours to change: it lies in .space */
	if (event_parse(&ev, cmd->space + (cmd->arg[1].p - cmd->space), cmd->arg[1].n, &e) != 0) {
		fail(c, &e);
		return;
	}
	if (ev.send || ev.user.n == 0) {
		err_set(&e, E_SYNTAX, ev.send ? "only logins are taken here" : "the event names no user");
		fail(c, &e);
		return;
	}
	if (ev.time == INT64_MIN || ev.time > c->now + FUTURE_SEC)
		ev.time = c->now;
	engine_judge(&d, c->g, &ev);
	if (d.user)
		c->changed(c->arg, d.user, &d);
	command_end(cmd, 0, d.action == ACTION_PASS ? "" : d.why);
}

static const struct verb {
	const char *name;
	size_t args; /* the verb counts */
	void (*run)(struct caller *c);
} verbs[] = {
	{"list", 1, list}, {"show", 2, show}, {"flag", 3, flag}, {"lock", 3, flag}, {"clear", 2, clear}, {"restore", 2, restore}, {"travel", 4, travel},
	{"report", 2, report}, {"login", 2, login},
};

void commands_answer(struct command *cmd, struct engine *g, bool responds, int64_t now, commands_changed *changed, void *arg)
{
	struct caller c = {cmd, g, responds, now, changed, arg, BUF_INIT(COMMAND_MAX)};
	history_pin(g->history, NULL);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (slice_eq_str(cmd->arg[0], verbs[i].name) && cmd->args == verbs[i].args) {
			verbs[i].run(&c);
			buf_free(&c.row);
			return;
		}
	command_end(cmd, 100, "there is no such command");
}

void commands_serve(struct engine *g, bool responds, int listen_fd, commands_changed *changed, void *arg)
{
	static struct command cmd;
	struct err e;
	int rc = command_accept(&cmd, listen_fd, &e);
	if (rc == E_REFUSED)
		LOG(EV_bad_command, NULL, F_ERR(&e));
	if (rc < 0)
		return;
	if (io_wait(cmd.fd, POLLIN, deadline_in(REQUEST_MSEC), &e) == 0 && command_read(&cmd, &e) == 0) {
		commands_answer(&cmd, g, responds, clock_wall_usec() / 1000000, changed, arg);
		return;
	}
	LOG(EV_bad_command, NULL, F_ERR(&e));
	close_fd(&cmd.fd);
}
