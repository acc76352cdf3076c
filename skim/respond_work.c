/* The order of things: what is written down before and after each act, and what is done again after a failure or a crash.  See respond_journal.h for the states.
 *
 *	take: look what is there ─▶ begun, with what was found (synced) ─▶ change it ─▶ done (synced)
 *	undo: undoing (synced)  ─▶ put back what still is as the step left it ─▶ undone or left (synced)
 *
 * Killed between any two of them, the step is in begun or undoing and is looked at again; each act is such that doing it again changes nothing.  A step that
 * fails is tried again with growing pauses while the others go on; while no LDAP server answers, LDAP steps wait together. */
#include <stdarg.h>
#include <stdio.h>

#include "lib/program.h"
#include "skim/respond_steps.h"

#define PAUSE_FIRST_SEC 5
#define PAUSE_MOST_SEC 1800
#define LDAP_PAUSE_FIRST_MSEC 1000
#define LDAP_PAUSE_MOST_MSEC 60000

const struct step_acts step_acts[STEP_KINDS] = {
	[STEP_GROUPS_REMOVE] = {take_groups_remove, undo_groups_remove},
	[STEP_GROUP_ADD] = {take_group_add, undo_group_add},
	[STEP_PASSWORD] = {take_password, undo_password},
	[STEP_ACCOUNTSTATUS] = {take_accountstatus, undo_accountstatus},
	[STEP_BLOCK] = {take_block, undo_block},
	[STEP_NFTABLES] = {take_nftables, undo_nftables},
	[STEP_TICKET_MAIL] = {take_mail, leave_ticket},
	[STEP_TICKET_PROGRAM] = {take_program, leave_ticket},
	[STEP_NOTICE] = {take_mail, leave_ticket},
};

static int64_t now_sec(void)
{
	return clock_wall_usec() / 1000000;
}

void doing_note(struct doing *d, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	vsnprintf(d->step->note, sizeof d->step->note, format, ap);
	va_end(ap);
}

int doing_begin(struct doing *d, struct err *e)
{
	d->step->state = STEP_BEGUN;
	return journal_put(&d->r->journal, d->step, now_sec(), e);
}

static void log_step(const struct doing *d, const char *result, bool undo)
{
	LOG(undo ? EV_respond_undo : EV_respond_step, NULL, F_STR("user", d->incident.user), F_STR("code", d->incident.code), F_STR("step", d->step->text),
		F_STR("result", result), F_STR("note", d->step->note));
}

static void note_error(struct doing *d, const struct err *e)
{
	doing_note(d, "%.*s", JOURNAL_NOTE_MAX, e->text);
}

/* Not now: when again? */
static void postpone(struct doing *d, int rc, const struct err *e)
{
	int64_t pause = PAUSE_FIRST_SEC;
	for (int i = 0; i < d->step->tries && pause < PAUSE_MOST_SEC; i++)
		pause *= 2;
	d->step->tries++;
	d->step->next = now_sec() + (pause < PAUSE_MOST_SEC ? pause : PAUSE_MOST_SEC);
	note_error(d, e);
	if (rc != E_TIMEOUT || !plan_writes_ldap(d->step->plan.kind) || d->r->ldap.ld)
		return;
	/* the servers are away: all LDAP steps wait for them, and this one goes on as soon as they are back */
	pause = LDAP_PAUSE_FIRST_MSEC;
	for (int i = 0; i < d->r->ldap_failures && pause < LDAP_PAUSE_MOST_MSEC; i++)
		pause *= 2;
	if (d->r->ldap_failures++ == 0)
		LOG(EV_respond_ldap, NULL, F_ERR(e));
	d->r->ldap_again = deadline_in(pause < LDAP_PAUSE_MOST_MSEC ? pause : LDAP_PAUSE_MOST_MSEC);
	d->step->next = now_sec();
}

/* Write it down; what cannot be is the same as not having been done: it is looked at again. */
static void put(struct doing *d)
{
	struct err e;
	if (journal_put(&d->r->journal, d->step, now_sec(), &e) < 0)
		LOG(EV_fault, NULL, F_ERR(&e));
}

static void take(struct doing *d)
{
	struct err e = {0};
	struct step *s = d->step;
	d->resumed = s->state == STEP_BEGUN;
	int rc = s->plan.kind == STEP_KINDS ? err_set(&e, E_NOT_FOUND, "this version knows no such step") : step_acts[s->plan.kind].take(d, &e);
	if (rc == 0 || rc == E_NOT_FOUND || rc == E_PEER) {
		if (rc < 0)
			note_error(d, &e);
		s->state = rc == 0 ? STEP_DONE : STEP_REFUSED;
		s->next = 0;
	} else {
		postpone(d, rc, &e);
	}
	if (rc == 0 && plan_writes_ldap(s->plan.kind))
		d->r->ldap_failures = 0;
	put(d);
	log_step(d, rc == 0 ? "done" : s->state == STEP_REFUSED ? "refused" : "later", false);
}

