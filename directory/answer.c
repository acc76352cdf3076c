/* Questions to answers: see answer.h.
 *
 * Runs in postern-directory.  Questions come from programs that read the network and may have been taken over: names and
 * passwords in them are any octets.  What cannot be found out is DIRECTORY_TEMPORARY.  Stored passwords never leave, and no
 * password is logged. */
#include "directory/answer.h"

#include <stdio.h>
#include <stdlib.h>

#include "directory/candidates.h"
#include "directory/guesses.h"
#include "fixup/rules.h"
#include "lib/addr.h"
#include "lib/fields.h"
#include "lib/log.h"
#include "lib/program.h"
#include "skim/feed.h"
#include "smtpd-outside/rates.h"

#define LOGIN_MAX 512

enum verb { VERB_RCPT, VERB_ROUTE, VERB_AUTH };

/* What postern-skim is told of a checked password, beside the outcome. */
struct told {
	bool exists, shut;
	char ip[FEED_TEXT_MAX + 1], class[33];
	char user[ADDRESS_MAX + 1]; /* the account's uid; of nobody: what was given */
};

struct request {
	struct lookup lookup;    /* first: .done gets it back */
	struct check check;
	struct question question;
	enum verb verb;
	struct candidates keys;
	size_t at;               /* the key being looked up */
	struct buf login;        /* auth: the key */
	struct buf answer;       /* auth: what YES will say */
	struct told told;        /* auth: what skim is told */
};

static const struct control *control;
static const struct backend *backend;
static struct rules rules; /* fixup's, so that an old address is found before the message is rewritten */
static struct guesses *guesses;
static size_t waiting;

int answer_start(const struct control *c, const struct backend *b, struct err *e)
{
	struct rate_limit limit;
	control = c;
	backend = b;
	if (rate_parse(&limit, control_word(c, C_authfailsperaccount), e) < 0)
		return control_fault(e, c, C_authfailsperaccount, 1, "%s", e->text);
	guesses = guesses_make(limit.most, limit.sec);
	return guesses ? rules_read(&rules, c, e) : err_sys(e, "memory for wrong passwords");
}

size_t answer_waiting(void)
{
	return waiting;
}

static void end(struct request *r, struct slice answer)
{
	question_answer(&r->question, answer, NULL, 0);
	explicit_bzero(&r->check, sizeof r->check);
	buf_free(&r->login);
	buf_free(&r->answer);
	free(r);
	waiting--;
}

static void end_with(struct request *r, enum directory_verdict verdict, const char *text, const struct directory_entry *entry)
{
	struct buf b = BUF_INIT(QUESTION_MAX);
	directory_encode(&b, verdict, text, r->verb == VERB_RCPT ? NULL : entry);
	if (b.overflow) {
		buf_reset(&b);
		directory_encode(&b, DIRECTORY_TEMPORARY, "this entry is too large for an answer", NULL);
	}
	end(r, buf_slice(&b));
	buf_free(&b);
}

static void look_up_next(struct request *r)
{
	r->lookup.key = r->keys.key[r->at];
	backend->lookup(&r->lookup);
}

/* control/postmaster as an entry that forwards. */
static void end_postmaster(struct request *r)
{
	struct directory_entry e = {.uid_number = -1, .gid_number = -1, .forward = true, .forward_count = 1};
	struct slice to = control_word(control, C_postmaster);
	struct buf address = BUF_INIT(ADDRESS_MAX);
	buf_add_slice(&address, to);
	if (slice_find(to, '@') == to.n) {
		buf_add_char(&address, '@');
		buf_add_slice(&address, control_home(control));
	}
	e.forwards[0] = buf_slice(&address);
	end_with(r, DIRECTORY_YES, "", &e);
	buf_free(&address);
}

static bool is_postmaster(const struct request *r)
{
	return slice_starts(r->keys.key[0], "postmaster@") && control_present(control, C_postmaster);
}

