/* AUTH on the ports of submission: who may send from here to everywhere.  RFC 4954, RFC 6409 4.3; RFC 4422 for what SASL asks of both sides.
 *
 * Passwords come inside TLS alone, are seen by this process and postern-directory, never logged, and wiped once they were asked about.  Of
 * SCRAM-SHA-256 this process sees what the client sends and the salt, never a stored key.
 * What the directory does not know for sure is 454, never a refusal. */
#include "smtpd-outside/session.h"

#include <errno.h>
#include <time.h>

#include "directory/query.h"
#include "lib/base64.h"
#include "lib/io.h"
#include "lib/log.h"
#include "skim/feed.h"
#include "smtpd-outside/auth.h"

#define FAILURES_MAX 3u
#define FAILURE_MSEC 1000     /* wait before the answer to the first wrong password; doubled for each further one */
#define WIPE_OCTETS (2 * AUTH_LINE_MAX)
_Static_assert(DIRECTORY_SERVER_FIRST_MAX / 3 * 4 + 16 <= SESSION_REPLY_OCTETS, "the longest challenge is a reply");

static const struct slice none = {"", 0};

bool session_offers_auth(const struct session *s)
{
	return s->submission && s->tls[0] && !s->user && session_mechanisms(s);
}

unsigned session_mechanisms(const struct session *s)
{
	return s->tls_exporter[0] ? s->set.mechanisms : s->set.mechanisms & ~(unsigned)AUTH_SCRAM_PLUS;
}

