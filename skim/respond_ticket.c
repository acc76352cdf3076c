/* Tickets: one message, or one run of a program, for each incident and line of control/respond.
 *
 * A message gets its id before it is handed to the queue, and the id is in the journal; when postern-respond was killed before it heard the queue's answer
 * the same message goes out under the same id, which the queue refuses while it has it and which falls onto the same file of a Maildir.  What the text says
 * of users comes from postern-skim and stands in the body alone, or with all but printable ASCII replaced. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/ask.h"
#include "lib/id.h"
#include "lib/job.h"
#include "lib/netstring.h"
#include "lib/program.h"
#include "skim/respond_steps.h"

#define SEND_MSEC 2000
#define ANSWER_MSEC 10000
#define PROGRAM_MSEC 20000
#define TEXT_MAX (64u << 10)

static void add_time(struct buf *b, int64_t when, bool header)
{
	char text[64];
	struct tm tm;
	time_t t = (time_t)when;
	gmtime_r(&t, &tm);
	if (header)
		strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S +0000", &tm);
	else
		strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &tm);
	buf_add_str(b, text);
}

static void add_plain(struct buf *b, const char *text)
{
	for (; *text; text++)
		buf_add_char(b, *text >= 0x20 && *text < 0x7f ? *text : '?');
}

struct steps_text {
	struct buf *b;
	json_t *array;
	int own; /* the ticket's own number */
};

static int step_line(void *arg, const struct step *s)
{
	struct steps_text *t = arg;
	if (s->number != t->own)
		buf_add_format(t->b, "  %s: %s%s%s\n", s->text, step_state_names[s->state], s->note[0] ? ", " : "", s->note);
	return 0;
}

static void add_addresses(struct buf *b, const struct incident *i)
{
	char text[INET6_ADDRSTRLEN];
	for (size_t n = 0; n < i->addresses; n++) {
		ip_text(text, &i->address[n]);
		buf_add_format(b, "%s%s", n ? ", " : "Came from: ", text);
	}
	buf_add_str(b, i->addresses ? "\n" : "");
}

static void notice_text(struct buf *b, const struct doing *d)
{
	buf_add_format(b, "The account %s would have been locked (incident %s), but control/skim allows %ld locks a day (maxlocks),\nand these were used up."
		"  Its mail is held or refused; the steps for locked accounts are not taken, for this and for all that\nfollow today.  If the detection is right:\n\n"
		"  postern skim list             shows who is concerned\n  postern skim show %s   why, in plain words\n\n"
		"If it is not, look at its rules before tomorrow, when locking begins again.\n", d->incident.user, d->incident.code,
		config_number(&d->r->cfg, N_maxlocks), d->incident.code);
}

void ticket_text(struct buf *b, const struct doing *d)
{
	const struct incident *i = &d->incident;
	struct steps_text t = {.b = b, .own = d->step->number};
	struct err e;
	if (d->step->plan.kind == STEP_NOTICE) {
		notice_text(b, d);
		return;
	}
	buf_add_format(b, "The account %s looks stolen and is %s.\n\nWhy: %s\nIncident: %s, since ", i->user, respond_state_names[i->state],
		i->why[0] ? i->why : "not said", i->code);
	add_time(b, i->since, false);
	buf_add_format(b, "\nScore %d, rules %s\n", i->score, i->rules[0] ? i->rules : "none");
	add_addresses(b, i);
	buf_add_str(b, "\nSteps taken when this was written:\n");
	if (journal_steps(&d->r->journal, i->code, step_line, &t, &e) < 0)
		buf_add_str(b, "  (the journal cannot be read)\n");
	buf_add_format(b, "\n  postern skim show %s       what is known now\n  postern skim restore %s    give it all back, once the owner has a new password\n",
		i->code, i->code);
}

static int step_json(void *arg, const struct step *s)
{
	struct steps_text *t = arg;
	if (s->number != t->own)
		json_array_append_new(t->array, json_pack("{s:s s:s s:s}", "step", s->text, "state", step_state_names[s->state], "note", s->note));
	return 0;
}

/* Octets that are not UTF-8 are not passed on. */
static json_t *utf8(const char *text)
{
	json_t *s = json_string(text);
	return s ? s : json_string("?");
}

void ticket_json(struct buf *b, const struct doing *d)
{
	const struct incident *i = &d->incident;
	char text[INET6_ADDRSTRLEN];
	struct steps_text t = {.array = json_array(), .own = d->step->number};
	struct err e;
	json_t *addresses = json_array();
	for (size_t n = 0; n < i->addresses; n++) {
		ip_text(text, &i->address[n]);
		json_array_append_new(addresses, json_string(text));
	}
	(void)!journal_steps(&d->r->journal, i->code, step_json, &t, &e);
	json_t *all = json_pack("{s:o s:s s:s s:I s:i s:s s:o s:o s:o}", "user", utf8(i->user), "code", i->code, "state",
		respond_state_names[i->state], "since", (json_int_t)i->since, "score", i->score, "rules", i->rules, "why", utf8(i->why), "addresses", addresses, "steps", t.array);
	char *out = all ? json_dumps(all, JSON_COMPACT) : NULL;
	buf_add_str(b, out ? out : "{}");
	free(out);
	json_decref(all);
}

/* ---- by mail ---- */

