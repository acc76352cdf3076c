/* What the lists said of an address, for as long as their answers live.  A table of fixed size: an entry that is over makes room, else the one
 * that is over soonest among the few places where an address may be. */
#ifndef POSTERN_SMTPD_DNS_CACHE_H
#define POSTERN_SMTPD_DNS_CACHE_H
#include <stdint.h>

#include "lib/addr.h"

#define DNS_CACHE_ENTRIES 65536u
#define DNS_CACHE_SEC_MAX 86400

struct dns_cache;
struct dns_cached {
	long long score;
	int reply;
	const char *text; /* valid until the next call; "" where reply is 0 */
};
/* NULL without memory. */
struct dns_cache *dns_cache_make(void);
void dns_cache_free(struct dns_cache *t);
/* False: nothing known at NOW (milliseconds). */
bool dns_cache_get(struct dns_cached *out, const struct dns_cache *t, const struct ip *client, int64_t now);
/* Keep until NOW and SEC seconds (at most a day; 0 or less: not at all); without memory it is forgotten. */
void dns_cache_put(struct dns_cache *t, const struct ip *client, const struct dns_cached *what, int64_t now, int sec);
#endif