static void slow_down(unsigned failures)
{
	long msec = FAILURE_MSEC << (failures - 1);
	struct timespec left = {msec / 1000, msec % 1000 * 1000000};
	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

static void failed(struct session *s, const struct auth *a, enum reply which, const char *reason)
{
	s->auth_failures++;
	LOG(EV_smtpd_login_failed, "", F_STR("ip", s->client_ip), F_SLICE("user", slice_upto(a->user, AUTH_USER_MAX)), F_STR("mechanism", a->mechanism),
		F_STR("reason", reason), F_NUM("failures", s->auth_failures));
	slow_down(s->auth_failures);
	if (s->auth_failures < FAILURES_MAX) {
		session_refuse(s, which, none);
		return;
	}
	session_decline(s, REPLY_auth_too_many, none);
	session_stop(s, "auth");
}

static void temporary(struct session *s, const struct auth *a, const char *reason)
{
	LOG(EV_smtpd_login_failed, "", F_STR("ip", s->client_ip), F_SLICE("user", slice_upto(a->user, AUTH_USER_MAX)), F_STR("mechanism", a->mechanism),
		F_STR("reason", reason), F_NUM("failures", s->auth_failures));
	s->errors++; /* so that even this has an end */
	session_decline(s, REPLY_auth_temporary, none);
}

/* The addresses that the account may call its own, one a line. */
static bool remember(struct session *s, const struct directory_entry *entry)
{
	char user[AUTH_USER_MAX + 1];
	if (!slice_printable(entry->uid) || !entry->uid.n || slice_copy(user, sizeof user, entry->uid) < 0)
		return false;
	buf_add_slice(&s->own, entry->mail);
	buf_add_char(&s->own, '\n');
	for (size_t i = 0; i < entry->alternate_count; i++) {
		buf_add_slice(&s->own, entry->alternates[i]);
		buf_add_char(&s->own, '\n');
	}
	s->user = s->own.overflow ? NULL : strdup(user);
	return s->user;
}

static void logged_in(struct session *s, const struct auth *a, const struct directory_entry *entry)
{
	if (!remember(s, entry)) {
		temporary(s, a, "the account's name or its addresses cannot be used");
		return;
	}
	s->set.relay = true;
	s->set.relay_suffix[0] = 0;
	LOG(EV_smtpd_login, "", F_STR("ip", s->client_ip), F_STR("user", s->user), F_STR("mechanism", a->mechanism));
	session_reply(s, REPLY_auth_ok, none);
}

void session_tell_unknown(struct session *s)
{
	if (!s->user || s->unknown == s->unknown_told)
		return;
	feed_send(s->skim_port, &(struct feed){.kind = FEED_REFUSED, .user = slice_str(s->user), .count = s->unknown - s->unknown_told});
	s->unknown_told = s->unknown;
}

/* What the directory found, in the space that the entry borrows from. */
struct finding {
	struct directory_entry entry;
	struct buf space;
	char text[DIRECTORY_TEXT_MAX];
};

/* Anything but YES is said to the client. */
static bool is_yes(struct session *s, const struct auth *a, enum directory_verdict verdict, const char *text)
{
	if (verdict == DIRECTORY_NO)
		failed(s, a, REPLY_auth_failed, text);
	else if (verdict == DIRECTORY_DISABLED)
		failed(s, a, REPLY_auth_disabled, text);
	else if (verdict == DIRECTORY_TEMPORARY)
		temporary(s, a, text);
	return verdict == DIRECTORY_YES;
}

static void check(struct session *s, const struct auth *a, struct finding *f)
{
	if (a->impossible)
		failed(s, a, REPLY_auth_failed, a->impossible);
	else if (is_yes(s, a, directory_ask_password(&f->entry, &f->space, f->text, s->directory_port, a->user, a->password, slice_str(s->client_ip),
		deadline_in(DIRECTORY_ASK_MSEC)), f->text))
		logged_in(s, a, &f->entry);
}

/* Longer than what a reply may quote. */
static void say_challenge(struct session *s, struct slice challenge)
{
	struct buf b = session_room(&s->io);
	reply_line(&b, REPLY_auth_challenge, none, "");
	base64_encode(&b, challenge);
	buf_add_str(&b, "\r\n");
	s->io.out_n += b.n;
}

/* One line of the exchange.  False: the exchange is over, and the client was told. */
static bool exchange(struct session *s, struct auth *a, enum auth_step *step)
{
	struct slice line;
	say_challenge(s, a->challenge);
	int r = session_line(&s->io, &line, deadline_in(s->set.timeout_msec));
	if (r == 0)
		*step = auth_line(a, line);
	else if (r == E_SYNTAX)
		*step = AUTH_BASE64;
	else if (r == E_TOO_LONG)
		session_line_too_long(s, REPLY_auth_line);
	else
		session_no_line(s, r);
	return r == 0 || r == E_SYNTAX;
}

static bool salt(struct session *s, struct auth *a, enum auth_step *step, struct finding *f)
{
	if (!is_yes(s, a, directory_ask_salt(&a->salt, f->text, s->directory_port, a->user, a->first.nonce, slice_str(s->client_ip),
		deadline_in(DIRECTORY_ASK_MSEC)), f->text))
		return false;
	*step = auth_salted(a);
	return true;
}

static bool prove(struct session *s, struct auth *a, enum auth_step *step, struct finding *f)
{
	struct directory_proof proof = {.user = a->user, .client_ip = slice_str(s->client_ip), .salt = &a->salt, .bare = a->first.bare,
		.without_proof = a->final.without_proof, .proof = slice_make(a->final.proof, sizeof a->final.proof)};
	if (!is_yes(s, a, directory_ask_proof(&f->entry, &f->space, f->text, s->directory_port, &proof, deadline_in(DIRECTORY_ASK_MSEC)), f->text))
		return false;
	*step = auth_proved(a, f->text);
	return true;
}

/* The exchange up to its end.  False: it broke off, and the client was told. */
static bool run(struct session *s, struct auth *a, enum auth_step *step, struct finding *f)
{
	bool on = true;
	while (on && *step < AUTH_CHECK)
		on = *step == AUTH_ASK ? exchange(s, a, step) : *step == AUTH_SALT ? salt(s, a, step, f) : prove(s, a, step, f);
	return on;
}

static void log_in(struct session *s, struct auth *a)
{
	static const enum reply refusals[] = {
		[AUTH_CANCELLED] = REPLY_auth_cancelled, [AUTH_SYNTAX] = REPLY_auth_syntax, [AUTH_MECHANISM] = REPLY_auth_mechanism, [AUTH_BASE64] = REPLY_auth_base64,
	};
	a->exporter = slice_str(s->tls_exporter);
	struct finding f = {.space = BUF_INIT(QUESTION_MAX), .text = ""};
	enum auth_step step = auth_begin(a, session_mechanisms(s), s->auth_argument);
	bool whole = run(s, a, &step, &f);
	if (whole && step == AUTH_CHECK)
		check(s, a, &f);
	else if (whole && step == AUTH_CONFIRMED)
		logged_in(s, a, &f.entry);
	else if (whole)
		session_refuse(s, refusals[step], none);
	buf_free(&f.space);
}

/* What was read and what a move left behind it: a line and what is read at once are no longer than that. */
static void wipe_input(struct session_io *io)
{
	explicit_bzero(io->in, io->start);
	if (io->end < WIPE_OCTETS)
		explicit_bzero(io->in + io->end, WIPE_OCTETS - io->end);
}

void session_auth(struct session *s)
{
	static struct auth a; /* large: its pages are touched by those who log in */
	if (!s->submission)
		session_refuse(s, REPLY_auth_not_here, none);
	else if (!s->tls[0])
		session_refuse(s, REPLY_auth_tls, none);
	else if (s->user)
		session_refuse(s, REPLY_auth_again, none);
	else
		log_in(s, &a);
	auth_wipe(&a);
	wipe_input(&s->io);
}
