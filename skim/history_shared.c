/* What all users share: hosts in links, places, addresses from which passwords are tried, who wrote to whom.  See history.h.  Tables of fixed size with keyed
 * hashes: what collides is forgotten, so nobody can fill them.  Kept page by page; a process that reads only what it needs (the filter) loads pages at first use. */
#include "skim/history_own.h"

#include <stddef.h>

/* A name stands for a layout: who changes a struct changes its name here, and what was kept under the old one is left out. */
static const struct region {
	const char *name;
	size_t at, octets;
} regions[] = {
	{"misc1", offsetof(struct common, misc), sizeof(struct history_misc)},
	{"host1", offsetof(struct common, host), sizeof(struct shared) * HOSTS_TABLE},
	{"place1", offsetof(struct common, place), sizeof(struct shared) * PLACES_TABLE},
	{"from1", offsetof(struct common, logins_from), sizeof(uint32_t) * 65536},
	{"spray1", offsetof(struct common, spray), sizeof(struct spray) * SPRAY_TABLE},
	{"pair1", offsetof(struct common, pair), sizeof(uint32_t) * PAIRS_TABLE},
	{"canary1", offsetof(struct common, canary), sizeof(struct canary_use) * CANARY_TABLE},
};
#define REGIONS (sizeof regions / sizeof *regions)

static size_t pages_of(const struct region *r)
{
	return (r->octets + HISTORY_PAGE - 1) / HISTORY_PAGE;
}

/* The number, over all regions, of page N of region R. */
static size_t page_number(size_t r, size_t n)
{
	for (size_t i = 0; i < r; i++)
		n += pages_of(&regions[i]);
	return n;
}

static struct slice page_octets(const struct history *h, size_t r, size_t n)
{
	size_t at = n * HISTORY_PAGE, left = regions[r].octets - at;
	return slice_make((const char *)h->common + regions[r].at + at, left < HISTORY_PAGE ? left : HISTORY_PAGE);
}

bool history_page_put(struct history *h, struct slice region, long long number, struct slice data)
{
	for (size_t r = 0; r < REGIONS; r++) {
		if (!slice_eq_str(region, regions[r].name) || number < 0 || (unsigned long long)number >= pages_of(&regions[r]))
			continue;
		struct slice to = page_octets(h, r, (size_t)number);
		if (to.n != data.n)
			return false;
		memcpy((char *)h->common + (to.p - (const char *)h->common), data.p, data.n);
		return true;
	}
	return false;
}

bool history_take_page(struct history *h, const char **region, long long *number, struct slice *data)
{
	size_t all = page_number(REGIONS, 0);
	for (size_t seen = 0; h->pages_dirty && seen < all; seen++) {
		size_t at = h->page_hand, r = 0;
		h->page_hand = (h->page_hand + 1) % all;
		if (!h->page_dirty[at])
			continue;
		h->page_dirty[at] = 0;
		h->pages_dirty--;
		while (at >= pages_of(&regions[r]))
			at -= pages_of(&regions[r++]);
		*region = regions[r].name, *number = (long long)at, *data = page_octets(h, r, at);
		return true;
	}
	return false;
}

static size_t region_of(const struct history *h, const void *p)
{
	size_t at = (size_t)((const char *)p - (const char *)h->common), r = 0;
	while (r + 1 < REGIONS && at >= regions[r + 1].at)
		r++;
	return r;
}

/* Called for the pages from P on, N octets. */
static void each_page(struct history *h, const void *p, size_t n, void (*each)(struct history *h, size_t r, size_t page))
{
	size_t r = region_of(h, p), at = (size_t)((const char *)p - (const char *)h->common) - regions[r].at;
	for (size_t page = at / HISTORY_PAGE; page <= (at + n - 1) / HISTORY_PAGE; page++)
		each(h, r, page);
}

static void load_page(struct history *h, size_t r, size_t page)
{
	uint8_t *there = &h->page_there[page_number(r, page)];
	if (*there)
		return;
	*there = 1;
	h->source->page(h->source->arg, h, regions[r].name, (long long)page);
}

static void mark_page(struct history *h, size_t r, size_t page)
{
	uint8_t *dirty = &h->page_dirty[page_number(r, page)];
	h->pages_dirty += !*dirty;
	*dirty = 1;
}

/* Before N octets at P are read. */
static void look(struct history *h, const void *p, size_t n)
{
	if (h->source)
		each_page(h, p, n, load_page);
}

/* After they were changed. */
static void wrote(struct history *h, const void *p, size_t n)
{
	if (h->kept)
		each_page(h, p, n, mark_page);
}

struct history_misc *history_misc(struct history *h, bool changing)
{
	look(h, &h->common->misc, sizeof h->common->misc);
	if (changing)
		wrote(h, &h->common->misc, sizeof h->common->misc);
	return &h->common->misc;
}

