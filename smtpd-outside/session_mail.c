/* MAIL and RCPT: who sends, who may receive.  The one place that decides whether mail is relayed.
 * RFC 5321 4.1.1.2, 4.1.1.3, 4.5.1 (postmaster); RFC 1870 6.1; RFC 3461 4, 6531 3.4, 8689 4; RFC 9422 4.1. */
#include "smtpd-outside/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "directory/query.h"
#include "lib/io.h"

#define DIRECTORY_MSEC 45000 /* more than the directory's own patience, control/ldaptimeout */

static const struct slice none = {"", 0};

static void refuse_path(struct session *s, enum path_fault fault)
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

/* <postmaster> is postmaster of this site; [ip] of the socket that the client came to is this host. */
static void complete(struct session *s, struct addr *a)
{
	struct ip ip;
	struct slice literal = a->domain;
	if (a->local.n && !a->domain.n)
		*a = (struct addr){slice_str("postmaster"), control_home(s->set.control)};
	if (literal.n < 2 || literal.p[0] != '[')
		return;
	literal = slice_upto(slice_from(literal, 1), literal.n - 2);
	if (slice_case_starts(literal, "IPv6:"))
		literal = slice_from(literal, 5);
	if (!ip_parse(&ip, literal) && !memcmp(&ip, &s->local_ip, sizeof ip))
		a->domain = s->set.me;
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
	s->state = STATE_MAIL;
	s->mails++;
	session_reply(s, REPLY_mail_ok, none);
}

static void take_sender(struct session *s, struct smtpd_path *path)
{
	char space[ADDRESS_MAX];
	struct buf b = BUF_OVER(space);
	if (path->addr.local.n) {
		complete(s, &path->addr);
		addr_canonical(&b, &path->addr);
	}
	if (path->size > s->set.databytes)
		refuse_size(s);
	else if (slice_copy(s->sender, sizeof s->sender, b.overflow ? slice_make("", 1) : buf_slice(&b)))
		refuse_path(s, PATH_TOO_LONG);
	else
		begin_transaction(s, path);
}

void session_mail(struct session *s)
{
	struct smtpd_path path;
	enum path_fault fault = smtpd_path_parse(&path, VERB_MAIL, s->command.argument, false);
	if (fault == PATH_OK && not_offered(s, &path))
		fault = PATH_UNKNOWN;
	if (s->submission && !s->user && !s->set.relay) {
		session_refuse(s, s->tls[0] ? REPLY_auth_needed : REPLY_auth_needed_tls, none);
	} else if (fault != PATH_OK) {
		refuse_path(s, fault);
	} else if ((long long)s->mails >= s->set.maxmessages) {
		session_decline(s, REPLY_too_many_messages, none);
		session_stop(s, "messages");
	} else {
		take_sender(s, &path);
	}
}

/* Room for one more recipient. */
static bool grow(struct session *s)
{
	if (s->rcpts < s->rcpts_room)
		return true;
	size_t room = s->rcpts_room ? s->rcpts_room * 2 : 16;
	struct session_recipient *rcpt = reallocarray(s->rcpt, room, sizeof *rcpt);
	if (!rcpt)
		return false;
	s->rcpt = rcpt;
	s->rcpts_room = room;
	return true;
}

static void accept_recipient(struct session *s, struct slice address)
{
	struct session_recipient r = {0};
	if (grow(s)) {
		buf_add_slice(&s->rcpt_text, address);
		r.address_end = (uint32_t)s->rcpt_text.n;
		buf_add_slice(&s->rcpt_text, s->path.orcpt);
		r.orcpt_end = (uint32_t)s->rcpt_text.n;
		memcpy(r.notify, s->path.notify, sizeof r.notify);
	}
	if (s->rcpts == s->rcpts_room || s->rcpt_text.overflow) {
		session_decline(s, REPLY_storage, none);
		return;
	}
	s->rcpt[s->rcpts++] = r;
	s->accepted++;
	s->state = STATE_RCPT;
	session_reply(s, REPLY_rcpt_ok, none);
}

static void refuse_recipient(struct session *s, enum reply which, struct slice address)
{
	s->refused_any = true;
	session_decline(s, which, address);
}

/* A list with some dead addresses is not an attack; more unknown than known ones are a search for addresses. */
static void unknown_recipient(struct session *s, struct slice address)
{
	s->errors += ++s->unknown > s->accepted;
	refuse_recipient(s, REPLY_unknown_recipient, address);
}

static void ask_directory(struct session *s, struct slice address)
{
	char text[DIRECTORY_TEXT_MAX];
	switch (directory_ask_recipient(text, s->directory_port, address, deadline_in(DIRECTORY_MSEC))) {
	case DIRECTORY_YES:
		accept_recipient(s, address);
		return;
	case DIRECTORY_NO:
		unknown_recipient(s, address);
		return;
	case DIRECTORY_DISABLED:
		refuse_recipient(s, REPLY_disabled_recipient, address);
		return;
	case DIRECTORY_TEMPORARY:
		break;
	}
	refuse_recipient(s, REPLY_directory, address);
}

static void decide(struct session *s, struct buf *address)
{
	enum smtpd_domain domain = smtpd_settings_domain(&s->set, addr_domain_of(buf_slice(address)));
	/* mail with REQUIRETLS stays here: nothing behind the queue could promise it yet */
	if (s->require_tls && domain != DOMAIN_LOCAL && (domain == DOMAIN_RELAYED || s->set.relay)) {
		refuse_recipient(s, REPLY_require_tls, buf_slice(address));
		return;
	}
	switch (domain) {
	case DOMAIN_LOCAL:
		ask_directory(s, buf_slice(address));
		return;
	case DOMAIN_RELAYED:
		accept_recipient(s, buf_slice(address));
		return;
	case DOMAIN_FOREIGN:
		break;
	}
	if (!s->set.relay) {
		s->errors++;
		refuse_recipient(s, REPLY_relaying, buf_slice(address));
		return;
	}
	buf_add_str(address, s->set.relay_suffix);
	if (address->overflow)
		session_refuse(s, REPLY_recipient_syntax, none);
	else
		accept_recipient(s, buf_slice(address));
}

void session_rcpt_to(struct session *s)
{
	char space[ADDRESS_MAX];
	struct buf b = BUF_OVER(space);
	enum path_fault fault = smtpd_path_parse(&s->path, VERB_RCPT, s->command.argument, s->smtputf8);
	if (fault == PATH_OK && !s->path.addr.local.n)
		fault = PATH_SYNTAX;
	if (fault != PATH_OK) {
		s->refused_any = true;
		refuse_path(s, fault);
		return;
	}
	if ((long long)s->rcpts >= s->set.maxrcpt) {
		session_decline(s, REPLY_too_many_recipients, none);
		return;
	}
	complete(s, &s->path.addr);
	addr_canonical(&b, &s->path.addr);
	decide(s, &b);
}
