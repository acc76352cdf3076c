/* The session: waits for a command, checks it against the table, calls its handler, until something ends it.
 *
 * Runs in a process of its own, forked by smtpd.c, chrooted to an empty folder, with the sockets of its edges and nothing else.
 * The client is hostile until proven otherwise; the door's facts (handover.h) are believed.  RFC 5321, 2920, 3207, 2034, 3463. */
#include "smtpd-outside/session.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "lib/io.h"
#include "lib/log.h"

enum { NO_ARGUMENT = 1, LAST_OF_GROUP = 2, JUNK = 4 };
#define STARTED (STATE_IDLE | STATE_MAIL | STATE_RCPT | STATE_BDAT)
#define ANY (STATE_NEW | STARTED)

static const struct row {
	void (*handler)(struct session *s);
	unsigned states, flags;
} table[VERB_COUNT] = {
	[VERB_EHLO] = {session_ehlo, ANY, LAST_OF_GROUP | JUNK},
	[VERB_HELO] = {session_ehlo, ANY, LAST_OF_GROUP | JUNK},
	[VERB_MAIL] = {session_mail, STATE_IDLE, 0},
	[VERB_RCPT] = {session_rcpt_to, STATE_MAIL | STATE_RCPT, 0},
	[VERB_DATA] = {session_data, STATE_MAIL | STATE_RCPT, NO_ARGUMENT | LAST_OF_GROUP},
	[VERB_BDAT] = {session_bdat, ANY, 0}, /* out of order too, since its chunk must be read */
	[VERB_RSET] = {session_rset, ANY, NO_ARGUMENT | JUNK},
	[VERB_NOOP] = {session_noop, ANY, JUNK},
	[VERB_VRFY] = {session_vrfy, ANY, JUNK},
	[VERB_EXPN] = {session_expn, ANY, JUNK},
	[VERB_HELP] = {session_help, ANY, JUNK},
	[VERB_QUIT] = {session_quit, ANY, NO_ARGUMENT},
	[VERB_STARTTLS] = {session_starttls, STATE_IDLE | STATE_NEW, NO_ARGUMENT | LAST_OF_GROUP},
	[VERB_AUTH] = {session_auth, STATE_IDLE, LAST_OF_GROUP},
	[VERB_FOREIGN] = {session_foreign, ANY, 0},
	[VERB_UNKNOWN] = {session_unknown, ANY, 0},
};

void session_reply(struct session *s, enum reply which, struct slice detail)
{
	struct buf b = session_room(&s->io);
	reply_line(&b, which, detail, reply_rows[which].code >= 400 ? s->id : "");
	buf_add_str(&b, "\r\n");
	s->io.out_n += b.n;
}

void session_decline(struct session *s, enum reply which, struct slice detail)
{
	session_decline_because(s, which, detail, NULL);
}

void session_decline_because(struct session *s, enum reply which, struct slice detail, const char *reason)
{
	char space[1024];
	struct buf b = BUF_OVER(space);
	reply_line(&b, which, detail, "");
	LOG(EV_smtpd_reject, s->id, F_STR("ip", s->client_ip), F_STR("helo", s->helo), F_SLICE("sender", session_sender(s)),
		F_STR("verb", smtpd_command_name(s->command.verb)), F_SLICE("argument", s->command.argument), F_SLICE("reply", buf_slice(&b)),
		reason ? F_STR("reason", reason) : (struct log_field){0});
	session_reply(s, which, detail);
}

void session_refuse(struct session *s, enum reply which, struct slice detail)
{
	s->errors += reply_rows[which].code >= 500;
	session_decline(s, which, detail);
}

void session_stop(struct session *s, const char *why)
{
	if (!s->why)
		s->why = why;
}

struct slice session_rcpt(const struct session *s, size_t number)
{
	size_t from = number ? s->rcpt[number - 1].orcpt_end : 0;
	return slice_make(s->rcpt_text.p + from, s->rcpt[number].address_end - from);
}

struct slice session_orcpt(const struct session *s, size_t number)
{
	size_t from = s->rcpt[number].address_end;
	return slice_make(s->rcpt_text.p + from, s->rcpt[number].orcpt_end - from);
}

void session_reset(struct session *s)
{
	session_drop_message(s);
	s->id[0] = s->sender[0] = s->envid[0] = s->ret = 0;
	buf_free(&s->rcpt_text);
	s->rcpt_text = BUF_INIT((size_t)RECIPIENTS_MAX * ADDRESS_MAX);
	free(s->rcpt);
	s->rcpt = NULL;
	s->rcpts = s->rcpts_room = s->rcpts_named = 0;
	if (s->holds)
		(void)slots_hold(s->slots, s->slot, 0, 0);
	s->holds = false;
	s->eightbit = s->smtputf8 = s->require_tls = s->refused_any = false;
	if (s->state != STATE_NEW)
		s->state = STATE_IDLE;
}

bool session_hold(struct session *s, int64_t octets)
{
	s->holds = true;
	return slots_hold(s->slots, s->slot, octets + (int64_t)s->rcpt_text.n, s->set.inflightbytes);
}