static size_t keyed(const struct history *h, uint32_t hash, size_t mask)
{
	uint64_t x = (hash ^ h->common->misc.key) * 0x9e3779b97f4a7c15u;
	return (size_t)(x >> 20) & mask;
}

/* Notes USER for the thing HASH; how many others used it before. */
static unsigned shared_note(struct history *h, struct shared *s, uint32_t hash, uint32_t user, int64_t now)
{
	unsigned others = 0;
	look(h, s, sizeof *s);
	if (s->hash != hash)
		*s = (struct shared){.hash = hash};
	for (unsigned i = 0; i < 5; i++) {
		if (s->user[i] == user)
			return others + (i < 4 && s->user[i + 1] ? 4 - i : 0);
		if (!s->user[i]) {
			s->user[i] = user, s->time[i] = now;
			wrote(h, s, sizeof *s);
			return others;
		}
		others++;
	}
	return others;
}

bool history_host_known(struct history *h, struct slice host, const struct user *u, int64_t now)
{
	uint32_t hash = history_hash(host);
	struct shared *s = &h->common->host[keyed(h, hash, HOSTS_TABLE - 1)];
	unsigned others = shared_note(h, s, hash, u->hash, now);
	/* a wave that began today does not make a host known */
	return others >= 2 && now - s->time[1] > DAY;
}

bool history_place_common(struct history *h, country cc, uint32_t asn, const struct user *u)
{
	uint32_t hash = ((uint32_t)cc << 16 ^ asn * 2654435761u) | 1;
	return shared_note(h, &h->common->place[keyed(h, hash, PLACES_TABLE - 1)], hash, u->hash, u->last) >= 4;
}

country history_home(struct history *h, country cc)
{
	struct common *c = h->common;
	if (!cc)
		return c->misc.home;
	look(h, &c->logins_from[cc], sizeof c->logins_from[cc]);
	look(h, &c->logins_from[c->misc.home], sizeof c->logins_from[c->misc.home]);
	if (++c->logins_from[cc] > c->logins_from[c->misc.home])
		c->misc.home = cc;
	wrote(h, &c->logins_from[cc], sizeof c->logins_from[cc]);
	return c->misc.home;
}

unsigned history_spray(struct history *h, const struct ip *ip, const struct user *u, struct slice name, bool failed, int64_t now)
{
	struct ip net = ip_network(ip, ip_is4(ip) ? 32 : 64);
	uint32_t who = u ? u->hash : history_hash(name), hash = history_hash(slice_make(net.a, sizeof net.a));
	struct spray *s = &h->common->spray[keyed(h, hash, SPRAY_TABLE - 1)];
	look(h, s, sizeof *s);
	if (memcmp(&s->ip, &net, sizeof net) != 0 || now - s->since > 3600) {
		if (!failed)
			return 0;
		*s = (struct spray){.ip = net, .since = now};
	}
	unsigned known = 0;
	while (known < s->n && s->user[known] != who)
		known++;
	if (failed && known == s->n && s->n < 64) {
		s->user[s->n++] = who;
		wrote(h, s, sizeof *s);
	}
	return s->n;
}

bool history_new_recipient(struct history *h, const struct user *u, struct slice address)
{
	uint64_t x = history_hash64(address) ^ (uint64_t)u->hash * 0xff51afd7ed558ccdu ^ h->common->misc.key;
	x *= 0xc4ceb9fe1a85ec53u;
	uint32_t *pair = &h->common->pair[(x >> 40) & (PAIRS_TABLE - 1)], mark = (uint32_t)x | 1;
	look(h, pair, sizeof *pair);
	bool fresh = *pair != mark;
	*pair = mark;
	if (fresh)
		wrote(h, pair, sizeof *pair);
	return fresh;
}

/* The oldest goes; there are few. */
bool history_canary_note(struct history *h, const struct ip *ip, int64_t now)
{
	struct canary_use *c = h->common->canary, *use = c;
	look(h, c, sizeof h->common->canary);
	for (size_t i = 0; i < CANARY_TABLE; i++) {
		if (c[i].time && memcmp(&c[i].ip, ip, sizeof *ip) == 0) {
			use = &c[i];
			break;
		}
		if (c[i].time < use->time)
			use = &c[i];
	}
	bool fresh = memcmp(&use->ip, ip, sizeof *ip) != 0 || now - use->time > 3600;
	*use = (struct canary_use){*ip, now};
	wrote(h, use, sizeof *use);
	return fresh;
}

bool history_canary_used(struct history *h, const struct ip *ip, int64_t since)
{
	const struct canary_use *c = h->common->canary;
	look(h, c, sizeof h->common->canary);
	for (size_t i = 0; i < CANARY_TABLE; i++)
		if (c[i].time && c[i].time >= since && memcmp(&c[i].ip, ip, sizeof *ip) == 0)
			return true;
	return false;
}
