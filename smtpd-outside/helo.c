/* See helo.h.  HELO is the client's, the control files are the administrator's. */
#include "smtpd-outside/helo.h"

static const char *literal_fault(struct slice text, const struct ip *client)
{
	struct ip said;
	if (slice_case_starts(text, "IPv6:"))
		text = slice_from(text, strlen("IPv6:"));
	if (ip_parse(&said, text) < 0)
		return "is no address";
	return memcmp(&said, client, sizeof said) == 0 ? NULL : "is not your address";
}

/* A domain with a dot; not an address without its brackets. */
static bool full_name(struct slice name)
{
	struct slice last = slice_from(name, slice_rfind(name, '.') + 1);
	long long number;
	return slice_find(name, '.') > 0 && last.n && slice_find(name, ':') == name.n && slice_number(&number, last, 0, INT64_MAX) < 0;
}

static bool ours(struct slice name, const struct control *c)
{
	bool found = slice_case_eq(name, control_word(c, C_me));
	for (struct control_line line = {0}; !found && control_next(c, C_locals, &line); )
		found = slice_case_eq(name, line.text);
	return found;
}

const char *helo_fault(struct slice helo, const struct ip *client, const struct ip *local, const struct control *c)
{
	bool this_host = ip_is_loopback(client) || memcmp(client, local, sizeof *client) == 0;
	if (helo.n > 2 && helo.p[0] == '[' && helo.p[helo.n - 1] == ']')
		return literal_fault(slice_make(helo.p + 1, helo.n - 2), client);
	if (slice_ends(helo, "."))
		helo.n--;
	if (!full_name(helo))
		return "is no full host name";
	return !this_host && ours(helo, c) ? "is this site's own" : NULL;
}
