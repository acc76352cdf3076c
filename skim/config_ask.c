/* Questions to the settings: see config.h.  The questions carry outside text (users, countries, addresses); nothing is kept of it. */
#include <stdlib.h>

#include "skim/config.h"

const struct userclass *config_class(const struct skim_config *c, struct slice name, int64_t now)
{
	static struct userclass general;
	for (size_t i = 0; i < c->classes.n; i++)
		if (slice_case_eq_str(name, c->classes.at[i].name) && now < c->classes.at[i].until)
			return &c->classes.at[i];
	general = (struct userclass){"", c->number[N_recipients_hour], c->number[N_recipients_day], c->number[N_message_recipients], INT64_MAX};
	return &general;
}

bool config_safe_country(const struct skim_config *c, country cc)
{
	for (size_t i = 0; i < c->safe.n; i++)
		if (c->safe.at[i] == cc)
			return true;
	return false;
}

bool config_safe_user(const struct skim_config *c, struct slice user)
{
	for (size_t i = 0; i < c->safe_users.n; i++)
		if (slice_case_eq(c->safe_users.at[i], user))
			return true;
	return false;
}

bool config_travels(const struct skim_config *c, struct slice user, country cc, int64_t now)
{
	for (size_t i = 0; i < c->travels.n; i++) {
		const struct travel *t = &c->travels.at[i];
		if (now >= t->until || !slice_case_eq(t->user, user))
			continue;
		for (int j = 0; j < TRAVEL_COUNTRIES_MAX && t->to[j]; j++)
			if (t->to[j] == cc)
				return true;
	}
	return false;
}

static struct ip prefix(const struct ip *ip, unsigned bits)
{
	struct ip net = *ip;
	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = bits > i * 8 ? bits - i * 8 : 0;
		if (keep < 8)
			net.a[i] &= (unsigned char)(0xff00u >> keep);
	}
	return net;
}

/* The networks are sorted by length, then address: one bisection for each length that occurs. */
static unsigned nets(const struct skim_config *c, const struct ip *ip)
{
	unsigned kinds = 0;
	for (size_t from = 0, to; from < c->nets.n; from = to) {
		unsigned bits = c->nets.at[from].bits;
		struct ip want = prefix(ip, bits);
		size_t lo = from, hi = c->nets.n;
		while (lo < hi) {
			size_t mid = (lo + hi) / 2;
			const struct net *n = &c->nets.at[mid];
			if (n->bits == bits && memcmp(&n->ip, &want, sizeof want) < 0)
				lo = mid + 1;
			else
				hi = mid;
		}
		for (; lo < c->nets.n && c->nets.at[lo].bits == bits && !memcmp(&c->nets.at[lo].ip, &want, sizeof want); lo++)
			kinds |= 1u << c->nets.at[lo].kind;
		size_t end_lo = from, end_hi = c->nets.n;
		while (end_lo < end_hi) {
			size_t mid = (end_lo + end_hi) / 2;
			if (c->nets.at[mid].bits == bits)
				end_lo = mid + 1;
			else
				end_hi = mid;
		}
		to = end_lo;
	}
	return kinds;
}

unsigned config_net(const struct skim_config *c, const struct ip *ip, uint32_t asn)
{
	unsigned kinds = nets(c, ip);
	size_t lo = 0, hi = asn ? c->asns.n : 0;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (c->asns.at[mid].number < asn)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; asn && lo < c->asns.n && c->asns.at[lo].number == asn; lo++)
		kinds |= 1u << c->asns.at[lo].kind;
	return kinds;
}

bool config_bad_host(const struct skim_config *c, struct slice host)
{
	for (size_t i = 0; i < c->bad_hosts.n; i++)
		if (addr_domain_matches(host, c->bad_hosts.at[i]))
			return true;
	return false;
}

bool config_authorised(const struct skim_config *c, struct slice user, struct slice address)
{
	for (size_t i = 0; i < c->authorised.n; i++) {
		struct slice a = c->authorised.at[i].address;
		if (!slice_case_eq(c->authorised.at[i].user, user))
			continue;
		if (a.n && a.p[0] == '@' ? slice_case_eq(addr_domain_of(address), slice_from(a, 1)) : slice_case_eq(address, a))
			return true;
	}
	return false;
}

bool config_local_domain(const struct skim_config *c, struct slice domain)
{
	if (control_present(c->control, C_locals))
		return control_has_domain(c->control, C_locals, domain);
	return domain.n && slice_case_eq(domain, control_word(c->control, C_me));
}

bool config_canary(const struct skim_config *c, struct slice user)
{
	for (size_t i = 0; i < c->canaries.n; i++)
		if (slice_case_eq(c->canaries.at[i], user))
			return true;
	return false;
}
