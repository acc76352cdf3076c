/* The cache: see cache.h.  Keys are chosen by strangers (who ask for addresses that do not exist, by the million): hence the keyed hash
 * and hard limits.  Items stand in a chain of their slot and in one list by age; the oldest go first. */
#include "directory/cache.h"

#include <stdlib.h>

#include "lib/hash.h"

#define SLOTS 65536

struct item {
	struct item *next;           /* in the slot */
	struct item *older, *newer;  /* by age */
	uint64_t hash;
	int64_t until;
	size_t key_octets, value_octets;
	char kind;
	char data[];                 /* key, then value */
};

static struct item **slots;
static struct item *oldest, *newest;
static size_t items, octets;
static struct hash_key secret;

static size_t size_of(const struct item *i)
{
	return sizeof *i + i->key_octets + i->value_octets;
}

static struct item **find(char kind, struct slice key, uint64_t hash)
{
	struct item **at = &slots[hash % SLOTS];
	while (*at && !((*at)->hash == hash && (*at)->kind == kind && slice_eq(slice_make((*at)->data, (*at)->key_octets), key)))
		at = &(*at)->next;
	return at;
}

static void drop(struct item **at)
{
	struct item *i = *at;
	*at = i->next;
	*(i->older ? &i->older->newer : &oldest) = i->newer;
	*(i->newer ? &i->newer->older : &newest) = i->older;
	items--;
	octets -= size_of(i);
	free(i);
}

static void drop_oldest(void)
{
	struct item **at = &slots[oldest->hash % SLOTS];
	while (*at != oldest)
		at = &(*at)->next;
	drop(at);
}

bool cache_get(struct slice *value, char kind, struct slice key, int64_t now)
{
	if (!slots)
		return false;
	struct item **at = find(kind, key, hash_of(&secret, kind, key));
	if (!*at)
		return false;
	if ((*at)->until <= now) {
		drop(at);
		return false;
	}
	*value = slice_make((*at)->data + (*at)->key_octets, (*at)->value_octets);
	return true;
}

static bool prepare(void)
{
	if (!slots && (slots = calloc(SLOTS, sizeof *slots)))
		secret = hash_key_make();
	return slots != NULL;
}

static void add(struct item *i)
{
	struct item **slot = &slots[i->hash % SLOTS];
	i->next = *slot;
	*slot = i;
	i->newer = NULL;
	i->older = newest;
	*(newest ? &newest->newer : &oldest) = i;
	newest = i;
	items++;
	octets += size_of(i);
}

void cache_put(char kind, struct slice key, struct slice value, int64_t until)
{
	struct item *i = prepare() ? malloc(sizeof *i + key.n + value.n) : NULL;
	if (!i)
		return;
	*i = (struct item){.hash = hash_of(&secret, kind, key), .until = until, .key_octets = key.n, .value_octets = value.n, .kind = kind};
	if (key.n)
		memcpy(i->data, key.p, key.n);
	if (value.n)
		memcpy(i->data + key.n, value.p, value.n);
	struct item **old = find(kind, key, i->hash);
	if (*old)
		drop(old);
	add(i);
	while (items > CACHE_ITEMS_MAX || octets > CACHE_OCTETS_MAX)
		drop_oldest();
}

void cache_clear(void)
{
	while (oldest)
		drop_oldest();
}

size_t cache_items(void)
{
	return items;
}
