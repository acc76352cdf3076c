/* The stage of skim: see guard.h.  Fails open: what cannot be judged passes, and a message is never lost: it is held in the queue, or the client is told and
 * keeps it.  One worker, so that all of a user's mail counts together. */
#include "skim/guard.h"

#include <poll.h>

#include "lib/log.h"
#include "lib/program.h"
#include "skim/commands.h"
#include "skim/feed_in.h"
#include "skim/job_event.h"
#include "skim/sendlimit.h"

#define SEND_MSEC 120000       /* waiting for room in the next stage; the session's own deadline is longer */
#define HOLD_SEC (4 * 3600)    /* nobody's mail waits longer without somebody having looked */
#define KEEP_MSEC 2000         /* what changed is kept so often; a kill loses no more */
#define MORE_MSEC 100          /* what did not fit into one batch goes with the next */
#define STOP_MSEC 10000        /* less than the supervisor waits */
#define TICK_MSEC 500

enum guard_verdict guard_verdict(const struct decision *d)
{
	switch (d->action) {
	case ACTION_HOLD:
		return d->user->mark ? GUARD_HOLD_FOR_GOOD : GUARD_HOLD;
	case ACTION_LOCK:
		return GUARD_HOLD_FOR_GOOD;
	case ACTION_STOP:
		return d->changed ? GUARD_HOLD_FOR_GOOD : d->user->state == USER_LOCKED ? GUARD_LOCKED : GUARD_STOPPED;
	default:
		return GUARD_PASS;
	}
}

/* EVENT: skim for a message, skim_login for all else. */
static void log_decision(enum log_event event, const char *id, const struct decision *d)
{
	char rules[300] = "";
	size_t n = 0;
	for (int r = 0; r < R_COUNT; r++)
		if (d->rules & (uint64_t)1 << r && n + 16 < sizeof rules) {
			struct slice name = slice_str(rule_info[r].name);
			if (n)
				rules[n++] = ',';
			memcpy(rules + n, name.p, name.n);
			n += name.n;
		}
	LOG(event, id, F_SLICE("user", slice_make(d->user->name, d->user->name_n)), F_STR("action", action_name(d->action)), F_NUM("score", d->score),
		F_SLICE("rules", slice_make(rules, n)), F_STR("code", d->user->code), F_STR("why", d->why));
}

static int hold(struct job *job, bool for_good, struct err *e)
{
	struct envelope env = job->env; /* borrows; only the hold is other */
	env.hold_reason = slice_str("skim");
	env.hold_owner = job->env.user;
	env.hold_until_sec = for_good ? 0 : clock_wall_usec() / 1000000 + HOLD_SEC;
	env.hold_then = for_good ? 0 : 'r';
	const struct slice header = job->header;
	return job_replace_head(job, &env, &header, 1, e);
}

/* False: it was answered. */
static bool pass(struct job *job, int next)
{
	struct err e;
	if (job_send(next, job, deadline_in(SEND_MSEC), &e) == 0)
		return true;
	LOG(EV_fault, job->id, F_ERR(&e));
	job_answer(job, "451 4.3.0 %s cannot be passed on now, try again later", job->id);
	return false;
}

static bool act(struct job *job, const struct decision *d, int next)
{
	struct err e;
	enum guard_verdict v = guard_verdict(d);
	if (v == GUARD_STOPPED || v == GUARD_LOCKED) {
		job_answer(job, v == GUARD_LOCKED ? "550 5.7.1 This account may not send mail; ask the helpdesk, code %s (%s)" :
			"451 4.7.1 This account may not send mail now; ask the helpdesk, code %s (%s)", d->user->code, job->id);
		return false;
	}
	if (v != GUARD_PASS && hold(job, v == GUARD_HOLD_FOR_GOOD, &e) < 0) {
		LOG(EV_fault, job->id, F_ERR(&e));
		job_answer(job, "451 4.3.0 %s cannot be taken now, try again later", job->id);
		return false;
	}
	return pass(job, next);
}

/* Before the rules look: who is refused for a number alone is not suspected for trying again. */
static bool over_limit(struct engine *g, struct job *job, int64_t now)
{
	struct err e;
	int rc = sendlimit_ask(g, job->env.user, job->env.rcpts, now, &e);
	if (rc == 0)
		return false;
	LOG(EV_skim_limit, job->id, F_SLICE("user", job->env.user), F_NUM("rcpts", job->env.rcpts), F_ERR(&e));
	job_answer(job, rc == E_TOO_LONG ? "550 5.7.1 This message has more recipients than you may send to; %s (%s)" :
		"451 4.7.1 You have sent as much as you may for now; %s (%s)", e.text, job->id);
	return true;
}