static void add_header(struct buf *b, const struct doing *d, const char *id)
{
	const struct incident *i = &d->incident;
	struct slice me = control_word(d->r->c, C_me);
	buf_add_str(b, "Date: ");
	add_time(b, id_wall_usec(slice_str(id)) / 1000000, true);
	buf_add_format(b, "\nFrom: Postern <%s>\nTo: %.*s\nSubject: [%s] ", d->r->postmaster, SLICE_FMT(d->step->plan.word[0]), i->code);
	if (d->step->plan.kind == STEP_NOTICE)
		buf_add_str(b, "no account is locked any more today");
	else
		buf_add_str(b, "account "), add_plain(b, i->user), buf_add_format(b, " %s", respond_state_names[i->state]);
	buf_add_format(b, "\nMessage-ID: <%s.%s@%.*s>\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
		"Content-Transfer-Encoding: 8bit\n\n", i->code, id, SLICE_FMT(me));
}

static int make_job(struct job *job, const struct doing *d, const char *id, struct slice header, struct slice body, struct err *e)
{
	struct recipient to = {.address = d->step->plan.word[0]};
	struct envelope env = {.id = slice_str(id), .class = CLASS_BOUNCE, .wall_usec = id_wall_usec(slice_str(id)), .eightbit = true, .rcpt = &to, .rcpts = 1};
	memcpy(job->id, id, ID_LEN + 1);
	content_borrow(&job->body, body);
	return job_make_head(job, &env, &header, 1, e);
}

static int give(struct job *job, int queue_sock, struct err *e)
{
	char text[ANSWER_MAX + 1];
	int mine, code = 0, rc = answer_pair(&mine, &job->reply_fd, e);
	if (rc < 0)
		return rc;
	rc = job_send(queue_sock, job, deadline_in(SEND_MSEC), e);
	close_fd(&job->reply_fd);
	if (rc == 0)
		rc = answer_wait(&code, text, mine, deadline_in(ANSWER_MSEC), e);
	close_fd(&mine);
	if (rc < 0)
		return err_set(e, E_TIMEOUT, "the queue takes nothing now");
	return code == 250 ? 0 : err_set(e, E_TIMEOUT, "the queue said %d %.150s", code, text);
}

int take_mail(struct doing *d, struct err *e)
{
	char id[ID_LEN + 1];
	struct buf header = BUF_INIT(TEXT_MAX), body = BUF_INIT(TEXT_MAX);
	struct job job = JOB_INIT;
	struct slice rest = buf_slice(&d->step->saved), old_id, old_text;
	int rc = 0;
	/* saved: id, text; the same to the octet when it is sent again */
	if (netstring_take(&old_id, &rest, ID_LEN) == 0 && netstring_take(&old_text, &rest, TEXT_MAX) == 0 && slice_copy(id, sizeof id, old_id) == 0) {
		buf_add_slice(&body, old_text);
	} else {
		id_make(id);
		ticket_text(&body, d);
		netstring_add_str(&d->step->saved, id);
		netstring_add(&d->step->saved, buf_slice(&body));
		rc = doing_begin(d, e);
	}
	add_header(&header, d, id);
	if (rc == 0)
		rc = header.overflow || body.overflow ? err_set(e, E_PEER, "the message is too long") : make_job(&job, d, id, buf_slice(&header), buf_slice(&body), e);
	if (rc == 0)
		rc = give(&job, d->r->queue_sock, e);
	if (rc == 0)
		doing_note(d, "sent to %.*s as %s", SLICE_FMT(slice_upto(d->step->plan.word[0], 100)), id);
	job_close(&job);
	buf_free(&header);
	buf_free(&body);
	return rc;
}

/* ---- by a program: postern-hook runs it ---- */

static int program_result(struct doing *d, struct slice answer, struct err *e)
{
	struct slice text;
	long long code;
	if (netstring_take_number(&code, &answer, 0, 255) < 0 || netstring_take(&text, &answer, JOURNAL_NOTE_MAX) < 0)
		return err_set(e, E_TIMEOUT, "postern-hook answered nonsense");
	if (code == 0)
		doing_note(d, "exit 0%s%.*s", text.n ? ": " : "", SLICE_FMT(slice_upto(text, 200)));
	else
		err_set(e, code == 100 ? E_PEER : E_TIMEOUT, "exit %lld%s%.*s", code, text.n ? ": " : "", SLICE_FMT(slice_upto(text, 200)));
	return code == 0 ? 0 : code == 100 ? E_PEER : E_TIMEOUT;
}

int take_program(struct doing *d, struct err *e)
{
	struct buf question = BUF_INIT(QUESTION_MAX), json = BUF_INIT(TEXT_MAX / 2), answer = BUF_INIT(QUESTION_MAX);
	if (d->r->hook_sock < 0)
		return err_set(e, E_TIMEOUT, "no control/respond names this program any more; put the line back, or restore");
	int rc = d->resumed ? 0 : doing_begin(d, e);
	ticket_json(&json, d);
	netstring_add(&question, d->step->plan.text);
	netstring_add(&question, buf_slice(&json));
	if (rc == 0)
		rc = question.overflow || json.overflow ? err_set(e, E_PEER, "the incident is too long for a program") :
			ask(&answer, d->r->hook_sock, buf_slice(&question), deadline_in(PROGRAM_MSEC), e);
	if (rc == 0)
		rc = program_result(d, buf_slice(&answer), e);
	else if (rc != E_PEER)
		rc = err_set(e, E_TIMEOUT, "the program did not end in time");
	buf_free(&question);
	buf_free(&json);
	buf_free(&answer);
	return rc;
}

int leave_ticket(struct doing *d, struct err *e)
{
	(void)e;
	doing_note(d, "what was sent stays sent");
	return 1;
}