static void undo(struct doing *d)
{
	struct err e = {0};
	struct step *s = d->step;
	int rc = s->plan.kind == STEP_KINDS ? 1 : step_acts[s->plan.kind].undo(d, &e);
	if (rc >= 0)
		s->state = rc == 0 ? STEP_UNDONE : STEP_LEFT, s->next = 0;
	else
		postpone(d, rc, &e);
	put(d);
	log_step(d, rc == 0 ? "undone" : rc > 0 ? "left" : "later", true);
}

static int one(struct responder *r, struct step *s, struct err *e)
{
	struct doing d = {.r = r, .step = s};
	int rc = journal_incident(&r->journal, &d.incident, s->code, e);
	if (rc == 0 && s->state == STEP_UNDOING)
		undo(&d);
	else if (rc == 0)
		take(&d);
	return rc;
}

bool work_one(struct responder *r)
{
	static struct step s;
	struct err e;
	int rc = journal_due(&r->journal, &s, now_sec(), clock_msec() < r->ldap_again, &e);
	if (rc == E_NOT_FOUND)
		return false;
	if (rc == 0)
		rc = one(r, &s, &e);
	step_free(&s);
	if (rc < 0)
		LOG(EV_fault, NULL, F_ERR(&e));
	return rc == 0;
}

int64_t work_next(struct responder *r)
{
	int64_t when, next = deadline_in(60000);
	struct err e;
	if (journal_next(&r->journal, &when, &e) < 0 || when == INT64_MAX)
		return next;
	int64_t left = (when - now_sec()) * 1000, due = deadline_in(left > 0 ? left : 0);
	if (due < r->ldap_again)
		due = r->ldap_again < next ? r->ldap_again : next; /* others that are due before are few: they wait a moment */
	return due < next ? due : next;
}

int work_order(struct responder *r, struct slice text, struct err *e)
{
	struct respond_order o;
	struct budget budget = {config_number(&r->cfg, N_maxlocks), r->postmaster};
	int rc = respond_order_decode(&o, text, e);
	if (rc < 0)
		return rc;
	rc = journal_order(&r->journal, &o, &r->plan, &budget, now_sec(), e);
	if (rc == 1)
		LOG(EV_respond_order, NULL, F_SLICE("user", o.user), F_SLICE("code", o.code), F_STR("state", respond_state_names[o.state]), F_SLICE("rules", o.rules),
			F_NUM("addresses", o.addresses));
	return rc < 0 ? rc : 0;
}

/* Steps to be undone, the last first; steps of a plan are few. */
struct undoing {
	int number[PLAN_STEPS_MAX * 4];
	size_t n;
};

static int note_undoing(void *arg, const struct step *s)
{
	struct undoing *u = arg;
	if (s->state == STEP_UNDOING && u->n < sizeof u->number / sizeof *u->number)
		u->number[u->n++] = s->number;
	return 0;
}

struct picking {
	struct step *out;
	int number;
};

static int pick(void *arg, const struct step *s)
{
	struct picking *p = arg;
	if (s->number != p->number)
		return 0;
	struct err e;
	*p->out = *s;
	p->out->saved = BUF_INIT(JOURNAL_SAVED_MAX);
	buf_add_slice(&p->out->saved, buf_slice(&s->saved));
	(void)!plan_step_parse(&p->out->plan, slice_str(p->out->text), &e); /* its slices are of the copy */
	return 1;
}

int work_restore(struct responder *r, const char *code, struct err *e)
{
	static struct step s;
	struct undoing u = {.n = 0};
	int rc = journal_restore(&r->journal, code, now_sec(), e);
	r->ldap_again = 0; /* somebody waits */
	if (rc == 0)
		rc = journal_steps(&r->journal, code, note_undoing, &u, e);
	while (rc == 0 && u.n > 0) {
		struct picking p = {&s, u.number[--u.n]};
		rc = journal_steps(&r->journal, code, pick, &p, e);
		if (rc == 1 && (!plan_writes_ldap(s.plan.kind) || clock_msec() >= r->ldap_again))
			rc = one(r, &s, e);
		if (rc >= 0)
			step_free(&s);
		rc = rc == 1 ? 0 : rc;
	}
	return rc;
}

void work_tend(struct responder *r)
{
	struct err e;
	if (journal_tend(&r->journal, now_sec(), &e) < 0)
		LOG(EV_fault, NULL, F_ERR(&e));
}
