/* Operators' commands to postern-skim: see commands.h.  One caller at a time, whom command_accept() checked; what they send is compared, bounded, logged
 * with quotes.  Each act leaves one line in the log. */
#include "skim/commands_own.h"

#include <poll.h>
#include <stdio.h>

#include "lib/log.h"
#include "skim/desk.h"

#define REQUEST_MSEC 1000 /* mail waits meanwhile */
#define FUTURE_SEC 60 /* clocks of other hosts may be ahead by so much */

void commands_fail(struct caller *c, const struct err *e)
{
	command_end(c->cmd, e->code == E_SYNTAX || e->code == E_TOO_LONG ? 100 : e->code == E_SYS ? 111 : 1, e->text);
}

/* One line in the log for each act, done or not. */
static void done(struct caller *c, int rc, const struct user *u, const struct err *e, const char *text)
{
	const struct command *cmd = c->cmd;
	struct slice why = cmd->args > 2 ? cmd->arg[2] : slice_make("", 0);
	LOG(EV_skim_command, NULL, F_NUM("uid", cmd->uid), F_SLICE("verb", cmd->arg[0]), F_SLICE("user", u ? name_of(u) : cmd->arg[1]),
		F_STR("state", u ? state_name(u->state) : ""), F_STR("code", u ? u->code : ""), F_SLICE("what", why), F_STR("error", rc ? e->text : ""));
	if (rc)
		commands_fail(c, e);
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
		commands_fail(c, &e);
		return;
	}
	if (ev.send || ev.user.n == 0) {
		err_set(&e, E_SYNTAX, ev.send ? "only logins are taken here" : "the event names no user");
		commands_fail(c, &e);
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
	{"list", 1, commands_list}, {"show", 2, commands_show}, {"flag", 3, flag}, {"lock", 3, flag}, {"clear", 2, clear}, {"restore", 2, restore}, {"travel", 4, travel},
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
