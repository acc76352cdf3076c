/* Destinations of postern-remote: see remote.h.  The domain is what a stranger wrote as part of an address.  RFC 5321 5.1, 7505 (null MX). */
#include "deliver/remote.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>

#include "smtpd-outside/listen.h"

#define OWN_MAX 128
static struct {
	struct ip ip[OWN_MAX];
	size_t n;
	bool any;
} own;

static void add_own(const struct ip *ip)
{
	if (own.n < OWN_MAX)
		own.ip[own.n++] = *ip;
}

static void add_interfaces(void)
{
	struct ifaddrs *list;
	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		struct ip ip = {{[10] = 0xff, [11] = 0xff}};
		if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			memcpy(ip.a + 12, &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr, 4);
		else
			memcpy(ip.a, &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr, 16);
		add_own(&ip);
	}
	freeifaddrs(list);
}

static bool is_wildcard(const struct ip *ip)
{
	static const unsigned char zero[16];
	return memcmp(ip->a + 12, zero, 4) == 0 && (ip_is4(ip) || memcmp(ip->a, zero, 16) == 0);
}

void remote_own_addresses(const struct control *c)
{
	struct listen_line line[LISTEN_MAX];
	size_t n = 0;
	own.n = 0;
	own.any = false;
	if (listen_parse(line, &n, c, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (line[i].name != LISTEN_SMTP || line[i].port != 25)
			continue;
		if (is_wildcard(&line[i].ip))
			own.any = true;
		else
			add_own(&line[i].ip);
	}
	if (own.any)
		add_interfaces();
}

bool remote_is_here(const struct ip *ip)
{
	static const struct ip loop6 = {{[15] = 1}};
	for (size_t i = 0; i < own.n; i++)
		if (memcmp(&own.ip[i], ip, sizeof *ip) == 0)
			return true;
	return own.any && ((ip_is4(ip) && (ip->a[12] == 127 || ip->a[12] == 0)) || memcmp(ip, &loop6, sizeof loop6) == 0 || is_wildcard(ip));
}

static int undeliverable(struct client_mail *m, int rc, const struct err *e)
{
	switch (rc) {
	case E_REFUSED:
		client_decide_rest(m, DELIVERY_FAILED, "5.1.10", "", e->text);
		break;
	case E_NOT_FOUND:
		client_decide_rest(m, DELIVERY_FAILED, "5.1.2", "", e->text);
		break;
	case E_PEER:
		client_decide_rest(m, DELIVERY_FAILED, "5.4.6", "", e->text);
		break;
	default:
		client_decide_rest(m, DELIVERY_DEFERRED, "4.4.3", "", e->text);
	}
	return rc;
}

static int find_relay(struct places *p, struct agent_settings *a, struct client_mail *m, const struct hostport *relay)
{
	struct err e;
	if (relay->is_ip)
		return place_add(p, relay->host, &relay->ip, relay->port) ? 0 : E_TOO_LONG;
	int rc = resolve_host(p, &a->resolver, relay->host, relay->port, &e);
	/* A relay that is not there is the administrator's fault, not the recipient's. */
	return rc == 0 ? 0 : undeliverable(m, E_TIMEOUT, &e);
}

int remote_find(struct places *p, struct agent_settings *a, struct client_mail *m, struct slice domain)
{
	struct hostport relay;
	char name[256];
	struct err e;
	if (smtproute_find(&relay, a->control, domain) == 0)
		return find_relay(p, a, m, &relay);
	if (slice_starts(domain, "[")) {
		int rc = hostport_parse(&relay, domain, 25, &e);
		if (rc == 0 && remote_is_here(&relay.ip))
			rc = err_set(&e, E_PEER, "this address is this host's, but it does not know the address as its own");
		return rc == 0 ? find_relay(p, a, m, &relay) : undeliverable(m, rc == E_PEER ? rc : E_NOT_FOUND, &e);
	}
	if (slice_copy(name, sizeof name, domain) < 0)
		return undeliverable(m, err_set(&e, E_NOT_FOUND, "not a domain"), &e);
	int rc = resolve_mx(p, &a->resolver, name, &e);
	return rc == 0 ? 0 : undeliverable(m, rc, &e);
}
