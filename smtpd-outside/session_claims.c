/* Who sends as whom: the addresses in the envelope and in the From field of what a user submits, against those that are the account's or that
 * control/sendas gives it.  The client chose the addresses; the account's own came with the answer about its password.  RFC 6409 6.1, 8.1. */
#include <stdlib.h>

#include "directory/query.h"
#include "lib/addrlist.h"
#include "lib/header.h"
#include "lib/log.h"
#include "smtpd-outside/session.h"

/* Mail for user+detail reaches the user (postern-directory(5)), so an answer to it may come from there. */
static bool same_user(struct slice own, struct slice local)
{
	size_t plus = slice_find(local, '+');
	return slice_case_eq(own, local) || (plus > 0 && plus < local.n && local.p[0] != '"' && slice_case_eq(own, slice_upto(local, plus)));
}

static bool is_own(const struct session *s, struct slice local, struct slice domain)
{
	struct slice list = buf_slice(&s->own), line;
	while (slice_cut(&line, &list, '\n')) {
		size_t at = slice_rfind(line, '@');
		if (line.n && same_user(slice_upto(line, at), local) && slice_case_eq(slice_from(line, at + 1), domain))
			return true;
	}
	return false;
}

/* An old domain is the new one. */
static struct slice rewritten(const struct session *s, struct slice domain)
{
	const struct map_entry *to = map_find_domain(&s->set.rewritten, domain);
	return to ? map_to(&s->set.rewritten, to) : domain;
}

static bool has_member(const struct session *s, const struct directory_entry *group)
{
	for (size_t i = 0; i < group->forward_count; i++) {
		struct slice member = group->forwards[i];
		size_t at = slice_rfind(member, '@');
		if (is_own(s, slice_upto(member, at), rewritten(s, slice_from(member, at + 1))))
			return true;
	}
	return false;
}

/* Is the account in the group of that line?  An answer stays for the session; that there was none does not. */
static enum owns in_group(struct session *s, size_t line, int64_t deadline)
{
	static struct directory_entry group;
	struct buf space = BUF_INIT(QUESTION_MAX);
	char text[DIRECTORY_TEXT_MAX] = "", *known = s->member ? &s->member[line] : NULL;
	if (!known)
		return OWNS_UNKNOWN; /* no memory */
	if (*known)
		return *known == 'Y' ? OWNS_YES : OWNS_NO;
	enum directory_verdict v = directory_ask_group(&group, &space, text, s->directory_port, s->set.sendas->group[line].group, deadline);
	if (v == DIRECTORY_TEMPORARY)
		LOG(EV_smtpd_group, s->id, F_STR("user", s->user), F_SLICE("group", s->set.sendas->group[line].group), F_STR("error", text));
	else
		*known = v == DIRECTORY_YES && has_member(s, &group) ? 'Y' : 'N';
	buf_free(&space);
	return v == DIRECTORY_TEMPORARY ? OWNS_UNKNOWN : *known == 'Y' ? OWNS_YES : OWNS_NO;
}

/* A group that lets the account is enough, whatever is not known of others. */
static enum owns by_groups(struct session *s, struct slice local, struct slice domain, int64_t deadline)
{
	enum owns o = OWNS_NO;
	size_t at, n = sendas_groups(&at, s->set.sendas, local, domain);
	if (n && !s->member)
		s->member = calloc(s->set.sendas->groups, 1);
	for (size_t i = 0; i < n && o != OWNS_YES; i++) {
		enum owns one = in_group(s, at + i, deadline);
		o = one == OWNS_NO ? o : one;
	}
	return o;
}

static enum owns owns(struct session *s, struct slice local, struct slice domain)
{
	int64_t deadline = deadline_in(DIRECTORY_ASK_MSEC); /* for all groups of this address */
	domain = rewritten(s, domain);
	if (is_own(s, local, domain) || sendas_allows(s->set.sendas, slice_str(s->user), local, domain))
		return OWNS_YES;
	enum owns o = by_groups(s, local, domain, deadline);
	enum owns all = o == OWNS_YES ? o : by_groups(s, slice_make("", 0), domain, deadline);
	return all == OWNS_NO ? o : all;
}

enum owns session_owns(struct session *s, struct slice address)
{
	size_t at = slice_rfind(address, '@');
	return owns(s, slice_upto(address, at), slice_from(address, at + 1));
}

/* OWNS_NO: some address in it is not the account's, or it cannot be read, or has none. */
static enum owns owns_list(struct session *s, struct slice value)
{
	struct addrlist list;
	struct addrlist_item item;
	enum owns o = OWNS_YES;
	int r;
	size_t count = 0;
	addrlist_start(&list, value);
	for (; o == OWNS_YES && (r = addrlist_next(&item, &list)) > 0; count++)
		o = owns(s, item.local, item.domain);
	return o != OWNS_YES ? o : r < 0 || !count ? OWNS_NO : OWNS_YES;
}

void session_compare(struct session *s, struct slice header)
{
	struct slice sender = session_sender(s), rest = header;
	struct header_field f;
	struct session_claims *out = &s->claims;
	*out = (struct session_claims){0};
	if (!s->user)
		return;
	enum owns o = sender.n ? session_owns(s, sender) : OWNS_YES;
	out->sender = o == OWNS_NO;
	out->unknown = o == OWNS_UNKNOWN;
	while (!out->from && !out->unknown && header_next(&f, &rest)) {
		o = slice_case_eq_str(f.name, "From") ? owns_list(s, f.value) : OWNS_YES;
		out->from = o == OWNS_NO;
		out->unknown = o == OWNS_UNKNOWN;
	}
	if (out->sender || out->from)
		LOG(EV_smtpd_foreign, s->id, F_STR("user", s->user), F_SLICE("sender", sender), F_STR("envelope", out->sender ? "foreign" : "own"),
			F_STR("from", out->from ? "foreign" : "own"));
}
