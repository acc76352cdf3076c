/* The index: see index.h.  Pure memory, fed with ids that were checked before. */
#include "queue/index.h"

#include <stdlib.h>

/* Ids end in bits that are the same for a whole process and begin with the time: mix all of them (FNV-1a, finished by a multiplication). */
static uint32_t hash(const char *id)
{
	uint64_t h = 14695981039346656037ull;
	for (int i = 0; i < ID_LEN; i++)
		h = (h ^ (unsigned char)id[i]) * 1099511628211ull;
	return (uint32_t)((h ^ h >> 29) * 0x9e3779b97f4a7c15ull >> 32);
}

static struct message *nth(const struct index *x, uint32_t n)
{
	return &x->block[n / INDEX_BLOCK][n % INDEX_BLOCK];
}

struct message *index_nth(const struct index *x, uint32_t n)
{
	struct message *m = n < x->used ? nth(x, n) : NULL;
	return m && m->id[0] ? m : NULL;
}

/* Where the id stands in the table, or the free place where it would. */
static uint32_t place(const struct index *x, const char *id)
{
	uint32_t at = hash(id) & (x->table_room - 1);
	while (x->table[at] && memcmp(nth(x, x->table[at] - 1)->id, id, ID_LEN) != 0)
		at = (at + 1) & (x->table_room - 1);
	return at;
}

struct message *index_find(const struct index *x, const char *id)
{
	if (!x->count)
		return NULL;
	uint32_t at = place(x, id);
	return x->table[at] ? nth(x, x->table[at] - 1) : NULL;
}

static bool grow_table(struct index *x)
{
	if (x->table_room && x->count < x->table_room / 2)
		return true;
	uint32_t *old = x->table, room = x->table_room, more = room ? room * 2 : 1024;
	uint32_t *table = calloc(more, sizeof *table);
	if (!table)
		return false;
	x->table = table;
	x->table_room = more;
	for (uint32_t i = 0; i < room; i++)
		if (old[i])
			x->table[place(x, nth(x, old[i] - 1)->id)] = old[i];
	free(old);
	return true;
}

static bool grow_list(uint32_t **list, uint32_t *room, uint32_t need)
{
	if (need <= *room)
		return true;
	uint32_t more = *room ? *room + *room / 2 : 1024;
	uint32_t *grown = reallocarray(*list, more, sizeof *grown);
	if (!grown)
		return false;
	*list = grown;
	*room = more;
	return true;
}

static bool grow_blocks(struct index *x)
{
	if (x->free_count || x->used < x->blocks * INDEX_BLOCK)
		return true;
	struct message **block = reallocarray(x->block, x->blocks + 1, sizeof(struct message *));
	if (!block)
		return false;
	x->block = block;
	x->block[x->blocks] = calloc(INDEX_BLOCK, sizeof(struct message));
	if (!x->block[x->blocks])
		return false;
	x->blocks++;
	return true;
}

struct message *index_add(struct index *x, const char *id)
{
	/* Room for this one in every list, so that nothing that follows can fail. */
	if (!grow_blocks(x) || !grow_table(x) || !grow_list(&x->heap, &x->heap_room, x->count + 2) ||
	    !grow_list(&x->free, &x->free_room, x->count + x->free_count + 2))
		return NULL;
	uint32_t n = x->free_count ? x->free[--x->free_count] : x->used++;
	struct message *m = nth(x, n);
	*m = (struct message){.self = n};
	uint32_t at = place(x, id);
	memcpy(m->id, id, ID_LEN);
	x->table[at] = n + 1;
	x->count++;
	return m;
}

/* Open addressing without tombstones: what follows in the same run moves up. */
static void remove_from_table(struct index *x, const struct message *m)
{
	uint32_t mask = x->table_room - 1, hole = place(x, m->id);
	for (uint32_t at = (hole + 1) & mask; x->table[at]; at = (at + 1) & mask) {
		uint32_t home = hash(nth(x, x->table[at] - 1)->id) & mask;
		if (((at - home) & mask) >= ((at - hole) & mask)) {
			x->table[hole] = x->table[at];
			hole = at;
		}
	}
	x->table[hole] = 0;
}

void index_remove(struct index *x, struct message *m)
{
	index_stop_waiting(x, m);
	remove_from_table(x, m);
	m->id[0] = 0;
	x->free[x->free_count++] = m->self;
	x->count--;
}

static bool earlier(const struct index *x, uint32_t a, uint32_t b)
{
	const struct message *m = nth(x, x->heap[a]), *n = nth(x, x->heap[b]);
	return m->next_sec != n->next_sec ? m->next_sec < n->next_sec : memcmp(m->id, n->id, ID_LEN) < 0;
}

static void swap(struct index *x, uint32_t a, uint32_t b)
{
	uint32_t n = x->heap[a];
	x->heap[a] = x->heap[b];
	x->heap[b] = n;
	nth(x, x->heap[a])->heap_at = a;
	nth(x, x->heap[b])->heap_at = b;
}

static void sift(struct index *x, uint32_t at)
{
	for (; at > 1 && earlier(x, at, at / 2); at /= 2)
		swap(x, at, at / 2);
	for (;;) {
		uint32_t least = at;
		for (uint32_t child = at * 2; child <= at * 2 + 1 && child <= x->heap_count; child++)
			if (earlier(x, child, least))
				least = child;
		if (least == at)
			return;
		swap(x, at, least);
		at = least;
	}
}

void index_wait(struct index *x, struct message *m, uint32_t next_sec)
{
	m->next_sec = next_sec;
	if (!m->heap_at) {
		m->heap_at = ++x->heap_count;
		x->heap[m->heap_at] = m->self;
	}
	sift(x, m->heap_at);
}

void index_stop_waiting(struct index *x, struct message *m)
{
	uint32_t at = m->heap_at;
	if (!at)
		return;
	if (at != x->heap_count)
		swap(x, at, x->heap_count);
	x->heap_count--;
	m->heap_at = 0;
	if (at <= x->heap_count)
		sift(x, at);
}

struct message *index_first(const struct index *x)
{
	return x->heap_count ? nth(x, x->heap[1]) : NULL;
}

void index_free(struct index *x)
{
	for (uint32_t i = 0; i < x->blocks; i++)
		free(x->block[i]);
	free(x->block);
	free(x->free);
	free(x->table);
	free(x->heap);
	*x = (struct index){0};
}

size_t index_octets(const struct index *x)
{
	return (size_t)x->blocks * INDEX_BLOCK * sizeof(struct message) +
	       ((size_t)x->table_room + x->heap_room + x->free_room) * sizeof(uint32_t);
}
