/* MAIL: who sends.  RFC 5321 4.1.1.2, 4.5.1 (postmaster); RFC 1870 6.1; RFC 3461 4, 6531 3.4, 8689 4; RFC 9422 4.1. */
#include "smtpd-outside/session.h"

#include <stdio.h>

#include "lib/space.h"

static const struct slice none = {"", 0};

void session_refuse_path(struct session *s, enum path_fault fault)
{
	bool mail = s->command.verb == VERB_MAIL;
	if (fault == PATH_NO_KEYWORD)
		session_refuse(s, mail ? REPLY_mail_syntax : REPLY_rcpt_syntax, none);
	else if (fault == PATH_PARAMETER)
		session_refuse(s, REPLY_parameter, none);
	else if (fault == PATH_UNKNOWN)
		session_refuse(s, REPLY_parameter_unknown, none);
	else if (fault == PATH_WIDE)
		session_refuse(s, REPLY_wide, none);
	else
		session_refuse(s, mail ? REPLY_sender_syntax : REPLY_recipient_syntax, none);
}

static void refuse_size(struct session *s)
{
	char text[24];
	snprintf(text, sizeof text, "%lld", s->set.databytes);
	session_decline(s, REPLY_too_large, slice_str(text));
}

void session_complete(struct session *s, struct addr *a)
{
	struct ip ip;
	struct slice literal = a->domain, home = control_home(s->set.control);
	bool postmaster = slice_case_eq_str(a->local, "postmaster");
	if (a->local.n && !a->domain.n)
		*a = (struct addr){slice_str("postmaster"), home};
	else if (postmaster && slice_case_eq(a->domain, s->set.me))
		a->domain = home;
	if (literal.n < 2 || literal.p[0] != '[')
		return;
	literal = slice_upto(slice_from(literal, 1), literal.n - 2);
	if (slice_case_starts(literal, "IPv6:"))
		literal = slice_from(literal, 5);
	if (!ip_parse(&ip, literal) && !memcmp(&ip, &s->local_ip, sizeof ip))
		a->domain = home;
}

/* What EHLO did not offer here. */
static bool not_offered(const struct session *s, const struct smtpd_path *path)
{
	return (path->auth && !s->submission) || (path->require_tls && !s->tls[0]);
}

static void begin_transaction(struct session *s, const struct smtpd_path *path)
{
	id_make(s->id);
	s->eightbit = path->eightbit;
	s->smtputf8 = path->smtputf8;
	s->require_tls = path->require_tls;
	s->ret = path->ret;
	if (slice_copy(s->envid, sizeof s->envid, path->envid))
		s->envid[0] = 0; /* its length and octets were checked */
	s->sender_domain = 0;
	s->state = STATE_MAIL;
	s->mails++;
	session_reply(s, REPLY_mail_ok, none);
}

static void take_sender(struct session *s, struct smtpd_path *path)
{
	char space[ADDRESS_MAX];
	struct buf b = BUF_OVER(space);
	enum owns owned = OWNS_YES;
	if (path->addr.local.n) {
		session_complete(s, &path->addr);
		addr_canonical(&b, &path->addr);
	}
	if (path->size > s->set.databytes)
		refuse_size(s);
	else if (slice_copy(s->sender, sizeof s->sender, b.overflow ? slice_make("", 1) : buf_slice(&b)))
		session_refuse_path(s, PATH_TOO_LONG);
	else if (s->user && s->set.refuse_others && s->sender[0] && (owned = session_owns(s, session_sender(s))) != OWNS_YES)
		session_refuse(s, owned == OWNS_NO ? REPLY_sender_not_yours : REPLY_sender_unknown, session_sender(s));
	else
		begin_transaction(s, path);
}

void session_mail(struct session *s)
{
	struct smtpd_path path;
	enum path_fault fault = smtpd_path_parse(&path, VERB_MAIL, s->command.argument, false);
	if (fault == PATH_OK && not_offered(s, &path))
		fault = PATH_UNKNOWN;
	if (s->set.force_tls && !s->tls[0]) {
		session_refuse(s, REPLY_tls_needed, none);
	} else if (s->submission && !s->user && !s->set.relay) {
		session_refuse(s, s->tls[0] ? REPLY_auth_needed : REPLY_auth_needed_tls, none);
	} else if (fault != PATH_OK) {
		session_refuse_path(s, fault);
	} else if ((long long)s->mails >= s->set.maxmessages) {
		session_decline(s, REPLY_too_many_messages, none);
		session_stop(s, "messages");
	} else if (allowance_spent(&s->set.messages, s->mails)) {
		session_decline(s, REPLY_rate, slice_str(s->set.messages.text));
	} else if (space_full(s->space)) {
		session_decline(s, REPLY_no_space, none);
	} else {
		take_sender(s, &path);
	}
}
