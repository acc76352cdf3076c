/* Arenas: see arena.h.  A list of chunks; what does not fit into the newest one gets a new one. */
#include "lib/arena.h"

#include <stdlib.h>

#define CHUNK ((size_t)16 * 1024)

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	char octets[];
};

char *arena_room(struct arena *a, size_t n)
{
	struct arena_chunk *c = a->chunk;
	if (!c || c->size - c->used < n) {
		size_t size = n > CHUNK ? n : CHUNK, all;
		if (__builtin_add_overflow(size, sizeof *c, &all) || !(c = malloc(all)))
			return NULL;
		*c = (struct arena_chunk){.next = a->chunk, .size = size};
		a->chunk = c;
	}
	c->used += n;
	return c->octets + c->used - n;
}

int arena_copy(struct slice *out, struct arena *a, struct slice s)
{
	char *p = arena_room(a, s.n);
	if (!p)
		return -1;
	if (s.n)
		memcpy(p, s.p, s.n);
	*out = slice_make(p, s.n);
	return 0;
}

void arena_free(struct arena *a)
{
	while (a->chunk) {
		struct arena_chunk *next = a->chunk->next;
		free(a->chunk);
		a->chunk = next;
	}
}
