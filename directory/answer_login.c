/* Logins to answers: passwords, and the two questions of SCRAM-SHA-256.  See request.h.
 *
 * Runs in postern-directory.  Names, passwords and proofs are any octets, chosen by clients or by a session that was taken over; no more leaves than a
 * verdict, a salt and, to who proved to know the password, the server's signature.  What cannot be found out is DIRECTORY_TEMPORARY. */
#include <stdio.h>
#include <time.h>

#include "directory/guesses.h"
#include "directory/request.h"
#include "directory/scram.h"
#include "lib/addr.h"
#include "lib/log.h"
#include "lib/program.h"
#include "smtpd-outside/auth.h"
#include "smtpd-outside/rates.h"

static const struct backend *backend;
static struct guesses *guesses;
static struct scram_site site;
static unsigned mechanisms; /* that sessions offer */

int login_start(const struct control *c, const struct backend *b, struct err *e)
{
	struct rate_limit limit;
	backend = b;
	if (rate_parse(&limit, control_word(c, C_authfailsperaccount), e) < 0)
		return control_fault(e, c, C_authfailsperaccount, 1, "%s", e->text);
	if (auth_mechanisms_parse(&mechanisms, control_word(c, C_authmechanisms), e) < 0)
		return control_fault(e, c, C_authmechanisms, 1, "%s", e->text);
	if (scram_site_init(&site, control_word(c, C_scramkey), (unsigned)control_number(c, C_scramiterations), e) < 0)
		return control_fault(e, c, C_scramkey, 1, "%s", e->text);
	guesses = guesses_make(limit.most, limit.sec);
	return guesses ? 0 : err_sys(e, "memory for wrong passwords");
}

static bool scram(const struct request *r)
{
	return r->verb == ASKS_SALT || r->verb == ASKS_PROOF;
}

/* The right password of an account that may not log in is no login. */
static void tell_skim(const struct request *r)
{
	const struct told *t = &r->told;
	bool right = r->check.verdict == DIRECTORY_YES && !t->shut;
	if (r->check.verdict == DIRECTORY_YES || r->check.verdict == DIRECTORY_NO)
		feed_send(program_port(PORT_SKIM), &(struct feed){.kind = FEED_LOGIN, .user = slice_str(t->user), .ip = slice_str(t->ip),
			.service = slice_str(scram(r) ? "submission SCRAM-SHA-256" : "submission"), .class = slice_str(t->class), .outcome = right ? FEED_RIGHT : t->exists ? FEED_WRONG : FEED_NOBODY});
}

/* A proof is another one each time, so that the same wrong password counts each time. */
static void count_guess(const struct request *r)
{
	struct slice user = slice_str(r->told.user), ip = slice_str(r->told.ip);
	if (r->check.verdict == DIRECTORY_NO)
		guesses_wrong(guesses, user, ip, scram(r) ? r->asked.field[FIELD_PROOF] : slice_str(r->check.password), clock_msec());
	else if (r->check.verdict == DIRECTORY_YES)
		guesses_right(guesses, user, ip, clock_msec());
}

static void end_judged(struct request *r)
{
	tell_skim(r);
	count_guess(r);
	if (r->check.verdict == DIRECTORY_YES && !r->answer.overflow)
		request_end(r, buf_slice(&r->answer));
	else if (r->check.verdict == DIRECTORY_NO)
		request_end_with(r, DIRECTORY_NO, "wrong name or password", NULL);
	else
		request_end_with(r, DIRECTORY_TEMPORARY, r->check.text[0] ? r->check.text : "this entry is too large for an answer", NULL);
}

static void check_done(struct work *w)
{
	struct request *r = (struct request *)((char *)w - offsetof(struct request, check));
	backend->finish_check(&r->check);
	end_judged(r);
}

/* noaccess: gets mail, may not log in; said only to whoever knows the password, as all that is said about an account. */
static bool is_shut(const struct directory_entry *entry)
{
	return slice_eq_str(entry->account_status, "disabled") || slice_eq_str(entry->account_status, "noaccess");
}

static void prepare_yes(struct request *r, const struct directory_entry *entry, const char *text)
{
	bool shut = is_shut(entry);
	directory_encode(&r->answer, shut ? DIRECTORY_DISABLED : DIRECTORY_YES, shut ? "this account may not log in" : text, entry);
}

