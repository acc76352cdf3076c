/* A table from text to text, filled once and then only read; the time to look one up does not grow with the table. */
#ifndef POSTERN_FIXUP_MAP_H
#define POSTERN_FIXUP_MAP_H
#include <stdint.h>

#include "lib/buf.h"
#include "lib/err.h"

struct map_entry {
	uint32_t key_at, key_octets, to_at, to_octets;
	uint32_t hash;
	int line; /* of the control file */
};
struct map {
	struct map_entry *entry;
	uint32_t entries, room;
	uint32_t *slot; /* entry + 1; 0: free */
	uint32_t slots; /* a power of two */
	struct buf text;
};
#define MAP_TEXT_MAX ((size_t)1 << 30)
#define MAP_INIT ((struct map){.text = BUF_INIT(MAP_TEXT_MAX)})

/* Add KEY with TO; where KEY is there already, nothing is added and *OLD is that entry, else NULL.  0 or E_SYS (no memory). */
MUST_CHECK int map_add(struct map *m, const struct map_entry **old, struct slice key, struct slice to, int line);
/* NULL: not there.  ASCII case does not count. */
const struct map_entry *map_find(const struct map *m, struct slice key);
/* The entry for DOMAIN itself, or else for the longest ".suffix" of it, or NULL. */
const struct map_entry *map_find_domain(const struct map *m, struct slice domain);
/* Until the next map_add(). */
struct slice map_key(const struct map *m, const struct map_entry *e);
struct slice map_to(const struct map *m, const struct map_entry *e);
void map_free(struct map *m);
#endif