static void dispatch(struct session *s)
{
	const struct row *row = &table[s->command.verb];
	struct slice name = slice_str(smtpd_command_name(s->command.verb));
	s->auth_argument = s->command.argument;
	if (s->command.verb == VERB_AUTH || (s->submission && s->command.verb == VERB_UNKNOWN))
		s->command.argument = slice_make("", 0); /* may be a password: no refusal logs it */
	s->errors += row->flags & JUNK && ++s->junk > SESSION_JUNK_MAX;
	if (row->flags & NO_ARGUMENT && s->command.argument.n) {
		session_refuse(s, REPLY_no_argument, name);
	} else if (row->flags & LAST_OF_GROUP && session_input_waits(&s->io)) {
		/* what follows was sent without knowing the reply: it may be an attack on whoever stands between, never obey it */
		session_refuse(s, REPLY_pipelining, name);
		session_stop(s, "pipelining");
	} else if (!(row->states & s->state)) {
		session_refuse(s, REPLY_sequence, name);
	} else {
		row->handler(s);
	}
}

void session_line_too_long(struct session *s, enum reply which)
{
	char most[24];
	struct buf b = BUF_OVER(most);
	buf_add_format(&b, "%zu", s->io.line_max);
	session_refuse(s, which, buf_slice(&b));
	if (s->io.in[s->io.start ? s->io.start - 1 : 0] != '\n')
		session_stop(s, "line_too_long");
}

static void line_fault(struct session *s, int fault)
{
	s->command = (struct smtpd_command){.verb = VERB_UNKNOWN};
	if (fault == E_TOO_LONG)
		session_line_too_long(s, REPLY_line_too_long);
	else
		session_refuse(s, REPLY_line_octets, slice_str(""));
}

/* No line came: say why, where anybody still listens. */
void session_no_line(struct session *s, int r)
{
	char space[24];
	struct buf b = BUF_OVER(space);
	bool over = clock_msec() >= s->io.session_end;
	buf_add_format(&b, "%lld", (long long)s->set.timeout_msec / 1000);
	if (r == E_TIMEOUT)
		session_reply(s, over ? REPLY_session_end : REPLY_idle, buf_slice(&b));
	if (r == E_REFUSED)
		session_reply(s, REPLY_stopping, slice_str(""));
	session_stop(s, r == E_REFUSED ? "stopping" : r != E_TIMEOUT ? "disconnect" : over ? "session_end" : "idle");
}

/* Guessing and flooding become slow: the reply waits in its buffer meanwhile. */
static void tarpit(const struct session *s, unsigned errors_before)
{
	bool many = s->command.verb == VERB_RCPT && s->set.tarpitcount && s->rcpts_named > s->set.tarpitcount && !s->user;
	bool wrong = s->errors > errors_before && s->errors > SESSION_TARPIT_ERRORS;
	int64_t msec = s->set.tarpit_msec, left = deadline_left(s->io.session_end);
	if (!many && !wrong)
		return;
	msec = msec < left ? msec : left;
	struct timespec pause = {msec / 1000, msec % 1000 * 1000000};
	while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
		;
}

static void one_command(struct session *s)
{
	struct slice line;
	unsigned errors = s->errors;
	int r = session_line(&s->io, &line, deadline_in(s->set.timeout_msec));
	if (r == E_SYNTAX || r == E_TOO_LONG) {
		line_fault(s, r);
	} else if (r) {
		session_no_line(s, r);
		return;
	} else {
		smtpd_command_parse(&s->command, line);
		dispatch(s);
	}
	s->commands++;
	tarpit(s, errors);
	if (s->errors >= SESSION_ERRORS_MAX && !s->why) {
		session_reply(s, REPLY_too_many_errors, slice_str(""));
		session_stop(s, "errors");
	}
}

static void report(const struct session *s)
{
	const unsigned counts[REPORT_COUNT] = {
		[REPORT_BADRCPT] = s->unknown, [REPORT_ERRORS] = s->errors - s->searches, [REPORT_AUTHFAIL] = s->auth_failures,
		[REPORT_MESSAGES] = s->messages, [REPORT_RECIPIENTS] = s->accepted,
	};
	handover_report(s->token_fd, counts);
}

/* Is the client likely to be in the middle of sending?  Not where it was waiting for us or we for it. */
static bool still_sends(const struct session *s)
{
	static const char *const quiet[] = {"quit", "disconnect", "stopping", "idle", "session_end", "tls"};
	for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++)
		if (!strcmp(s->why, quiet[i]))
			return i > 1 && session_input_waits(&s->io);
	return true;
}

static void begin_session(struct session *s, int64_t begin)
{
	s->io.write_msec = s->set.timeout_msec < SESSION_WRITE_MSEC ? s->set.timeout_msec : SESSION_WRITE_MSEC;
	s->state = STATE_NEW;
	s->rcpt_text = BUF_INIT((size_t)RECIPIENTS_MAX * ADDRESS_MAX);
	s->own = BUF_INIT(QUESTION_MAX);
	s->io.line_max = COMMAND_LINE_MAX;
	s->io.session_end = begin + s->set.session_msec;
	s->io.wait_msec = (long)s->set.timeout_msec;
	if (s->tls_first)
		session_inside_tls(s);
	else
		session_adopt(&s->io, s->io.fd);
	if (!s->why)
		session_reply(s, REPLY_greeting, s->set.rule_greeting[0] ? slice_str(s->set.rule_greeting) : s->set.greeting);
}

void session_run(struct session *s)
{
	int64_t begin = clock_msec();
	begin_session(s, begin);
	while (!s->why)
		one_command(s);
	session_hang_up(&s->io, still_sends(s));
	LOG(EV_smtpd_end, "", F_STR("ip", s->client_ip), F_STR("why", s->why), F_NUM("commands", s->commands), F_NUM("errors", s->errors),
		F_NUM("messages", s->messages), F_NUM("rcpts", s->accepted), F_NUM("octets", s->octets), F_NUM("msec", clock_msec() - begin));
	report(s);
	session_tell_unknown(s);
	session_reset(s);
}