static void note_user(struct request *r, const struct directory_entry *entry)
{
	struct told *t = &r->told;
	t->exists = entry;
	t->shut = entry && is_shut(entry);
	(void)!slice_copy(t->user, sizeof t->user, entry && entry->uid.n ? entry->uid : slice_upto(buf_slice(&r->login), ADDRESS_MAX));
	if (entry)
		(void)!slice_copy(t->class, sizeof t->class, slice_str(entry->user_class));
}

/* True: this account is not tried from there for now, and the client was told. */
static bool guessed_too_often(struct request *r)
{
	char text[DIRECTORY_TEXT_MAX];
	int64_t msec = guesses_wait(guesses, slice_str(r->told.user), slice_str(r->told.ip), clock_msec());
	if (!msec)
		return false;
	snprintf(text, sizeof text, "too many wrong passwords for this account from your network; again in %lld s", (long long)(msec + 999) / 1000);
	LOG(EV_directory_guesses, NULL, F_STR("user", r->told.user), F_STR("ip", r->told.ip), F_NUM("seconds", (msec + 999) / 1000));
	request_end_with(r, DIRECTORY_TEMPORARY, text, NULL);
	return true;
}

static bool usable(const struct found *f)
{
	return f->exists && f->entry && f->verdict != DIRECTORY_NO && f->verdict != DIRECTORY_TEMPORARY;
}

static void start_check(struct request *r, const struct found *f)
{
	struct found nothing = {.verdict = DIRECTORY_NO, .text = ""};
	if (usable(f))
		prepare_yes(r, f->entry, "");
	r->check.work.done = check_done;
	r->check.deadline = r->lookup.deadline;
	backend->prepare_check(&r->check, usable(f) ? f : &nothing);
	if (work_submit(&r->check.work))
		return;
	backend->finish_check(&r->check);
	request_end_with(r, DIRECTORY_TEMPORARY, "too many passwords are being checked", NULL);
}

/* ---- SCRAM ---- */

/* The account's secret; SERVER_FIRST, where it has more than one, says which.  False: it has none. */
static bool find_secret(struct scram_secret *s, const struct found *f, struct slice server_first)
{
	struct err e;
	const struct account *a = usable(f) ? f->account : NULL;
	for (size_t i = 0; a && i < a->password_count; i++)
		if (scram_secret_parse(s, a->passwords[i], &e) == 0 && (!server_first.n || scram_says(s, server_first)))
			return true;
	return false;
}

/* For who has no secret, by the name that was given.  With a domain of this site or without one it is the same, since for most who have one it is too. */
static int make_up(struct scram_secret *s, const struct request *r)
{
	struct slice name = buf_slice(&r->login);
	if (answer_domain_is_local(addr_domain_of(name)))
		name = slice_upto(name, slice_rfind(name, '@'));
	return scram_make_up(s, &site, name);
}

static void answer_salt(struct request *r, const struct found *f)
{
	struct slice *field = r->asked.field;
	char space[DIRECTORY_SERVER_FIRST_MAX], ticket[DIRECTORY_TICKET_OCTETS];
	struct buf first = BUF_OVER(space), b = BUF_INIT(QUESTION_MAX);
	struct scram_secret made_up, secret;
	int rc = make_up(&made_up, r); /* for all, so that it takes all the same time */
	bool has = find_secret(&secret, f, slice_make("", 0));
	if (rc == 0)
		rc = scram_server_first(&first, has ? &secret : &made_up, field[FIELD_NONCE]);
	if (rc == 0)
		rc = scram_ticket(ticket, &site, time(NULL), buf_slice(&r->login), field[FIELD_IP], buf_slice(&first));
	if (rc == 0)
		directory_salt_encode(&b, buf_slice(&first), ticket);
	explicit_bzero(&secret, sizeof secret);
	if (rc == 0 && !b.overflow)
		request_end(r, buf_slice(&b));
	else
		request_end_with(r, DIRECTORY_TEMPORARY, "no answer to this nonce can be made", NULL);
	buf_free(&b);
}

