/* Operators' commands to postern-respond: respond.h has them.  One caller at a time, who was checked by command_accept(). */
#include <poll.h>
#include <stdio.h>

#include "lib/command.h"
#include "lib/log.h"
#include "lib/netstring.h"
#include "lib/program.h"
#include "skim/respond_steps.h"

#define REQUEST_MSEC 5000

struct caller {
	struct responder *r;
	struct command cmd;
	bool whole;        /* rows of steps and addresses too */
	bool open;         /* part of it is not undone */
	unsigned rows;
	struct err e;
};

static void pair(struct buf *b, const char *key, const char *value)
{
	netstring_add_str(b, key);
	netstring_add_str(b, value);
}

static void number(struct buf *b, const char *key, long long v)
{
	netstring_add_str(b, key);
	netstring_add_number(b, v);
}

static int send_row(struct caller *c, struct buf *b)
{
	int rc = command_row(&c->cmd, b);
	buf_free(b);
	c->rows++;
	return rc;
}

struct tally {
	int steps, done, failed;
};

static int count_step(void *arg, const struct step *s)
{
	struct tally *t = arg;
	t->steps++;
	t->done += s->state == STEP_DONE || s->state == STEP_UNDONE || s->state == STEP_LEFT;
	t->failed += s->state == STEP_REFUSED || (s->tries > 0 && (s->state == STEP_WAITING || s->state == STEP_BEGUN || s->state == STEP_UNDOING));
	return 0;
}

static int incident_row(struct caller *c, const struct incident *i)
{
	struct buf b = BUF_INIT(COMMAND_MAX);
	struct tally t = {0};
	int rc = journal_steps(&c->r->journal, i->code, count_step, &t, &c->e);
	if (rc < 0)
		return rc;
	pair(&b, "kind", "incident");
	pair(&b, "code", i->code);
	pair(&b, "user", i->user);
	pair(&b, "state", respond_state_names[i->state]);
	pair(&b, "phase", i->phase);
	number(&b, "since", i->since);
	number(&b, "time", i->time);
	number(&b, "ended", i->ended);
	number(&b, "score", i->score);
	pair(&b, "rules", i->rules);
	pair(&b, "why", i->why);
	number(&b, "steps", t.steps);
	number(&b, "done", t.done);
	number(&b, "failed", t.failed);
	pair(&b, "limited", i->limited ? "yes" : "no");
	c->open |= strcmp(i->phase, "restored") != 0;
	return send_row(c, &b);
}

static int step_row(void *arg, const struct step *s)
{
	struct caller *c = arg;
	struct buf b = BUF_INIT(COMMAND_MAX);
	bool waits = s->state == STEP_WAITING || s->state == STEP_BEGUN || s->state == STEP_UNDOING;
	pair(&b, "kind", "step");
	number(&b, "number", s->number);
	netstring_add_str(&b, "name");
	netstring_add(&b, s->plan.name);
	netstring_add_str(&b, "args");
	netstring_add(&b, s->plan.args);
	pair(&b, "state", step_state_names[s->state]);
	number(&b, "tries", s->tries);
	number(&b, "time", s->time);
	number(&b, "next", waits ? s->next : 0);
	pair(&b, "note", s->note);
	return send_row(c, &b);
}

static int address_rows(struct caller *c, const struct incident *i)
{
	char text[INET6_ADDRSTRLEN];
	int rc = 0;
	for (size_t n = 0; rc == 0 && n < i->addresses; n++) {
		struct buf b = BUF_INIT(COMMAND_MAX);
		ip_text(text, &i->address[n]);
		pair(&b, "kind", "address");
		pair(&b, "address", text);
		rc = send_row(c, &b);
	}
	return rc;
}

static int tell(void *arg, const char *code)
{
	struct caller *c = arg;
	struct incident i;
	int rc = journal_incident(&c->r->journal, &i, code, &c->e);
	if (rc == 0)
		rc = incident_row(c, &i);
	if (rc == 0 && c->whole)
		rc = journal_steps(&c->r->journal, code, step_row, c, &c->e);
	return rc == 0 && c->whole ? address_rows(c, &i) : rc;
}

static void end(struct caller *c, int rc, const char *none)
{
	if (rc == 0 && none)
		command_end(&c->cmd, 1, none);
	else
		command_end(&c->cmd, rc < 0 ? 111 : 0, rc < 0 ? c->e.text : "");
}

static void list(struct caller *c)
{
	int rc = journal_which(&c->r->journal, slice_str(""), tell, c, &c->e);
	end(c, rc, NULL);
}

static void show(struct caller *c)
{
	c->whole = true;
	end(c, journal_which(&c->r->journal, c->cmd.arg[1], tell, c, &c->e), "there is no such incident");
}

static int restore_one(void *arg, const char *code)
{
	struct caller *c = arg;
	struct incident i;
	int rc = journal_incident(&c->r->journal, &i, code, &c->e);
	if (rc < 0)
		return rc;
	LOG(EV_respond_restore, NULL, F_STR("user", i.user), F_STR("code", code), F_STR("phase", i.phase));
	rc = work_restore(c->r, code, &c->e);
	return rc < 0 ? rc : tell(c, code);
}

static void restore(struct caller *c)
{
	c->whole = true;
	int rc = journal_which(&c->r->journal, c->cmd.arg[1], restore_one, c, &c->e);
	if (rc < 0)
		end(c, rc, NULL);
	else
		command_end(&c->cmd, c->open ? 111 : 0, c->open ? "not all of it could be undone now; it is tried again by itself" : rc ? "" : "nothing was done to it");
}

static int retry_one(void *arg, const char *code)
{
	struct caller *c = arg;
	int rc = c->cmd.args > 1 ? journal_lift(&c->r->journal, code, &c->r->plan, &c->e) : 0;
	return rc < 0 ? rc : journal_retry(&c->r->journal, code, &c->e);
}

static void retry(struct caller *c)
{
	c->r->ldap_again = 0;
	bool all = c->cmd.args == 1;
	int rc = journal_which(&c->r->journal, all ? slice_str("") : c->cmd.arg[1], retry_one, c, &c->e);
	end(c, rc, all ? NULL : "there is no such incident");
}

static const struct verb {
	const char *name;
	size_t least, most;
	void (*run)(struct caller *c);
} verbs[] = {{"list", 0, 0, list}, {"show", 1, 1, show}, {"restore", 1, 1, restore}, {"retry", 0, 1, retry}};

static void answer(struct caller *c)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (slice_eq_str(c->cmd.arg[0], verbs[i].name) && c->cmd.args - 1 >= verbs[i].least && c->cmd.args - 1 <= verbs[i].most &&
			(c->cmd.args == 1 || c->cmd.arg[1].n > 0)) {
			verbs[i].run(c);
			return;
		}
	command_end(&c->cmd, 100, "use: list, show WHICH, restore WHICH, retry [WHICH]; WHICH is a user or the code of an incident");
}

void respond_command(struct responder *r, int listen_fd)
{
	static struct caller c;
	struct err e;
	c = (struct caller){.r = r};
	if (command_accept(&c.cmd, listen_fd, &e) < 0)
		return;
	if (io_wait(c.cmd.fd, POLLIN, deadline_in(REQUEST_MSEC), &e) == 0 && command_read(&c.cmd, &e) == 0)
		answer(&c);
	else
		close_fd(&c.cmd.fd);
}
