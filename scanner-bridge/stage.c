/* One job through the scan stage: see stage.h.  Runs as postern-scan.  The cheapest scanner comes first, and none is asked once the
 * message will not be passed on.  The message is hostile and is only carried here: its MIME structure is the worker's business. */
#include "scanner-bridge/stage.h"
#include "lib/program.h"
#include "scanner-bridge/clamd.h"
#include "scanner-bridge/quarantine_note.h"
#include "skim/feed.h"

#include <stdio.h>
#include <stdlib.h>

#define NEXT_MSEC 60000 /* longest wait for room in the next stage */

/* One message on its way through. */
struct scan {
	const struct stage *s;
	struct job *job;
	struct facts facts;
	struct decision decision;
	int64_t begun, deadline;
	struct buf answer;          /* the worker's; .facts.in borrows */
	char return_path[ADDRESS_MAX + 32];
};

static size_t message_octets(const struct job *j)
{
	return j->header.n + j->body.octets;
}

static void failed(struct scan *m, const char *engine, const char *why)
{
	bool spamd = strcmp(engine, "spamd") == 0;
	*(spamd ? &m->facts.spam_unchecked : &m->facts.virus_unchecked) = true;
	facts_add(&m->facts, VIRUS_ERROR, slice_str(why));
	LOG(EV_scan_error, m->job->id, F_STR("engine", engine), F_STR("error", why));
}

static int ask_worker(struct scan *m, struct err *e)
{
	struct job *j = m->job;
	struct buf q = BUF_INIT(200);
	int fds[] = {content_file(&j->head, e), content_file(&j->body, e)}, reply, rc;
	if (fds[0] < 0 || fds[1] < 0)
		return E_SYS;
	inspect_question(&q, slice_str(j->id), (size_t)(j->header.p - j->head.p));
	rc = ask_send(&reply, m->s->worker, buf_slice(&q), fds, 2, m->deadline, e);
	buf_free(&q);
	if (rc == 0)
		rc = ask_read(&m->answer, NULL, NULL, &reply, m->deadline, e);
	if (rc == E_EOF)
		return err_set(e, E_EOF, "the scan worker died over this message");
	return rc < 0 ? rc : inspect_decode(&m->facts.in, buf_slice(&m->answer), e);
}

static void step_worker(struct scan *m)
{
	struct inspection *in = &m->facts.in;
	char why[INSPECT_TEXT_MAX + 1];
	struct err e;
	if (ask_worker(m, &e) < 0) {
		*in = (struct inspection){.virus = VIRUS_ERROR};
		failed(m, "scanworker", e.text);
		return;
	}
	if (in->virus == VIRUS_FOUND)
		facts_add(&m->facts, in->virus, in->text);
	snprintf(why, sizeof why, "%.*s", SLICE_FMT(in->virus == VIRUS_ERROR ? in->text : in->incomplete));
	if (in->virus == VIRUS_ERROR || in->incomplete.n)
		failed(m, in->virus == VIRUS_ERROR ? "embedded" : "mime", why);
}

/* The message as scanners get it: a first line that tells them where it comes from, header, body.  False: no memory. */
static bool pieces(struct scan *m, struct slice piece[3])
{
	struct job *j = m->job;
	if (content_look(&j->body, NULL) < 0)
		return false;
	snprintf(m->return_path, sizeof m->return_path, "Return-Path: <%.*s>\n", SLICE_FMT(slice_upto(j->env.sender, ADDRESS_MAX)));
	piece[0] = slice_str(m->return_path);
	piece[1] = j->header;
	piece[2] = content_slice(&j->body);
	return true;
}

static void step_clamd(struct scan *m)
{
	char text[INSPECT_TEXT_MAX + 1] = "no memory for the message";
	struct slice piece[3];
	enum virus_verdict v = VIRUS_ERROR;
	if (message_octets(m->job) > m->s->scan_octets)
		snprintf(text, sizeof text, "message of %zu octets is over scanbytes", message_octets(m->job));
	else if (pieces(m, piece))
		v = clamd_scan(&m->s->clamd, piece, 3, text, m->deadline);
	if (v == VIRUS_ERROR)
		failed(m, "clamd", text);
	else
		facts_add(&m->facts, v, slice_str(text));
}

static void step_spamd(struct scan *m)
{
	struct slice piece[3];
	struct err e;
	if (message_octets(m->job) > m->s->spam_octets)
		return;
	if (!pieces(m, piece)) {
		failed(m, "spamd", "no memory for the message");
		return;
	}
	if (spamd_check(&m->facts.spam, &m->s->spamd, piece, 3, m->deadline, &e) < 0)
		failed(m, "spamd", e.text);
	else
		m->facts.spam_checked = true;
}

static bool wants_worker(const struct stage *s)
{
	(void)s; /* MIME structure and names are looked at in every message */
	return true;
}

static bool wants_clamd(const struct stage *s)
{
	return s->clamd.count > 0;
}

static bool wants_spamd(const struct stage *s)
{
	return s->spamd.count > 0;
}

