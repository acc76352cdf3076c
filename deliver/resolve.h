/* Names to addresses for delivery: MX, A and AAAA by libunbound, in this process, each question with a deadline.  Blocking. */
#ifndef POSTERN_DELIVER_RESOLVE_H
#define POSTERN_DELIVER_RESOLVE_H
#include <sys/socket.h>
#include <unbound.h>

#include "deliver/hostport.h"
#include "lib/io.h"

#define PLACES_MAX 10        /* addresses tried for one delivery */
#define MX_MAX 50            /* records looked at */
#define RESOLVE_MSEC 30000   /* for one question */

struct place {
	char name[256];      /* for results */
	struct sockaddr_storage to;
	socklen_t octets;
};
struct places {
	struct place place[PLACES_MAX];
	size_t n;
};
/* Is this address at port 25 one that this host itself listens on? */
typedef bool resolve_here(const struct ip *ip);
struct resolver {
	struct ub_ctx *ctx;  /* NULL: no question yet */
	const struct control *control;
	bool one_at_a_time;  /* opened by resolve_host() or resolve_mx() */
	struct slice me;     /* control/me */
	resolve_here *here;  /* may be NULL */
};

/* The servers in control/resolver, else /etc/resolv.conf; and /etc/hosts, which the program's row lets it read.  libunbound's context (a thread, 1.4 MiB) is
 * opened with the first question. */
void resolver_prepare(struct resolver *r, const struct control *c);
/* Open it at once, for many questions at the same time by .ctx.  0, or with nothing kept E_SYS. */
MUST_CHECK int resolver_open(struct resolver *r, const struct control *c, struct err *e);
/* Add the addresses of HOST (IPv4 first, as reputation and PTR records of old hosts are there).  0: some; E_NOT_FOUND: there are none;
 * E_TIMEOUT: not known now. */
MUST_CHECK int resolve_host(struct places *p, struct resolver *r, const char *host, uint16_t port, struct err *e);
/* The addresses of DOMAIN's mail hosts in the order of RFC 5321 5.1, equal ones shuffled; without MX records its own.
 * 0; E_REFUSED null MX (RFC 7505); E_NOT_FOUND the domain does not exist; E_PEER this host is the best MX itself; E_TIMEOUT not known now. */
MUST_CHECK int resolve_mx(struct places *p, struct resolver *r, const char *domain, struct err *e);
/* One more place; false: there are enough. */
bool place_add(struct places *p, const char *name, const struct ip *ip, uint16_t port);
/* The records of one MX answer, sorted; for tests.  HOST is "" for the root. */
struct mx {
	unsigned preference, mix;
	char host[256];
};
size_t mx_sort(struct mx *mx, size_t n);
MUST_CHECK int mx_decode(struct mx *mx, const unsigned char *data, size_t octets);
#endif
