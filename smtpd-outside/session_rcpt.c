/* RCPT: who may receive.  The one place that decides whether mail is relayed.  RFC 5321 4.1.1.3, 4.5.1 (postmaster); RFC 3461 4, 6531 3.4, 8689 4.
 *
 * The order of the questions: lists of what is refused, the name in HELO, the sender's domain, the recipient's, control/validrcptto.cdb and the directory.
 * Whoever guessed at too many addresses gets one answer to all further ones, without a question. */
#include "smtpd-outside/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "directory/query.h"
#include "lib/io.h"
#include "lib/log.h"
#include "smtpd-outside/helo.h"

#define HOLD_OCTETS (16 * 1024) /* of recipients' texts: the steps of the count of octets in flight */

static const struct slice none = {"", 0};

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

/* May ADDED octets of text come to the recipients?  A thousand addresses with ORCPT are a MiB, in each of thousands of sessions. */
static bool may_hold(struct session *s, size_t added)
{
	size_t before = s->rcpt_text.n;
	return (before + added) / HOLD_OCTETS == before / HOLD_OCTETS || session_hold(s, HOLD_OCTETS);
}

static void accept_recipient(struct session *s, struct slice address)
{
	struct session_recipient r = {0};
	if (grow(s) && may_hold(s, address.n + s->path.orcpt.n)) {
		buf_add_slice(&s->rcpt_text, address);
		r.address_end = (uint32_t)s->rcpt_text.n;
		buf_add_slice(&s->rcpt_text, s->path.orcpt);
		r.orcpt_end = (uint32_t)s->rcpt_text.n;
		memcpy(r.notify, s->path.notify, sizeof r.notify);
	}
	if (!r.address_end || s->rcpt_text.overflow) {
		session_decline(s, REPLY_storage, none);
		return;
	}
	if (s->set.log_recipients)
		LOG(EV_smtpd_recipient, s->id, F_SLICE("rcpt", address));
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

/* Its client tries again; REASON is for the postmaster. */
static void postpone_recipient(struct session *s, struct slice address, const char *reason)
{
	s->refused_any = true;
	session_decline_because(s, REPLY_directory, address, reason);
}

/* A list with some dead addresses is not an attack; more unknown than known ones are a search for addresses. */
static void unknown_recipient(struct session *s, struct slice address)
{
	bool searches = ++s->unknown > s->accepted;
	s->searches += searches;
	s->errors += searches;
	if (searches && !s->set.relay && s->set.brtlimit && s->unknown > s->set.brtlimit)
		s->harvest = true;
	refuse_recipient(s, s->harvest ? REPLY_harvest : REPLY_unknown_recipient, address);
}

/* What validrcptto.cdb says of a recipient that is not relayed by right; without the file all are listed. */
static enum listed listed(const struct session *s, struct slice address)
{
	return s->set.valid->present && !s->set.relay ? validrcptto_find(s->set.valid, address) : LISTED_YES;
}

static void local_recipient(struct session *s, struct slice address)
{
	char text[DIRECTORY_TEXT_MAX];
	enum listed in_table = listed(s, address);
	if (in_table == LISTED_REFUSED) {
		unknown_recipient(s, address);
		return;
	}
	switch (directory_ask_recipient(text, s->directory_port, address, deadline_in(DIRECTORY_ASK_MSEC))) {
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
	/* the queue keeps it until the directory is back */
	if (s->set.valid->present && in_table == LISTED_YES)
		accept_recipient(s, address);
	else
		postpone_recipient(s, address, text);
}

static bool is_postmaster(struct slice address)
{
	return slice_case_starts(address, "postmaster@");
}

static void relayed_recipient(struct session *s, struct slice address)
{
	enum listed in_table = is_postmaster(address) ? LISTED_YES : listed(s, address);
	if (in_table == LISTED_YES)
		accept_recipient(s, address);
	else if (in_table == LISTED_FAULT)
		postpone_recipient(s, address, "validrcptto.cdb is damaged");
	else
		unknown_recipient(s, address);
}

static void foreign_recipient(struct session *s, struct buf *address)
{
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

/* What is asked of one pair of lists: the first is for everybody, the second (norelay) for those who may not relay. */
static bool on_lists(struct session *s, const char *name, const struct badlist *all, const struct badlist *outsiders, badlist_question *find, struct slice what)
{
	struct slice line;
	char list[32];
	bool bad = find(all, what, &line), norelay = !bad && !s->set.relay && find(outsiders, what, &line);
	if (!bad && !norelay)
		return false;
	snprintf(list, sizeof list, "%s%s", name, norelay ? "norelay" : "");
	LOG(EV_smtpd_listed, s->id, F_STR("list", list), F_SLICE("line", line));
	return true;
}

/* Postmaster of a domain of ours hears everybody (RFC 5321 4.5.1), so whoever is listed by mistake can say so. */
static bool refused_by_list(struct session *s, struct slice address)
{
	const struct smtpd_lists *l = s->set.lists;
	enum reply why = REPLY_COUNT;
	if (!s->set.nobadhelo && !s->user && on_lists(s, "badhelo", &l->helo, &l->helo_norelay, badlist_host, slice_str(s->helo)))
		why = REPLY_bad_helo;
	else if (on_lists(s, "badmailfrom", &l->sender, &l->sender_norelay, badlist_address, session_sender(s)))
		why = REPLY_bad_sender;
	else if (on_lists(s, "badrcptto", &l->rcpt, &l->rcpt_norelay, badlist_address, address))
		why = REPLY_bad_recipient;
	if (why == REPLY_COUNT)
		return false;
	s->errors++;
	refuse_recipient(s, why, address);
	return true;
}

/* The name in HELO is one that no other site's mail server says. */
static bool refused_by_helo(struct session *s)
{
	struct ip client;
	if (!s->set.helocheck || s->set.relay || ip_parse(&client, slice_str(s->client_ip)) < 0)
		return false;
	const char *fault = helo_fault(slice_str(s->helo), &client, &s->local_ip, s->set.control);
	if (!fault)
		return false;
	s->errors++;
	refuse_recipient(s, REPLY_odd_helo, slice_str(fault));
	return true;
}

static bool refused_by_sender_domain(struct session *s)
{
	enum reply why = session_sender_refusal(s);
	if (why == REPLY_COUNT)
		return false;
	s->errors += reply_rows[why].code >= 500;
	refuse_recipient(s, why, addr_domain_of(session_sender(s)));
	return true;
}

static void decide(struct session *s, struct buf *address)
{
	enum smtpd_domain domain = smtpd_settings_domain(&s->set, addr_domain_of(buf_slice(address)));
	bool postmaster = domain != DOMAIN_FOREIGN && is_postmaster(buf_slice(address));
	if (!postmaster && (refused_by_list(s, buf_slice(address)) || refused_by_helo(s) || refused_by_sender_domain(s)))
		return;
	/* mail with REQUIRETLS stays here: nothing behind the queue could promise it yet */
	if (s->require_tls && domain != DOMAIN_LOCAL && (domain == DOMAIN_RELAYED || s->set.relay)) {
		refuse_recipient(s, REPLY_require_tls, buf_slice(address));
		return;
	}
	if (s->harvest && !postmaster && domain != DOMAIN_FOREIGN) {
		s->errors++;
		refuse_recipient(s, REPLY_harvest, buf_slice(address));
	} else if (domain == DOMAIN_LOCAL) {
		local_recipient(s, buf_slice(address));
	} else if (domain == DOMAIN_RELAYED) {
		relayed_recipient(s, buf_slice(address));
	} else {
		foreign_recipient(s, address);
	}
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
		session_refuse_path(s, fault);
		return;
	}
	s->rcpts_named++;
	if ((long long)s->rcpts >= s->set.maxrcpt) {
		s->errors += s->rcpts_named > 2 * s->set.maxrcpt; /* it does not look at our answers */
		session_decline(s, REPLY_too_many_recipients, none);
		return;
	}
	if (allowance_spent(&s->set.recipients, s->accepted)) {
		session_decline(s, REPLY_rate, slice_str(s->set.recipients.text));
		return;
	}
	session_complete(s, &s->path.addr);
	addr_canonical(&b, &s->path.addr);
	decide(s, &b);
}
