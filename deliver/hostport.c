/* Routes as administrators write them: see hostport.h.  qmail's format; credentials after "|" are refused, not ignored. */
#include "deliver/hostport.h"

#include <arpa/inet.h>
#include <stdio.h>

static int parse_port(uint16_t *port, struct slice text, struct err *e)
{
	long long n;
	if (slice_number(&n, text, 1, 65535) < 0)
		return err_set(e, E_SYNTAX, "\"%.*s\" is not a port (1 to 65535)", (int)slice_upto(text, 20).n, text.p);
	*port = (uint16_t)n;
	return 0;
}

int hostport_parse(struct hostport *out, struct slice text, uint16_t port, struct err *e)
{
	struct hostport h = {.port = port};
	struct slice host = text, rest = slice_make("", 0);
	bool literal = slice_starts(text, "[");
	if (literal) {
		size_t end = slice_find(text, ']');
		if (end == text.n)
			return err_set(e, E_SYNTAX, "\"%.*s\" has no \"]\"", (int)slice_upto(text, 80).n, text.p);
		host = slice_from(slice_upto(text, end), 1);
		rest = slice_from(text, end + 1);
	} else {
		size_t colon = slice_find(text, ':');
		host = slice_upto(text, colon);
		rest = slice_from(text, colon);
	}
	if (rest.n && (rest.p[0] != ':' || parse_port(&h.port, slice_from(rest, 1), e) < 0))
		return err_set(e, E_SYNTAX, "\"%.*s\": after the host comes :PORT (1 to 65535)", (int)slice_upto(text, 80).n, text.p);
	if (h.port == 0)
		return err_set(e, E_SYNTAX, "\"%.*s\" has no port; write HOST:PORT", (int)slice_upto(text, 80).n, text.p);
	if (slice_case_starts(host, "IPv6:"))
		host = slice_from(host, 5);
	h.is_ip = ip_parse(&h.ip, host) == 0;
	if ((!h.is_ip && (literal || addr_check_domain(host, false) < 0)) || slice_copy(h.host, sizeof h.host, host) < 0)
		return err_set(e, E_SYNTAX, "\"%.*s\" is neither a host name nor an address (IPv6 in [ ])", (int)slice_upto(text, 80).n, text.p);
	*out = h;
	return 0;
}

int hostport_parse_lmtp(struct hostport *out, struct slice text, struct err *e)
{
	struct slice path = slice_from(text, 5);
	if (!slice_starts(text, "unix:"))
		return hostport_parse(out, text, 0, e);
	*out = (struct hostport){.is_unix = true};
	if (!slice_starts(path, "/") || path.n > UNIX_PATH_MAX_OCTETS || slice_copy(out->host, sizeof out->host, path) < 0)
		return err_set(e, E_SYNTAX, "after unix: comes an absolute path of at most %d octets", UNIX_PATH_MAX_OCTETS);
	return 0;
}

static int parse_domain(struct slice *domain, struct slice *rest, struct slice line, struct err *e)
{
	size_t colon = slice_starts(line, "[") ? slice_find(line, ']') + 1 : slice_find(line, ':');
	if (colon >= line.n || line.p[colon] != ':')
		return err_set(e, E_SYNTAX, "there is no \":\" after the domain");
	*domain = slice_upto(line, colon);
	*rest = slice_from(line, colon + 1);
	struct slice name = slice_starts(*domain, ".") ? slice_from(*domain, 1) : *domain;
	if (domain->n && addr_check_domain(name, false) < 0)
		return err_set(e, E_SYNTAX, "\"%.*s\" is not a domain (name, .name for all below it, or nothing for all others)",
			(int)slice_upto(*domain, 80).n, domain->p);
	return 0;
}

int smtproute_parse(struct slice *domain, struct hostport *to, bool *by_mx, struct slice line, struct err *e)
{
	struct slice rest;
	int rc = parse_domain(domain, &rest, line, e);
	if (rc < 0)
		return rc;
	if (slice_find(rest, '|') < rest.n)
		return err_set(e, E_SYNTAX, "logging in at a relay (|user|password) is not available");
	*by_mx = rest.n == 0;
	return *by_mx ? 0 : hostport_parse(to, rest, 25, e);
}

