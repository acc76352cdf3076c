/* See dns_cache.h.  Part of postern-dns.  Clients choose the keys, so the hash is keyed. */
#include "smtpd-outside/dns_cache.h"

#include <stdlib.h>

#include "smtpd-outside/door_hash.h"

#define WAYS 8u

struct entry {
	struct ip ip;
	int64_t until; /* 0: free */
	int score, reply;
	char *text;
};
struct dns_cache {
	struct entry entry[DNS_CACHE_ENTRIES];
};

struct dns_cache *dns_cache_make(void)
{
	return calloc(1, sizeof(struct dns_cache));
}

void dns_cache_free(struct dns_cache *t)
{
	for (unsigned i = 0; t && i < DNS_CACHE_ENTRIES; i++)
		free(t->entry[i].text);
	free(t);
}

static unsigned first_way(const struct ip *ip)
{
	return (unsigned)(door_hash_network(ip, 128) % (DNS_CACHE_ENTRIES / WAYS)) * WAYS;
}

bool dns_cache_get(struct dns_cached *out, const struct dns_cache *t, const struct ip *client, int64_t now)
{
	const struct entry *e = &t->entry[first_way(client)];
	for (unsigned i = 0; i < WAYS; i++, e++)
		if (e->until > now && memcmp(&e->ip, client, sizeof *client) == 0) {
			*out = (struct dns_cached){e->score, e->reply, e->text ? e->text : ""};
			return true;
		}
	return false;
}

/* The place of the address itself, or the one whose entry is over first. */
static struct entry *place(struct dns_cache *t, const struct ip *client)
{
	struct entry *e = &t->entry[first_way(client)], *best = e;
	for (unsigned i = 0; i < WAYS; i++, e++) {
		if (e->until && memcmp(&e->ip, client, sizeof *client) == 0)
			return e;
		if (e->until < best->until)
			best = e;
	}
	return best;
}

void dns_cache_put(struct dns_cache *t, const struct ip *client, const struct dns_cached *what, int64_t now, int sec)
{
	struct entry *e = place(t, client);
	char *text = what->reply ? strdup(what->text) : NULL;
	if (sec <= 0 || (what->reply && !text)) {
		free(text);
		return;
	}
	if (sec > DNS_CACHE_SEC_MAX)
		sec = DNS_CACHE_SEC_MAX;
	free(e->text);
	*e = (struct entry){*client, now + sec * 1000ll, (int)what->score, what->reply, text};
}
