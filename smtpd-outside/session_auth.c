/* AUTH on the ports of submission: who may send from here to everywhere.  RFC 4954, RFC 6409 4.3; RFC 4422 for what SASL asks of both sides.
 *
 * Passwords come inside TLS alone, are seen by this process and postern-directory, never logged, and wiped once they were asked about.
 * What the directory does not know for sure is 454, never a refusal. */
#include "smtpd-outside/session.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "directory/query.h"
#include "lib/addrlist.h"
#include "lib/header.h"
#include "lib/io.h"
#include "lib/log.h"
#include "skim/feed.h"
#include "smtpd-outside/auth.h"

#define DIRECTORY_MSEC 60000  /* more than the directory's own patience, control/ldaptimeout */
#define FAILURES_MAX 3u
#define FAILURE_MSEC 1000     /* wait before the answer to the first wrong password; doubled for each further one */
#define WIPE_OCTETS (2 * AUTH_LINE_MAX)

static const struct slice none = {"", 0};

bool session_offers_auth(const struct session *s)
{
	return s->submission && s->tls[0] && !s->user;
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

static void check(struct session *s, const struct auth *a)
{
	char text[DIRECTORY_TEXT_MAX] = "";
	struct directory_entry entry;
	struct buf space = BUF_INIT(QUESTION_MAX);
	enum directory_verdict verdict = a->impossible ? DIRECTORY_NO :
		directory_ask_password(&entry, &space, text, s->directory_port, a->user, a->password, slice_str(s->client_ip), deadline_in(DIRECTORY_MSEC));
	switch (verdict) {
	case DIRECTORY_YES:
		logged_in(s, a, &entry);
		break;
	case DIRECTORY_NO:
		failed(s, a, REPLY_auth_failed, a->impossible ? "not a name and password" : text);
		break;
	case DIRECTORY_DISABLED:
		failed(s, a, REPLY_auth_disabled, text);
		break;
	case DIRECTORY_TEMPORARY:
		temporary(s, a, text);
		break;
	}
	buf_free(&space);
}

/* One line of the exchange.  False: the exchange is over, and the client was told. */
static bool exchange(struct session *s, struct auth *a, enum auth_step *step, const char *challenge)
{
	struct slice line;
	session_reply(s, REPLY_auth_challenge, slice_str(challenge));
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

static const struct {
	const char *challenge; /* base64 */
	int refusal;           /* or enum reply */
} steps[] = {
	[AUTH_ASK] = {"", -1},
	[AUTH_ASK_USER] = {"VXNlcm5hbWU6", -1},
	[AUTH_ASK_PASSWORD] = {"UGFzc3dvcmQ6", -1},
	[AUTH_CHECK] = {NULL, -1},
	[AUTH_CANCELLED] = {NULL, REPLY_auth_cancelled},
	[AUTH_SYNTAX] = {NULL, REPLY_auth_syntax},
	[AUTH_MECHANISM] = {NULL, REPLY_auth_mechanism},
	[AUTH_BASE64] = {NULL, REPLY_auth_base64},
};

static void run(struct session *s, struct auth *a)
{
	enum auth_step step = auth_begin(a, s->auth_argument);
	while (steps[step].challenge)
		if (!exchange(s, a, &step, steps[step].challenge))
			return;
	if (step == AUTH_CHECK)
		check(s, a);
	else
		session_refuse(s, (enum reply)steps[step].refusal, none);
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
		run(s, &a);
	auth_wipe(&a);
	wipe_input(&s->io);
}