int lmtproute_parse(struct slice *domain, struct slice *to, struct slice line, struct err *e)
{
	struct hostport h;
	int rc = parse_domain(domain, to, line, e);
	if (rc == 0 && domain->n == 0)
		return err_set(e, E_SYNTAX, "a domain must stand before the \":\"");
	return rc < 0 ? rc : hostport_parse_lmtp(&h, *to, e);
}

/* How well a line's domain fits: 0 not at all, 1 for all, more the longer it is. */
static size_t fit(struct slice pattern, struct slice domain)
{
	if (pattern.n == 0)
		return 1;
	return addr_domain_matches(domain, pattern) ? 1 + pattern.n + (slice_starts(pattern, ".") ? 0 : 512) : 0;
}

int smtproute_find(struct hostport *to, const struct control *c, struct slice domain)
{
	struct control_line line = {0};
	size_t best = 0;
	bool found_mx = true;
	while (control_next(c, C_smtproutes, &line)) {
		struct slice d;
		struct hostport h;
		bool mx;
		if (smtproute_parse(&d, &h, &mx, line.text, NULL) < 0 || fit(d, domain) <= best)
			continue;
		best = fit(d, domain);
		found_mx = mx;
		if (!mx)
			*to = h;
	}
	return found_mx ? E_NOT_FOUND : 0;
}

int lmtproute_find(struct slice *to, const struct control *c, struct slice domain)
{
	struct control_line line = {0};
	size_t best = 0;
	while (control_next(c, C_lmtproutes, &line)) {
		struct slice d, t;
		if (lmtproute_parse(&d, &t, line.text, NULL) < 0 || fit(d, domain) <= best)
			continue;
		best = fit(d, domain);
		*to = t;
	}
	return best ? 0 : E_NOT_FOUND;
}

void hostport_name(char out[HOSTPORT_NAME_MAX], const struct hostport *h)
{
	char ip[INET6_ADDRSTRLEN];
	bool four = h->is_ip && ip_is4(&h->ip);
	if (!h->is_ip)
		snprintf(out, HOSTPORT_NAME_MAX, "%.255s:%u", h->host, h->port);
	else if (inet_ntop(four ? AF_INET : AF_INET6, four ? h->ip.a + 12 : h->ip.a, ip, sizeof ip))
		snprintf(out, HOSTPORT_NAME_MAX, four ? "%s:%u" : "[%s]:%u", ip, h->port);
}

int qmqp_route_parse(struct qmqp_route *r, struct slice line, struct err *e)
{
	struct qmqp_route got = {.port = QMQP_PORT};
	struct slice host, rest = line, address;
	long long port = QMQP_PORT;
	if (!slice_cut(&host, &rest, ':') || !rest.p || addr_check_domain(host, false) < 0)
		return err_set(e, E_SYNTAX, "a line is host:address or host:address:port");
	bool six = slice_starts(rest, "[");
	size_t end = six ? slice_find(rest, ']') : slice_find(rest, ':');
	address = six ? slice_make(rest.p + 1, end - (end > 0)) : slice_upto(rest, end);
	bool open = six && end == rest.n;
	rest = slice_from(rest, end + six);
	if (open || ip_parse(&got.ip, address) < 0)
		return err_set(e, E_SYNTAX, "after the host comes an IPv4 address or an IPv6 address in brackets");
	if (rest.n && (rest.p[0] != ':' || slice_number(&port, slice_from(rest, 1), 1, 65535) < 0))
		return err_set(e, E_SYNTAX, "after the address comes nothing or :port");
	got.port = (uint16_t)port;
	got.host = host;
	*r = got;
	return 0;
}

int resolver_line(char out[80], struct slice line, struct err *e)
{
	struct hostport h;
	if (hostport_parse(&h, line, 53, e) < 0)
		return E_SYNTAX;
	if (!h.is_ip)
		return err_set(e, E_SYNTAX, "ADDRESS:PORT of a DNS server is wanted, not a name");
	snprintf(out, 80, "%.60s@%u", h.host, h.port);
	return 0;
}
