/* The commands around the mail: EHLO, HELO, STARTTLS, NOOP, VRFY, EXPN, HELP, RSET, QUIT and what is no command.
 * RFC 5321 4.1.1.1, RFC 1869 and the keywords' own RFCs: 1870, 2034, 2920, 3030, 3207, 3461, 4954, 6152, 6531, 8689, 9422; RFC 8314 3.3 for TLS at once. */
#include "smtpd-outside/session.h"

#include <stdio.h>

#include "lib/io.h"
#include "lib/log.h"
#include "smtpd-outside/auth.h"

#define TLS_MSEC 30000 /* for the handshake; or timeoutsmtpd, where that is less */

static const struct slice none = {"", 0};

static bool offers_tls(const struct session *s)
{
	return s->set.tls && !s->tls[0];
}

static void keyword(struct buf *b, const char *text)
{
	buf_add_format(b, "250-%s\r\n", text);
}

/* REQUIRETLS is offered inside TLS alone: RFC 8689 4. */
static void ehlo_reply(struct session *s)
{
	struct buf b = session_room(&s->io);
	buf_add_format(&b, "250-%.*s\r\n", SLICE_FMT(s->set.me));
	if (offers_tls(s))
		keyword(&b, "STARTTLS");
	if (s->tls[0])
		keyword(&b, "REQUIRETLS");
	if (session_offers_auth(s)) {
		buf_add_str(&b, "250-AUTH");
		auth_mechanisms_list(&b, session_mechanisms(s));
		buf_add_str(&b, "\r\n");
	}
	keyword(&b, "PIPELINING");
	keyword(&b, "8BITMIME");
	keyword(&b, "SMTPUTF8");
	keyword(&b, "CHUNKING");
	keyword(&b, "DSN");
	keyword(&b, "ENHANCEDSTATUSCODES");
	buf_add_format(&b, "250-LIMITS MAILMAX=%lld RCPTMAX=%lld\r\n", s->set.maxmessages, s->set.maxrcpt);
	buf_add_format(&b, "250 SIZE %lld\r\n", s->set.databytes);
	s->io.out_n += b.n;
}

void session_ehlo(struct session *s)
{
	bool esmtp = s->command.verb == VERB_EHLO;
	if (!smtpd_helo_valid(s->command.argument)) {
		session_refuse(s, REPLY_helo_name, slice_str(smtpd_command_name(s->command.verb)));
		return;
	}
	s->state = STATE_IDLE;
	session_reset(s);
	s->esmtp = esmtp;
	if (slice_copy(s->helo, sizeof s->helo, s->command.argument))
		s->helo[0] = 0;
	if (esmtp) {
		ehlo_reply(s);
		return;
	}
	session_write(&s->io, slice_str("250 "));
	session_write(&s->io, s->set.me);
	session_write(&s->io, slice_str("\r\n"));
}

void session_noop(struct session *s)
{
	session_reply(s, REPLY_ok, none);
}

void session_help(struct session *s)
{
	session_reply(s, REPLY_help, none);
}

/* RFC 6531 3.7.4.2: what is asked about may be UTF-8 only with SMTPUTF8 behind it. */
void session_vrfy(struct session *s)
{
	struct slice rest = s->command.argument, word, last = {"", 0};
	while (slice_word(&word, &rest))
		last = word;
	if (!s->command.argument.n)
		session_refuse(s, REPLY_vrfy_nothing, none);
	else if (!slice_printable(s->command.argument) && !slice_case_eq_str(last, "SMTPUTF8"))
		session_refuse(s, REPLY_wide, none);
	else
		session_reply(s, REPLY_vrfy, none);
}

void session_expn(struct session *s)
{
	session_refuse(s, REPLY_expn, none);
}

void session_rset(struct session *s)
{
	session_reset(s);
	session_reply(s, REPLY_ok, none);
}

void session_quit(struct session *s)
{
	session_reply(s, REPLY_bye, none);
	session_stop(s, "quit");
}

void session_foreign(struct session *s)
{
	session_decline(s, REPLY_foreign, none);
	session_stop(s, "foreign");
}

void session_unknown(struct session *s)
{
	session_refuse(s, REPLY_unknown, none);
}

/* From here on the clear-text socket is closed: the clear octets of TLS are all that can come (RFC 3207 4.2: begin anew). */
static void begin_anew(struct session *s, int clear_fd, const struct tls_facts *facts)
{
	close_fd(&s->io.fd);
	session_adopt(&s->io, clear_fd);
	s->io.start = s->io.end = 0;
	snprintf(s->tls, sizeof s->tls, "%s %s", facts->version, facts->cipher);
	memcpy(s->tls_exporter, facts->exporter, sizeof s->tls_exporter);
	s->state = STATE_NEW;
	session_reset(s);
	s->helo[0] = 0;
	if (s->submission)
		s->io.line_max = AUTH_LINE_MAX;
	LOG(EV_smtpd_tls, "", F_STR("ip", s->client_ip), F_STR("tls", s->tls), F_STR("sni", facts->sni), F_NUM("resumed", facts->resumed));
}

void session_inside_tls(struct session *s)
{
	struct err e;
	struct tls_facts facts;
	int clear_fd = -1;
	int64_t msec = s->set.timeout_msec < TLS_MSEC ? s->set.timeout_msec : TLS_MSEC;
	if (tls_start(&clear_fd, &facts, s->tls_port, s->io.fd, deadline_in(msec), &e) == 0) {
		begin_anew(s, clear_fd, &facts);
		return;
	}
	/* nothing in clear text may follow a 220 to STARTTLS: the connection ends */
	LOG(EV_smtpd_reject, "", F_STR("ip", s->client_ip), F_STR("helo", s->helo), F_STR("verb", "STARTTLS"), F_STR("reply", e.text));
	s->io.dead = true;
	session_stop(s, "tls");
}

void session_starttls(struct session *s)
{
	if (!offers_tls(s)) {
		session_refuse(s, REPLY_no_tls, none);
		return;
	}
	session_reply(s, REPLY_starttls, none);
	session_flush(&s->io);
	session_inside_tls(s);
}
