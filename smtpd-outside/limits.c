/* Counters by address and network: see limits.h.  Part of postern-door; clients choose the keys, so the hash is keyed.
 *
 * One table for both, open addressing with linear probing; an entry whose count falls to zero is taken out by moving later ones
 * back (Knuth 6.4, algorithm R), so that the table never fills with what once was. */
#include "smtpd-outside/limits.h"

#include <stdlib.h>

#include "smtpd-outside/door_hash.h"

struct entry {
	struct ip ip;
	uint32_t bits;
	uint32_t count; /* 0: free */
};
struct limits {
	struct entry *entry;
	size_t size, used; /* size is a power of two, at most half of it used */
};

#define FIRST_SIZE 64

struct limits *limits_make(void)
{
	struct limits *l = calloc(1, sizeof *l);
	if (l && !(l->entry = calloc(l->size = FIRST_SIZE, sizeof *l->entry))) {
		free(l);
		return NULL;
	}
	return l;
}

void limits_free(struct limits *l)
{
	if (l)
		free(l->entry);
	free(l);
}

static size_t home(const struct limits *l, const struct ip *ip, unsigned bits)
{
	return door_hash_network(ip, bits) & (l->size - 1);
}

static size_t find(const struct limits *l, const struct ip *ip, unsigned bits)
{
	size_t at = home(l, ip, bits);
	while (l->entry[at].count && (l->entry[at].bits != bits || memcmp(&l->entry[at].ip, ip, sizeof *ip) != 0))
		at = (at + 1) & (l->size - 1);
	return at;
}

static int grow(struct limits *l)
{
	struct limits more = {calloc(l->size * 2, sizeof *more.entry), l->size * 2, l->used};
	if (!more.entry)
		return E_SYS;
	for (size_t i = 0; i < l->size; i++)
		if (l->entry[i].count)
			more.entry[find(&more, &l->entry[i].ip, l->entry[i].bits)] = l->entry[i];
	free(l->entry);
	*l = more;
	return 0;
}

static void add(struct limits *l, const struct ip *ip, unsigned bits)
{
	struct entry *entry = &l->entry[find(l, ip, bits)];
	if (entry->count == 0) {
		*entry = (struct entry){*ip, bits, 0};
		l->used++;
	}
	entry->count++;
}

/* Close the gap at AT: every later entry that could not be found across the gap moves into it. */
static void take_out(struct limits *l, size_t at)
{
	size_t mask = l->size - 1;
	for (size_t next = (at + 1) & mask; l->entry[next].count; next = (next + 1) & mask) {
		size_t want = home(l, &l->entry[next].ip, l->entry[next].bits);
		if (((next - want) & mask) < ((next - at) & mask))
			continue;
		l->entry[at] = l->entry[next];
		at = next;
	}
	l->entry[at].count = 0;
	l->used--;
}

static void drop(struct limits *l, const struct ip *ip, unsigned bits)
{
	size_t at = find(l, ip, bits);
	if (l->entry[at].count > 1)
		l->entry[at].count--;
	else if (l->entry[at].count == 1)
		take_out(l, at);
}

static unsigned whole_bits(const struct ip *ip)
{
	return ip_is4(ip) ? 32 : 128;
}

/* A network's bits are chosen so that none is ever taken for an address. */
static unsigned network_bits(const struct ip *ip)
{
	return ip_is4(ip) ? 24 : 64;
}

int limits_enter(struct limits *l, const struct ip *client)
{
	struct ip network = ip_network(client, network_bits(client));
	if ((l->used + 2) * 2 > l->size && grow(l) < 0)
		return E_SYS;
	add(l, client, whole_bits(client));
	add(l, &network, network_bits(client));
	return 0;
}

void limits_leave(struct limits *l, const struct ip *client)
{
	struct ip network = ip_network(client, network_bits(client));
	drop(l, client, whole_bits(client));
	drop(l, &network, network_bits(client));
}

unsigned limits_address(const struct limits *l, const struct ip *client)
{
	return l->entry[find(l, client, whole_bits(client))].count;
}

unsigned limits_network(const struct limits *l, const struct ip *client)
{
	struct ip network = ip_network(client, network_bits(client));
	return l->entry[find(l, &network, network_bits(client))].count;
}

size_t limits_size(const struct limits *l)
{
	return l->used;
}

int limits_check(const struct limits *l, const struct ip *client, long long maxperip, long long maxpernet, struct err *e)
{
	unsigned address = limits_address(l, client) + 1, network = limits_network(l, client) + 1;
	if (maxperip && address > maxperip)
		return err_set(e, E_REFUSED, "maxperip %u of %lld", address, maxperip);
	if (maxpernet && network > maxpernet)
		return err_set(e, E_REFUSED, "maxpernet %u of %lld", network, maxpernet);
	return 0;
}
