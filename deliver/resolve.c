/* DNS for delivery: see resolve.h.  libunbound forwards to the servers it is given; answers are strangers' octets, which it checks and this file decodes again.
 * It answers in a thread of its own, so that a dead server costs the deadline here and no more. */
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "deliver/resolve.h"

enum { TYPE_A = 1, TYPE_MX = 15, TYPE_AAAA = 28, CLASS_IN = 1, RCODE_NXDOMAIN = 3 };

static int forwarders(struct resolver *r, const struct control *c, struct err *e)
{
	struct control_line line = {0};
	char text[80];
	if (!control_present(c, C_resolver))
		return ub_ctx_resolvconf(r->ctx, NULL);
	while (control_next(c, C_resolver, &line))
		if (resolver_line(text, line.text, e) < 0 || ub_ctx_set_fwd(r->ctx, text) != 0)
			return -1;
	return 0;
}

/* A worker asks one question at a time: small tables for its context, of which there may be hundreds. */
static int small(struct ub_ctx *ctx)
{
	static const struct {
		const char *option, *value;
	} set[] = {{"outgoing-range:", "8"}, {"num-queries-per-thread:", "8"}, {"outgoing-num-tcp:", "2"}, {"incoming-num-tcp:", "0"}, {"msg-cache-size:", "256k"},
		{"rrset-cache-size:", "512k"}, {"msg-cache-slabs:", "1"}, {"rrset-cache-slabs:", "1"}, {"infra-cache-slabs:", "1"}, {"key-cache-slabs:", "1"},
		{"infra-cache-numhosts:", "200"}, {"key-cache-size:", "64k"}, {"neg-cache-size:", "64k"}};
	mallopt(M_ARENA_MAX, 1); /* its thread needs no heap of its own */
	for (size_t i = 0; i < sizeof set / sizeof *set; i++)
		if (ub_ctx_set_option(ctx, set[i].option, set[i].value))
			return -1;
	return 0;
}

/* A server that is silent is asked less and less often, up to every two minutes, and then not at all for 15: after a long failure of the campus's name server
 * nothing would be known until then.  So one question tries it every 13 seconds (12 is the least that libunbound probes with), and none waits longer for it.
 * Versions that do not know these options have them as they are. */
static void keep_trying(struct ub_ctx *ctx)
{
	(void)!ub_ctx_set_option(ctx, "infra-cache-max-rtt:", "12000");
	(void)!ub_ctx_set_option(ctx, "infra-keep-probing:", "yes");
}

void resolver_prepare(struct resolver *r, const struct control *c)
{
	r->control = c;
	r->me = control_word(c, C_me);
}

int resolver_open(struct resolver *r, const struct control *c, struct err *e)
{
	resolver_prepare(r, c);
	r->ctx = ub_ctx_create();
	if (!r->ctx)
		return err_set(e, E_SYS, "libunbound gives no context");
	/* The server that is asked decides on names that a public resolver would not look up. */
	if (ub_ctx_async(r->ctx, 1) || ub_ctx_set_option(r->ctx, "module-config:", "iterator") || ub_ctx_set_option(r->ctx, "local-zone:", "test. transparent")
		|| ub_ctx_set_option(r->ctx, "do-not-query-localhost:", "no") || ub_ctx_set_option(r->ctx, "unblock-lan-zones:", "yes")
		|| (r->one_at_a_time && small(r->ctx)) || forwarders(r, r->control, e)) {
		ub_ctx_delete(r->ctx);
		r->ctx = NULL;
		return err_set(e, E_SYS, "the servers of control/resolver or /etc/resolv.conf cannot be used");
	}
	keep_trying(r->ctx);
	(void)!ub_ctx_hosts(r->ctx, NULL); /* a host without /etc/hosts is fine */
	return 0;
}

struct waiting {
	struct ub_result *result;
	int error;
	bool done;
};

static void answered(void *arg, int error, struct ub_result *result)
{
	struct waiting *w = arg;
	*w = (struct waiting){result, error, true};
}

