/* Who sends as whom: the addresses in the envelope and in the From field of what a user submits, against those that are the account's or that
 * control/sendas gives it.  The client chose the addresses; the account's own came with the answer about its password.  RFC 6409 6.1, 8.1. */
#include "lib/addrlist.h"
#include "lib/header.h"
#include "lib/log.h"
#include "smtpd-outside/session.h"

static bool owns(const struct session *s, struct slice local, struct slice domain)
{
	struct slice list = buf_slice(&s->own), line;
	const struct map_entry *to = map_find_domain(&s->set.rewritten, domain);
	if (to)
		domain = map_to(&s->set.rewritten, to);
	while (slice_cut(&line, &list, '\n')) {
		size_t at = slice_rfind(line, '@');
		if (line.n && slice_case_eq(slice_upto(line, at), local) && slice_case_eq(slice_from(line, at + 1), domain))
			return true;
	}
	return sendas_allows(s->set.sendas, slice_str(s->user), local, domain);
}

bool session_owns(const struct session *s, struct slice address)
{
	size_t at = slice_rfind(address, '@');
	return owns(s, slice_upto(address, at), slice_from(address, at + 1));
}

/* Some address in it is not the account's; nor is what cannot be read, or has no address. */
static bool foreign_list(const struct session *s, struct slice value)
{
	struct addrlist list;
	struct addrlist_item item;
	int r;
	size_t count = 0;
	addrlist_start(&list, value);
	for (; (r = addrlist_next(&item, &list)) > 0; count++)
		if (!owns(s, item.local, item.domain))
			return true;
	return r < 0 || !count;
}

void session_compare(struct session *s, struct slice header)
{
	struct slice sender = session_sender(s), rest = header;
	struct header_field f;
	struct session_claims *out = &s->claims;
	*out = (struct session_claims){0};
	if (!s->user)
		return;
	out->sender = sender.n && !session_owns(s, sender);
	while (!out->from && header_next(&f, &rest))
		out->from = slice_case_eq_str(f.name, "From") && foreign_list(s, f.value);
	if (out->sender || out->from)
		LOG(EV_smtpd_foreign, s->id, F_STR("user", s->user), F_SLICE("sender", sender), F_STR("envelope", out->sender ? "foreign" : "own"),
			F_STR("from", out->from ? "foreign" : "own"));
}