/* Cheapest first. */
static const struct {
	void (*run)(struct scan *m);
	bool (*wanted)(const struct stage *s);
} steps[] = {
	{step_worker, wants_worker}, /* 0.1 to 2 ms */
	{step_clamd, wants_clamd},   /* 1 to 3 ms */
	{step_spamd, wants_spamd},   /* 70 to 300 ms */
};

static void log_scan(const struct scan *m)
{
	const struct facts *f = &m->facts;
	struct buf malformed = BUF_INIT(200), score = BUF_INIT(32);
	malformed_text(&malformed, f->in.malformed);
	if (f->spam_checked)
		buf_add_format(&score, "%s%lld.%03lld", f->spam.milli < 0 ? "-" : "", llabs(f->spam.milli) / 1000, llabs(f->spam.milli) % 1000);
	LOG(EV_scan, m->job->id, F_STR("action", action_names[m->decision.action]), F_STR("cause", cause_names[m->decision.cause]),
		F_NUM("line", m->decision.line), F_STR("virus", f->virus), F_SLICE("spam", buf_slice(&score)), F_STR("tests", f->spam.tests),
		F_SLICE("banned", f->in.banned_count ? f->in.banned[0].pattern : (struct slice){0}),
		F_SLICE("name", f->in.banned_count ? f->in.banned[0].name : (struct slice){0}),
		F_SLICE("malformed", buf_slice(&malformed)), F_NUM("octets", message_octets(m->job)), F_NUM("msec", clock_msec() - m->begun));
	buf_free(&malformed);
	buf_free(&score);
}

/* The line that tells the quarantine why; nothing in B for what is passed on. */
static void put_note(struct buf *b, const struct scan *m)
{
	struct quarantine_note note = {.cause = m->decision.cause, .malware = m->facts.virus[0], .scored = m->facts.spam_checked,
		.milli = m->facts.spam.milli};
	struct buf reason = BUF_INIT(NOTE_REASON_MAX);
	if (m->decision.action != ACTION_QUARANTINE)
		return;
	verdict_reason(&reason, &m->decision, &m->facts);
	(void)!slice_copy(note.reason, sizeof note.reason, buf_slice(&reason));
	quarantine_note_add(b, &note);
	buf_free(&reason);
}

static int put_stamps(struct scan *m, struct err *e)
{
	struct stamp_names ours = {.spam = scanners_spamd(&m->s->scanners)};
	struct buf b = BUF_INIT(HEADER_MAX), note = BUF_INIT(HEADER_MAX);
	int rc = 0;
	bool stamped = stamp_header(&b, m->job->header, ours, &m->s->policy, &m->facts);
	put_note(&note, m);
	if (stamped || note.n) {
		struct slice piece[2] = {buf_slice(&note), stamped ? buf_slice(&b) : m->job->header};
		rc = b.overflow ? err_set(e, E_TOO_LONG, "the header is too long") : job_replace_head(m->job, &m->job->env, piece, 2, e);
	}
	buf_free(&b);
	buf_free(&note);
	return rc;
}

static void pass_on(struct scan *m)
{
	struct err e;
	int rc = put_stamps(m, &e);
	if (rc == 0)
		rc = job_send(m->decision.action == ACTION_QUARANTINE ? m->s->quarantine : m->s->next, m->job, deadline_in(NEXT_MSEC), &e);
	if (rc == 0)
		return;
	LOG(EV_fault, m->job->id, F_ERR(&e));
	if (rc == E_TOO_LONG)
		job_answer(m->job, "552 5.3.4 header too long (%s)", m->job->id);
	else
		job_answer(m->job, "451 4.3.0 temporary failure, try again later (%s)", m->job->id);
}

static void finish(struct scan *m)
{
	buf_free(&m->answer);
}

/* A user's own mail with a virus, or called spam, speaks of a stolen account.  Banned names do not: people send programs. */
static void tell_skim(const struct scan *m)
{
	const struct envelope *env = &m->job->env;
	bool spam = m->decision.cause == CAUSE_SPAM && m->decision.action >= ACTION_TAG;
	if (env->class == CLASS_SUBMISSION && env->user.n && (m->facts.virus[0] || spam))
		feed_send(m->s->skim, &(struct feed){.kind = FEED_BAD, .user = env->user, .count = 1});
}

void stage_handle(const struct stage *s, struct job *job)
{
	struct scan m = {.s = s, .job = job, .begun = clock_msec(), .deadline = deadline_in(s->msec)};
	char text[512];
	m.answer = BUF_INIT(QUESTION_MAX);
	m.decision = decide(&s->policy, &m.facts);
	for (size_t i = 0; i < sizeof steps / sizeof *steps && m.decision.action < ACTION_TEMPFAIL; i++) {
		if (steps[i].wanted(s))
			steps[i].run(&m);
		m.decision = decide(&s->policy, &m.facts);
	}
	log_scan(&m);
	tell_skim(&m);
	if (m.decision.action < ACTION_TEMPFAIL) {
		pass_on(&m);
	} else {
		verdict_answer(text, &m.decision, &m.facts, job->id);
		job_answer(job, "%s", text);
	}
	finish(&m);
}