/* 0: *OUT has data; E_NOT_FOUND: no such data, *NXDOMAIN tells whether the name exists; E_TIMEOUT. */
static int ask_dns(struct ub_result **out, bool *nxdomain, struct resolver *r, const char *name, int type, struct err *e)
{
	static struct waiting w;
	int64_t deadline = deadline_in(RESOLVE_MSEC);
	int id;
	w = (struct waiting){0};
	*nxdomain = false;
	r->one_at_a_time = true;
	if (!r->ctx && resolver_open(r, r->control, e) < 0)
		return E_TIMEOUT;
	if (ub_resolve_async(r->ctx, name, type, CLASS_IN, &w, answered, &id))
		return err_set(e, E_TIMEOUT, "DNS: %.200s could not be asked for", name);
	while (!w.done && deadline_left(deadline)) {
		struct pollfd p = {.fd = ub_fd(r->ctx), .events = POLLIN};
		if (poll(&p, 1, deadline_left(deadline)) > 0 && ub_process(r->ctx))
			break;
	}
	if (!w.done) {
		(void)!ub_cancel(r->ctx, id);
		return err_set(e, E_TIMEOUT, "DNS: no answer about %.200s in %d s", name, RESOLVE_MSEC / 1000);
	}
	if (w.error || !w.result)
		return err_set(e, E_TIMEOUT, "DNS: %.200s: %.40s", name, ub_strerror(w.error));
	if (w.result->havedata) {
		*out = w.result;
		return 0;
	}
	int rcode = w.result->rcode;
	ub_resolve_free(w.result);
	*nxdomain = rcode == RCODE_NXDOMAIN;
	if (rcode != 0 && !*nxdomain)
		return err_set(e, E_TIMEOUT, "DNS: the servers for %.200s answer with an error (%d)", name, rcode);
	return err_set(e, E_NOT_FOUND, "DNS: %.200s %s", name, *nxdomain ? "does not exist" : "has no such record");
}

bool place_add(struct places *p, const char *name, const struct ip *ip, uint16_t port)
{
	char text[INET6_ADDRSTRLEN];
	if (p->n == PLACES_MAX)
		return false;
	struct place *at = &p->place[p->n++];
	memset(at, 0, sizeof *at);
	ip_text(text, ip);
	snprintf(at->name, sizeof at->name, strcmp(name, text) ? "%.200s [%s]" : "[%.0s%s]", name, text);
	if (ip_is4(ip)) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
		memcpy(&a.sin_addr, ip->a + 12, 4);
		memcpy(&at->to, &a, sizeof a);
		at->octets = sizeof a;
	} else {
		struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
		memcpy(&a.sin6_addr, ip->a, 16);
		memcpy(&at->to, &a, sizeof a);
		at->octets = sizeof a;
	}
	return true;
}

static int add_records(struct places *p, struct resolver *r, const char *host, uint16_t port, int type, struct err *e)
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct ub_result *result;
	bool nxdomain;
	int want = type == TYPE_A ? 4 : 16, rc = ask_dns(&result, &nxdomain, r, host, type, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; result->data[i]; i++) {
		struct ip ip;
		if (result->len[i] != want)
			continue;
		memcpy(ip.a, mapped, sizeof mapped);
		memcpy(ip.a + 16 - want, result->data[i], (size_t)want);
		if (!place_add(p, host, &ip, port))
			break;
	}
	ub_resolve_free(result);
	return 0;
}

int resolve_host(struct places *p, struct resolver *r, const char *host, uint16_t port, struct err *e)
{
	size_t before = p->n;
	int v4 = add_records(p, r, host, port, TYPE_A, e);
	int v6 = p->n < PLACES_MAX ? add_records(p, r, host, port, TYPE_AAAA, e) : 0;
	if (p->n > before)
		return 0;
	if (v4 == E_TIMEOUT || v6 == E_TIMEOUT)
		return E_TIMEOUT;
	return err_set(e, E_NOT_FOUND, "DNS: %.200s has no address", host);
}

