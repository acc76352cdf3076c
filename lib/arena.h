/* Arenas: memory for one message or session, given back at once. */
#ifndef POSTERN_LIB_ARENA_H
#define POSTERN_LIB_ARENA_H
#include "lib/slice.h"

/* Start with {0}. */
struct arena {
	struct arena_chunk *chunk;
};
/* N octets that stay where they are until arena_free(); NULL without memory. */
char *arena_room(struct arena *a, size_t n);
/* A copy of S in A.  0, or -1 without memory. */
MUST_CHECK int arena_copy(struct slice *out, struct arena *a, struct slice s);
void arena_free(struct arena *a);
#endif
