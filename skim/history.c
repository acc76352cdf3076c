/* The memory of the detection: see history.h.  Names, addresses and hashes come from events, so from anybody who can log in; the tables are bounded and their
 * hash is keyed, so that nobody can fill or slow them by choosing names. */
#include "skim/history_own.h"

#include <stdlib.h>
#include <sys/random.h>

#include "lib/netstring.h"

#define EVICT_LOOK 64

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

static size_t index_of(const struct history *h, uint32_t hash, size_t mask)
{
	uint64_t x = (hash ^ h->key) * 0x9e3779b97f4a7c15u;
	return (size_t)(x >> 20) & mask;
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
	h->gone = BUF_INIT((size_t)64 << 20);
	if (getrandom(&h->key, sizeof h->key, 0) != sizeof h->key)
		h->key = 0x5bd1e995;
	if (h->slot && h->common) {
		h->common->misc.key = h->key;
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
	free(u->counts);
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
		free(h->dirty);
		buf_free(&h->gone);
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

static void leave(struct history *h, struct user *u)
{
	if (h->kept)
		netstring_add(&h->gone, slice_make(u->name, u->name_n));
	if (u->dirty) {
		struct user *last = h->dirty[--h->dirties];
		h->dirty[u->dirty - 1] = last;
		last->dirty = u->dirty;
	}
	history_user_free(u);
}

/* Take slot I out and close the gap behind it. */
static void take_out(struct history *h, size_t i)
{
	size_t mask = h->size - 1, j = i;
	leave(h, h->slot[i]);
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
	if (!h->slot[i] && h->source) {
		struct user *known = h->source->user(h->source->arg, name);
		if (known && !history_put(h, known))
			history_user_free(known);
		i = probe(h, hash, name);
	}
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

void history_touch(struct history *h, struct user *u)
{
	if (!h->kept || u->dirty)
		return;
	if (h->dirties == h->dirty_room) {
		size_t room = h->dirty_room ? h->dirty_room * 2 : 1024;
		struct user **more = reallocarray(h->dirty, room, sizeof *more);
		if (!more)
			return;
		h->dirty = more, h->dirty_room = room;
	}
	h->dirty[h->dirties++] = u;
	u->dirty = (uint32_t)h->dirties;
}

struct user *history_take_touched(struct history *h)
{
	if (h->dirties == 0)
		return NULL;
	struct user *u = h->dirty[--h->dirties];
	u->dirty = 0;
	return u;
}

struct buf *history_gone(struct history *h)
{
	return &h->gone;
}

bool history_changed(const struct history *h)
{
	return h->dirties || h->gone.n || h->pages_dirty;
}

size_t history_forget(struct history *h, int64_t before)
{
	size_t gone = 0;
	for (size_t i = 0; i < h->size;) {
		const struct user *u = h->slot[i];
		bool old = u && u != h->pinned && u->last < before && u->state == USER_FREE && !u->mark && u->travel_until < before;
		if (old)
			take_out(h, i), gone++; /* what closes the gap now stands here */
		else
			i++;
	}
	return gone;
}

void history_keep(struct history *h, const struct history_source *source)
{
	h->kept = true;
	h->source = source;
}
