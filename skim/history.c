/* The memory of the detection: see history.h.  Names, addresses and hashes come from events, so from anybody who can log in; the tables are bounded and their
 * hash is keyed, so that nobody can fill or slow them by choosing names. */
#include "skim/history.h"

#include <stdlib.h>
#include <sys/random.h>

#define HOSTS_TABLE 16384
#define PLACES_TABLE 16384
#define SPRAY_TABLE 16384
#define PAIRS_TABLE (1u << 20)
#define EVICT_LOOK 64

struct shared { /* who used a thing: the first few, by hash */
	uint32_t hash, user[5];
	int64_t time[5];
};
struct spray {
	struct ip ip;
	int64_t since;
	uint32_t user[64]; /* hashes of those that failed */
	unsigned n;
};
struct history {
	struct user **slot;
	size_t size, count, most, hand;
	uint64_t key;
	const struct user *pinned;
	struct common {
		struct shared host[HOSTS_TABLE], place[PLACES_TABLE];
		uint64_t key; /* of the tables here, kept with them */
		uint32_t logins_from[65536];
		uint32_t pair[PAIRS_TABLE]; /* who wrote to whom */
		country home;
	} *common;
	struct spray *spray;
};

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

uint64_t history_hash64(struct slice s)
{
	uint64_t x = 0xcbf29ce484222325u;
	for (size_t i = 0; i < s.n; i++)
		x = (x ^ lower(s.p[i])) * 0x100000001b3u;
	x ^= x >> 32;
	x *= 0x9e3779b97f4a7c15u;
	return x ^ x >> 29;
}

uint32_t history_hash(struct slice s)
{
	uint32_t x = (uint32_t)history_hash64(s);
	return x ? x : 1;
}

static size_t keyed(uint64_t key, uint32_t hash, size_t mask)
{
	uint64_t x = (hash ^ key) * 0x9e3779b97f4a7c15u;
	return (size_t)(x >> 20) & mask;
}

static size_t index_of(const struct history *h, uint32_t hash, size_t mask)
{
	return keyed(h->key, hash, mask);
}

struct history *history_make(size_t users_most)
{
	struct history *h = calloc(1, sizeof *h);
	if (!h)
		return NULL;
	h->most = users_most;
	h->size = 1024;
	h->slot = calloc(h->size, sizeof *h->slot);
	h->common = calloc(1, sizeof *h->common);
	h->spray = calloc(SPRAY_TABLE, sizeof *h->spray);
	if (getrandom(&h->key, sizeof h->key, 0) != sizeof h->key)
		h->key = 0x5bd1e995;
	if (h->slot && h->common && h->spray) {
		h->common->key = h->key;
		return h;
	}
	history_free(h);
	return NULL;
}

void history_user_free(struct user *u)
{
	free(u->login);
	free(u->sent);
	free(u->text);
	free(u->hits);
	free(u->mark);
	free(u);
}

void history_free(struct history *h)
{
	for (size_t i = 0; h && h->slot && i < h->size; i++)
		if (h->slot[i])
			history_user_free(h->slot[i]);
	if (h) {
		free(h->slot);
		free(h->common);
		free(h->spray);
	}
	free(h);
}

static bool same_name(const struct user *u, uint32_t hash, struct slice name)
{
	return u->hash == hash && slice_case_eq(slice_make(u->name, u->name_n), name);
}

/* Where it is, or the free slot where it belongs. */
static size_t probe(const struct history *h, uint32_t hash, struct slice name)
{
	size_t i = index_of(h, hash, h->size - 1);
	while (h->slot[i] && !same_name(h->slot[i], hash, name))
		i = (i + 1) & (h->size - 1);
	return i;
}

static bool grow(struct history *h)
{
	struct user **old = h->slot;
	size_t n = h->size;
	if ((h->count + 1) * 2 < h->size)
		return true;
	h->slot = calloc(n * 2, sizeof *h->slot);
	if (!h->slot) {
		h->slot = old;
		return h->count + 1 < h->size;
	}
	h->size = n * 2;
	for (size_t i = 0; i < n; i++)
		if (old[i])
			h->slot[probe(h, old[i]->hash, slice_make(old[i]->name, old[i]->name_n))] = old[i];
	free(old);
	return true;
}

/* Take slot I out and close the gap behind it. */
static void take_out(struct history *h, size_t i)
{
	size_t mask = h->size - 1, j = i;
	history_user_free(h->slot[i]);
	h->slot[i] = NULL;
	h->count--;
	while (h->slot[j = (j + 1) & mask]) {
		size_t home = index_of(h, h->slot[j]->hash, mask);
		if (((j - home) & mask) < ((j - i) & mask))
			continue;
		h->slot[i] = h->slot[j];
		h->slot[j] = NULL;
		i = j;
	}
}