void guard_job(struct engine *g, struct job *job, int next, struct orders *orders)
{
	struct job_event je;
	struct decision d = {.action = ACTION_PASS};
	struct err e;
	int64_t now = clock_wall_usec() / 1000000;
	if (job->env.class != CLASS_SUBMISSION || job->env.user.n == 0) {
		(void)pass(job, next);
		return;
	}
	if (over_limit(g, job, now))
		return;
	if (job_event_make(&je, job, g->history, g->cfg, &e) == 0)
		engine_judge(&d, g, &je.ev);
	else
		LOG(EV_fault, job->id, F_ERR(&e));
	job_event_free(&je);
	if (d.action != ACTION_PASS)
		log_decision(EV_skim, job->id, &d);
	if (d.changed)
		orders_user(orders, g, d.user, g->clock);
	if (act(job, &d, next))
		sendlimit_passed(g, job->env.user, slice_str(job->id), job->env.rcpts, now);
}

struct keeping {
	struct engine *g;
	struct orders orders;
	struct skimdb_writer *writer;
	int64_t due;
};

static void keep(struct keeping *k)
{
	if (!k->writer || clock_msec() < k->due)
		return;
	skimdb_prune(k->g, k->g->clock);
	skimdb_writer_tick(k->writer, k->g);
	k->due = deadline_in(history_changed(k->g->history) ? MORE_MSEC : KEEP_MSEC);
}

/* One job, if one is there.  0, or E_EOF: told to stop. */
static int serve(struct engine *g, const struct guard_ports *ports, struct orders *orders)
{
	struct job job;
	struct err e;
	int rc = job_receive(&job, ports->in, deadline_in(0), &e);
	if (rc == 0) {
		guard_job(g, &job, ports->next, orders);
		job_close(&job);
		return 0;
	}
	if (rc == E_PEER)
		LOG(EV_bad_job, NULL, F_ERR(&e));
	else if (rc == E_SYS)
		LOG(EV_fault, NULL, F_ERR(&e)), poll(NULL, 0, 100);
	return rc == E_EOF ? E_EOF : 0;
}

/* A user was changed by something else than a message. */
static void changed(void *arg, struct user *u, const struct decision *d)
{
	struct keeping *k = arg;
	if (!d || d->changed)
		orders_user(&k->orders, k->g, u, k->g->clock);
	if (d && d->action != ACTION_PASS)
		log_decision(EV_skim_login, NULL, d);
}

static bool one_round(struct keeping *k, const struct guard_ports *ports, int (*reload)(struct engine *g))
{
	struct pollfd p[] = {{ports->in, POLLIN, 0}, {program_lifeline(), POLLIN, 0}, {ports->command, POLLIN, 0}, {ports->feed, POLLIN, 0}};
	bool waits = k->orders.due || (k->writer && history_changed(k->g->history));
	if (poll(p, sizeof p / sizeof *p, waits ? TICK_MSEC : -1) < 0)
		return true;
	if (p[1].revents && reload(k->g) == E_EOF)
		return false;
	if (p[2].revents)
		commands_serve(k->g, ports->respond >= 0, ports->command, changed, k);
	/* before the message: what is told of its user came before it */
	if (p[3].revents)
		feed_take(k->g, ports->feed, changed, k);
	if (p[0].revents && serve(k->g, ports, &k->orders) == E_EOF)
		return false;
	keep(k);
	orders_tick(&k->orders, k->g, clock_wall_usec() / 1000000);
	return true;
}

int guard_run(struct engine *g, const struct guard_ports *ports, struct skimdb_writer *writer, int (*reload)(struct engine *g))
{
	struct keeping k = {.g = g, .orders = {.sock = ports->respond}, .writer = writer};
	orders_all(&k.orders, g, clock_wall_usec() / 1000000);
	while (!program_stopping() && one_round(&k, ports, reload))
		;
	if (writer && !skimdb_writer_stop(writer, g, STOP_MSEC))
		LOG(EV_skim_memory, NULL, F_STR("error", "not all of the last changes could be kept"));
	return 0;
}