/* A made-up secret is compared as a true one is, and never fits. */
static void answer_proof(struct request *r, const struct found *f)
{
	struct slice *field = r->asked.field;
	char final[SCRAM_FINAL_MAX];
	struct scram_secret made_up, secret;
	int rc = make_up(&made_up, r);
	bool has = find_secret(&secret, f, field[FIELD_SERVER_FIRST]);
	if (rc == 0)
		rc = scram_prove(final, has ? &secret : &made_up, field[FIELD_BARE], field[FIELD_SERVER_FIRST], field[FIELD_WITHOUT_PROOF], field[FIELD_PROOF]);
	explicit_bzero(&secret, sizeof secret);
	bool missing = usable(f) && !has;
	struct told told = r->told;
	r->check.verdict = rc == 0 && has ? DIRECTORY_YES : rc == 0 || rc == E_REFUSED ? DIRECTORY_NO : DIRECTORY_TEMPORARY;
	if (r->check.verdict == DIRECTORY_YES)
		prepare_yes(r, f->entry, final);
	end_judged(r);
	if (missing) /* after the answer, which comes no later for it */
		LOG(EV_directory_no_secret, NULL, F_STR("user", told.user));
}

/* The two halves of an exchange fit together, and are not far apart. */
static bool in_time(struct request *r)
{
	struct slice *field = r->asked.field;
	return scram_ticket_valid(field[FIELD_TICKET], &site, time(NULL), buf_slice(&r->login), field[FIELD_IP], field[FIELD_SERVER_FIRST]);
}

/* ---- all of them ---- */

static void account_found(struct request *r, const struct found *f)
{
	if (r->verb == ASKS_SALT) {
		answer_salt(r, f);
		return;
	}
	note_user(r, usable(f) ? f->entry : NULL);
	if (guessed_too_often(r))
		return;
	if (r->verb == ASKS_PROOF)
		answer_proof(r, f);
	else
		start_check(r, f);
}

/* First as a uid; what has an "@" then as an address of the account (no extensions, no catchall). */
static void login_done(struct lookup *l, const struct found *f)
{
	struct request *r = (struct request *)l;
	struct slice login = buf_slice(&r->login);
	if (f->verdict == DIRECTORY_TEMPORARY) {
		request_end_with(r, DIRECTORY_TEMPORARY, f->text, NULL);
	} else if (!f->exists && l->kind == LOOKUP_LOGIN && slice_find(login, '@') < login.n) {
		l->kind = LOOKUP_ADDRESS;
		backend->lookup(l);
	} else {
		account_found(r, f);
	}
}

static void look_up(struct request *r)
{
	r->lookup.kind = LOOKUP_LOGIN;
	r->lookup.key = buf_slice(&r->login);
	r->lookup.passwords = mechanisms & (AUTH_SCRAM | AUTH_SCRAM_PLUS);
	r->lookup.done = login_done;
	backend->lookup(&r->lookup);
}

static void begin_password(struct request *r, struct slice password)
{
	if (!r->login.n || password.n == 0 || r->login.overflow || slice_copy(r->check.password, sizeof r->check.password, password) < 0)
		request_end_with(r, DIRECTORY_NO, "wrong name or password", NULL);
	else
		look_up(r);
}

/* The question is kept as a whole: what comes later borrows from it. */
static void begin_scram(struct request *r, const struct asked *q)
{
	buf_add_slice(&r->text, r->question.text);
	r->question.text = buf_slice(&r->text);
	if (r->text.overflow || r->login.overflow || !r->login.n || directory_question_decode(&r->asked, r->question.text) < 0)
		request_end_with(r, DIRECTORY_TEMPORARY, "a name that is none, or too much of a question", NULL);
	else if (!(mechanisms & (AUTH_SCRAM | AUTH_SCRAM_PLUS)))
		request_end_with(r, DIRECTORY_TEMPORARY, "SCRAM-SHA-256 is not in control/authmechanisms", NULL);
	else if (q->verb == ASKS_PROOF && !in_time(r))
		request_end_with(r, DIRECTORY_TEMPORARY, "the proof came too late, or the directory was started anew meanwhile", NULL);
	else
		look_up(r);
}

void login_begin(struct request *r, const struct asked *q)
{
	account_login_key(&r->login, q->field[FIELD_NAME]);
	(void)!slice_copy(r->told.ip, sizeof r->told.ip, q->field[FIELD_IP]);
	if (q->verb == ASKS_PASSWORD)
		begin_password(r, q->field[FIELD_PASSWORD]);
	else
		begin_scram(r, q);
}
