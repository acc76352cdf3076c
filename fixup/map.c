/* The rule table: see map.h.  Keys come from the administrator, what is looked up from anybody; chains therefore depend on the
 * administrator's keys alone.  Open addressing, at most half full.  The hash runs from the last octet to the first, so that one pass
 * over a domain gives the hash of each of its suffixes. */
#include "fixup/map.h"

#include <stdlib.h>

#define HASH_START 2166136261u /* FNV-1a */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static uint32_t hash_more(uint32_t h, char c)
{
	return (h ^ (unsigned char)lower(c)) * 16777619u;
}

static uint32_t hash_of(struct slice key)
{
	uint32_t h = HASH_START;
	for (size_t i = key.n; i > 0; i--)
		h = hash_more(h, key.p[i - 1]);
	return h;
}

struct slice map_key(const struct map *m, const struct map_entry *e)
{
	return slice_make(m->text.p + e->key_at, e->key_octets);
}

struct slice map_to(const struct map *m, const struct map_entry *e)
{
	return slice_make(m->text.p + e->to_at, e->to_octets);
}

/* Where KEY is or would be. */
static uint32_t *place(const struct map *m, struct slice key, uint32_t hash)
{
	uint32_t i = hash & (m->slots - 1);
	while (m->slot[i]) {
		const struct map_entry *e = &m->entry[m->slot[i] - 1];
		if (e->hash == hash && slice_case_eq(map_key(m, e), key))
			break;
		i = (i + 1) & (m->slots - 1);
	}
	return &m->slot[i];
}

static int grow(struct map *m)
{
	uint32_t room = m->room ? m->room * 2 : 16;
	struct map_entry *entry = reallocarray(m->entry, room, sizeof *entry);
	if (!entry)
		return E_SYS;
	m->entry = entry;
	uint32_t *slot = calloc((size_t)room * 2, sizeof *slot);
	if (!slot)
		return E_SYS;
	free(m->slot);
	m->slot = slot;
	m->slots = room * 2;
	m->room = room;
	for (uint32_t i = 0; i < m->entries; i++)
		*place(m, map_key(m, &m->entry[i]), m->entry[i].hash) = i + 1;
	return 0;
}

int map_add(struct map *m, const struct map_entry **old, struct slice key, struct slice to, int line)
{
	uint32_t hash = hash_of(key), *slot;
	*old = NULL;
	if (m->entries == m->room && grow(m))
		return E_SYS;
	slot = place(m, key, hash);
	if (*slot) {
		*old = &m->entry[*slot - 1];
		return 0;
	}
	size_t key_at = m->text.n;
	buf_add_slice(&m->text, key);
	size_t to_at = m->text.n;
	buf_add_slice(&m->text, to);
	if (m->text.overflow)
		return E_SYS;
	m->entry[m->entries++] = (struct map_entry){(uint32_t)key_at, (uint32_t)key.n, (uint32_t)to_at, (uint32_t)to.n, hash, line};
	*slot = m->entries;
	return 0;
}

static const struct map_entry *find(const struct map *m, struct slice key, uint32_t hash)
{
	uint32_t at = *place(m, key, hash);
	return at ? &m->entry[at - 1] : NULL;
}

const struct map_entry *map_find(const struct map *m, struct slice key)
{
	return m->entries ? find(m, key, hash_of(key)) : NULL;
}

const struct map_entry *map_find_domain(const struct map *m, struct slice domain)
{
	const struct map_entry *best = NULL, *e;
	uint32_t h = HASH_START;
	if (m->entries == 0)
		return NULL;
	for (size_t i = domain.n; i-- > 0; ) {
		h = hash_more(h, domain.p[i]);
		if ((domain.p[i] == '.' || i == 0) && (e = find(m, slice_from(domain, i), h)))
			best = e;
	}
	return best;
}

void map_free(struct map *m)
{
	free(m->entry);
	free(m->slot);
	buf_free(&m->text);
	*m = MAP_INIT;
}