static void address_done(struct lookup *l, const struct found *f)
{
	struct request *r = (struct request *)l;
	if (f->exists || f->verdict == DIRECTORY_TEMPORARY)
		end_with(r, f->verdict, f->text, f->entry);
	else if (r->at == 0 && is_postmaster(r))
		end_postmaster(r);
	else if (++r->at < r->keys.count)
		look_up_next(r);
	else
		end_with(r, DIRECTORY_NO, "no mailbox here by that name", NULL);
}

static bool domain_is_local(struct slice domain)
{
	if (!control_present(control, C_locals))
		return slice_case_eq(domain, control_word(control, C_me));
	return control_has_domain(control, C_locals, domain);
}

static int add_rewritten(struct buf *key, const struct addr *a)
{
	struct rewrite w;
	int rc = rules_apply(&w, &rules, a);
	if (rc >= 0)
		addr_lookup_key(key, &(struct addr){w.local, w.domain});
	return rc < 0 ? rc : 0;
}

/* <postmaster> (RFC 5321 4.5.1), and postmaster of this host where that is no mail domain: bounces of bounces go there. */
static bool is_site_postmaster(struct slice address)
{
	struct slice me = control_word(control, C_me);
	if (slice_case_eq_str(address, "postmaster"))
		return true;
	return slice_case_starts(address, "postmaster@") && slice_case_eq(addr_domain_of(address), me) && !domain_is_local(me);
}

/* The key of ADDRESS as fixup would rewrite it.  0, or E_SYNTAX: it is none. */
static int make_key(struct buf *key, struct slice address)
{
	struct addr parsed = {slice_str("postmaster"), control_home(control)};
	int rc = is_site_postmaster(address) ? 0 : addr_parse_mailbox(&parsed, address, true);
	if (rc == 0)
		rc = add_rewritten(key, &parsed);
	return rc < 0 || key->overflow || slice_find(buf_slice(key), '@') == key->n ? E_SYNTAX : 0;
}

static void start_address(struct request *r, struct slice address)
{
	struct buf key = BUF_INIT(ADDRESS_MAX);
	if (make_key(&key, address) < 0)
		end_with(r, DIRECTORY_NO, "not an address", NULL);
	else if (!domain_is_local(addr_domain_of(buf_slice(&key))))
		end_with(r, DIRECTORY_NO, "not a domain of this site", NULL);
	else {
		candidates_make(&r->keys, buf_slice(&key));
		r->lookup.kind = LOOKUP_ADDRESS;
		r->lookup.done = address_done;
		look_up_next(r);
	}
	buf_free(&key);
}

/* The right password of an account that may not log in is no login. */
static void tell_skim(const struct request *r)
{
	const struct told *t = &r->told;
	bool right = r->check.verdict == DIRECTORY_YES && !t->shut;
	if (r->check.verdict == DIRECTORY_YES || r->check.verdict == DIRECTORY_NO)
		feed_send(program_port(PORT_SKIM), &(struct feed){.kind = FEED_LOGIN, .user = slice_str(t->user), .ip = slice_str(t->ip),
			.service = slice_str("submission"), .class = slice_str(t->class), .outcome = right ? FEED_RIGHT : t->exists ? FEED_WRONG : FEED_NOBODY});
}

static void count_guess(const struct request *r)
{
	struct slice user = slice_str(r->told.user), ip = slice_str(r->told.ip);
	if (r->check.verdict == DIRECTORY_NO)
		guesses_wrong(guesses, user, ip, slice_str(r->check.password), clock_msec());
	else if (r->check.verdict == DIRECTORY_YES)
		guesses_right(guesses, user, ip, clock_msec());
}

static void check_done(struct work *w)
{
	struct request *r = (struct request *)((char *)w - offsetof(struct request, check));
	backend->finish_check(&r->check);
	tell_skim(r);
	count_guess(r);
	if (r->check.verdict == DIRECTORY_YES && !r->answer.overflow)
		end(r, buf_slice(&r->answer));
	else if (r->check.verdict == DIRECTORY_NO)
		end_with(r, DIRECTORY_NO, "wrong name or password", NULL);
	else
		end_with(r, DIRECTORY_TEMPORARY, r->check.text[0] ? r->check.text : "this entry is too large for an answer", NULL);
}