/* The oldest of the next few goes; who has points only when all of them do. */
static void evict(struct history *h)
{
	size_t worst = h->size;
	for (size_t seen = 0; seen < EVICT_LOOK; h->hand = (h->hand + 1) & (h->size - 1)) {
		const struct user *u = h->slot[h->hand], *w = worst < h->size ? h->slot[worst] : NULL;
		if (!u || u == h->pinned)
			continue;
		seen++;
		if (!w || (u->state == USER_FREE) > (w->state == USER_FREE) || ((u->state == USER_FREE) == (w->state == USER_FREE) && u->last < w->last))
			worst = h->hand;
	}
	take_out(h, worst);
}

struct user *history_user(struct history *h, struct slice name, bool make)
{
	uint32_t hash = history_hash(name);
	if (name.n == 0 || name.n > ADDRESS_MAX)
		return NULL;
	size_t i = probe(h, hash, name);
	if (h->slot[i] || !make)
		return h->slot[i];
	if (h->count >= h->most)
		evict(h);
	struct user *u = grow(h) ? calloc(1, sizeof *u + name.n) : NULL;
	if (!u)
		return NULL;
	u->hash = hash;
	u->name_n = (uint16_t)name.n;
	for (size_t k = 0; k < name.n; k++)
		u->name[k] = (char)lower(name.p[k]);
	h->slot[probe(h, hash, name)] = u;
	h->count++;
	return u;
}

void history_pin(struct history *h, const struct user *u)
{
	h->pinned = u;
}

bool history_put(struct history *h, struct user *u)
{
	struct slice name = slice_make(u->name, u->name_n);
	u->hash = history_hash(name);
	if (h->count >= h->most || !grow(h))
		return false;
	size_t i = probe(h, u->hash, name);
	if (h->slot[i])
		return false;
	h->slot[i] = u;
	h->count++;
	return true;
}

size_t history_count(const struct history *h)
{
	return h->count;
}

struct user *history_each(const struct history *h, size_t *at)
{
	while (*at < h->size && !h->slot[*at])
		++*at;
	return *at < h->size ? h->slot[(*at)++] : NULL;
}

/* Notes USER for the thing HASH; how many others used it before. */
static unsigned shared_note(struct shared *s, uint32_t hash, uint32_t user, int64_t now)
{
	unsigned others = 0;
	if (s->hash != hash)
		*s = (struct shared){.hash = hash};
	for (unsigned i = 0; i < 5; i++) {
		if (s->user[i] == user)
			return others + (i < 4 && s->user[i + 1] ? 4 - i : 0);
		if (!s->user[i]) {
			s->user[i] = user, s->time[i] = now;
			return others;
		}
		others++;
	}
	return others;
}

bool history_host_known(struct history *h, struct slice host, const struct user *u, int64_t now)
{
	uint32_t hash = history_hash(host);
	struct shared *s = &h->common->host[keyed(h->common->key, hash, HOSTS_TABLE - 1)];
	unsigned others = shared_note(s, hash, u->hash, now);
	/* a wave that began today does not make a host known */
	return others >= 2 && now - s->time[1] > DAY;
}

bool history_place_common(struct history *h, country cc, uint32_t asn, const struct user *u)
{
	uint32_t hash = ((uint32_t)cc << 16 ^ asn * 2654435761u) | 1;
	return shared_note(&h->common->place[keyed(h->common->key, hash, PLACES_TABLE - 1)], hash, u->hash, u->last) >= 4;
}

country history_home(struct history *h, country cc)
{
	struct common *c = h->common;
	if (cc && ++c->logins_from[cc] > c->logins_from[c->home])
		c->home = cc;
	return c->home;
}

unsigned history_spray(struct history *h, const struct ip *ip, const struct user *u, struct slice name, bool failed, int64_t now)
{
	struct ip net = ip_network(ip, ip_is4(ip) ? 32 : 64);
	uint32_t who = u ? u->hash : history_hash(name), hash = history_hash(slice_make(net.a, sizeof net.a));
	struct spray *s = &h->spray[index_of(h, hash, SPRAY_TABLE - 1)];
	if (memcmp(&s->ip, &net, sizeof net) != 0 || now - s->since > 3600) {
		if (!failed)
			return 0;
		*s = (struct spray){.ip = net, .since = now};
	}
	unsigned known = 0;
	while (known < s->n && s->user[known] != who)
		known++;
	if (failed && known == s->n && s->n < 64)
		s->user[s->n++] = who;
	return s->n;
}

bool history_new_recipient(struct history *h, const struct user *u, struct slice address)
{
	uint64_t x = history_hash64(address) ^ (uint64_t)u->hash * 0xff51afd7ed558ccdu ^ h->common->key;
	x *= 0xc4ceb9fe1a85ec53u;
	uint32_t *pair = &h->common->pair[(x >> 40) & (PAIRS_TABLE - 1)], mark = (uint32_t)x | 1;
	bool fresh = *pair != mark;
	*pair = mark;
	return fresh;
}

struct slice history_shared(const struct history *h)
{
	return slice_make(h->common, sizeof *h->common);
}