int mx_decode(struct mx *mx, const unsigned char *data, size_t octets)
{
	size_t at = 2, n = 0;
	if (octets < 3)
		return E_PEER;
	mx->preference = (unsigned)data[0] << 8 | data[1];
	while (at < octets && data[at]) {
		size_t label = data[at++];
		if (label > 63 || at + label >= octets || n + label + 1 >= sizeof mx->host)
			return E_PEER;
		if (n)
			mx->host[n++] = '.';
		memcpy(mx->host + n, data + at, label);
		n += label;
		at += label;
	}
	mx->host[n] = 0;
	if (at != octets - 1 || (n && addr_check_domain(slice_make(mx->host, n), false) < 0))
		return E_PEER;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct mx *x = a, *y = b;
	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return x->mix < y->mix ? -1 : x->mix > y->mix;
}

size_t mx_sort(struct mx *mx, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (getrandom(&mx[i].mix, sizeof mx[i].mix, 0) < 0)
			mx[i].mix = 0;
	qsort(mx, n, sizeof *mx, compare);
	return n;
}

static bool place_is_here(const struct resolver *r, const struct place *p)
{
	struct ip ip = {{[10] = 0xff, [11] = 0xff}};
	if (p->to.ss_family == AF_INET)
		memcpy(ip.a + 12, &((const struct sockaddr_in *)&p->to)->sin_addr, 4);
	else
		memcpy(ip.a, &((const struct sockaddr_in6 *)&p->to)->sin6_addr, 16);
	return r->here && r->here(&ip);
}

/* Where this host is among the mail hosts, it and all that come after it are not for it to try (RFC 5321 5.1). */
static int mx_places(struct places *p, struct resolver *r, const struct mx *mx, size_t n, struct err *e)
{
	bool unknown = false;
	for (size_t i = 0; i < n && p->n < PLACES_MAX; i++) {
		size_t before = p->n;
		bool here = slice_case_eq_str(r->me, mx[i].host);
		int rc = here ? 0 : resolve_host(p, r, mx[i].host, 25, e);
		unknown |= rc == E_TIMEOUT;
		for (size_t k = before; k < p->n; k++)
			here |= place_is_here(r, &p->place[k]);
		if (!here)
			continue;
		/* those of the same preference that were shuffled before it */
		size_t keep = 0;
		for (size_t j = 0; j < i && mx[j].preference < mx[i].preference; j++)
			keep = j + 1;
		if (keep == 0)
			return err_set(e, E_PEER, "this host is the best mail host of the domain itself, but does not know the domain as its own");
		p->n = 0;
		return mx_places(p, r, mx, keep, e);
	}
	if (p->n)
		return 0;
	return unknown ? E_TIMEOUT : err_set(e, E_TIMEOUT, "DNS: none of the domain's mail hosts has an address");
}

static int implicit_mx(struct places *p, struct resolver *r, const char *domain, struct err *e)
{
	int rc = resolve_host(p, r, domain, 25, e);
	for (size_t i = 0; rc == 0 && i < p->n; i++)
		if (place_is_here(r, &p->place[i]))
			return err_set(e, E_PEER, "this host is the mail host of the domain itself, but does not know the domain as its own");
	return rc == E_NOT_FOUND ? E_TIMEOUT : rc;
}

int resolve_mx(struct places *p, struct resolver *r, const char *domain, struct err *e)
{
	static struct mx mx[MX_MAX];
	struct ub_result *result;
	bool nxdomain;
	size_t n = 0;
	int rc = ask_dns(&result, &nxdomain, r, domain, TYPE_MX, e);
	if (rc == E_NOT_FOUND)
		return nxdomain ? rc : implicit_mx(p, r, domain, e);
	if (rc < 0)
		return rc;
	for (size_t i = 0; result->data[i] && n < MX_MAX; i++)
		if (mx_decode(&mx[n], (const unsigned char *)result->data[i], (size_t)result->len[i]) == 0)
			n++;
	ub_resolve_free(result);
	if (n == 1 && !mx[0].host[0])
		return err_set(e, E_REFUSED, "the domain takes no mail (null MX)");
	mx_sort(mx, n);
	return mx_places(p, r, mx, n, e);
}