/* noaccess: gets mail, may not log in; said only to whoever knows the password, as all that is said about an account. */
static void prepare_yes(struct request *r, const struct directory_entry *entry)
{
	bool shut = slice_eq_str(entry->account_status, "disabled") || slice_eq_str(entry->account_status, "noaccess");
	directory_encode(&r->answer, shut ? DIRECTORY_DISABLED : DIRECTORY_YES, shut ? "this account may not log in" : "", entry);
}

static void note_user(struct request *r, const struct directory_entry *entry)
{
	struct told *t = &r->told;
	t->exists = entry;
	t->shut = entry && (slice_eq_str(entry->account_status, "disabled") || slice_eq_str(entry->account_status, "noaccess"));
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
	end_with(r, DIRECTORY_TEMPORARY, text, NULL);
	return true;
}

static void start_check(struct request *r, const struct found *f)
{
	bool usable = f->exists && f->entry && f->verdict != DIRECTORY_NO && f->verdict != DIRECTORY_TEMPORARY;
	struct found nothing = {.verdict = DIRECTORY_NO, .text = ""};
	if (usable)
		prepare_yes(r, f->entry);
	note_user(r, usable ? f->entry : NULL);
	if (guessed_too_often(r))
		return;
	r->check.work.done = check_done;
	r->check.deadline = r->lookup.deadline;
	backend->prepare_check(&r->check, usable ? f : &nothing);
	if (work_submit(&r->check.work))
		return;
	backend->finish_check(&r->check);
	end_with(r, DIRECTORY_TEMPORARY, "too many passwords are being checked", NULL);
}

/* First as a uid; what has an "@" then as an address of the account (no extensions, no catchall). */
static void login_done(struct lookup *l, const struct found *f)
{
	struct request *r = (struct request *)l;
	struct slice login = buf_slice(&r->login);
	if (f->verdict == DIRECTORY_TEMPORARY) {
		end_with(r, DIRECTORY_TEMPORARY, f->text, NULL);
	} else if (!f->exists && l->kind == LOOKUP_LOGIN && slice_find(login, '@') < login.n) {
		l->kind = LOOKUP_ADDRESS;
		backend->lookup(l);
	} else {
		start_check(r, f);
	}
}

static void start_auth(struct request *r, struct slice user, struct slice password)
{
	account_login_key(&r->login, user);
	if (user.n == 0 || password.n == 0 || r->login.overflow || slice_copy(r->check.password, sizeof r->check.password, password) < 0) {
		end_with(r, DIRECTORY_NO, "wrong name or password", NULL);
		return;
	}
	r->lookup.kind = LOOKUP_LOGIN;
	r->lookup.key = buf_slice(&r->login);
	r->lookup.done = login_done;
	backend->lookup(&r->lookup);
}

static struct request *make_request(struct question *q)
{
	struct request *r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->question = *q;
	r->login = BUF_INIT(LOGIN_MAX);
	r->answer = BUF_INIT(QUESTION_MAX);
	r->lookup.deadline = deadline_in(control_number(control, C_ldaptimeout) * 1000);
	waiting++;
	return r;
}

void answer_question(struct question *q)
{
	struct fields f = {.rest = q->text};
	struct slice verb = fields_take(&f, 5), name = fields_take(&f, QUESTION_MAX), password = {0}, ip = {"", 0};
	bool auth = slice_eq_str(verb, "auth");
	if (auth) {
		password = fields_take(&f, QUESTION_MAX);
		ip = fields_take_text(&f, FEED_TEXT_MAX);
	}
	bool known = auth || slice_eq_str(verb, "rcpt") || slice_eq_str(verb, "route");
	struct request *r = known && fields_done(&f) ? make_request(q) : NULL;
	if (!r) {
		LOG(EV_bad_question, NULL, F_STR("error", known && fields_done(&f) ? "no memory" : "a question that the directory does not know"));
		question_drop(q);
		return;
	}
	(void)!slice_copy(r->told.ip, sizeof r->told.ip, ip);
	r->verb = auth ? VERB_AUTH : slice_eq_str(verb, "rcpt") ? VERB_RCPT : VERB_ROUTE;
	if (auth)
		start_auth(r, name, password);
	else
		start_address(r, name);
}
