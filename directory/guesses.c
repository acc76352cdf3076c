/* See guesses.h.  Part of postern-directory; clients choose accounts and passwords, so hashes are keyed and the table never grows. */
#include "directory/guesses.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/addr.h"
#include "lib/buf.h"
#include "lib/hash.h"

#define WAYS 8u
#define PASSWORDS 4u /* the latest ones that count as the same again */
#define KEY_MAX 1024

struct pair {
	uint64_t key;               /* 0: free */
	int64_t at;                 /* of .used */
	int64_t known_until;        /* the account logged in from here */
	float used;
	uint32_t last[PASSWORDS];
};
struct guesses {
	struct hash_key secret;
	unsigned most;
	int64_t msec;               /* .most places come back in so long */
	struct pair pair[GUESSES_PAIRS];
};

struct guesses *guesses_make(unsigned most, unsigned sec)
{
	struct guesses *g = calloc(1, sizeof *g); /* pages come when they are used */
	if (g) {
		g->secret = hash_key_make();
		g->most = most;
		g->msec = (int64_t)sec * 1000;
	}
	return g;
}

void guesses_free(struct guesses *g)
{
	free(g);
}

/* 0: not to be counted. */
static uint64_t key_of(const struct guesses *g, struct slice account, struct slice ip)
{
	struct ip a;
	char space[KEY_MAX];
	struct buf b = BUF_OVER(space);
	if (!g->most || ip_parse(&a, ip) < 0)
		return 0;
	struct ip network = ip_network(&a, ip_is4(&a) ? 24 : 64);
	buf_add(&b, &network, sizeof network);
	buf_add_slice(&b, slice_upto(account, KEY_MAX - sizeof network));
	uint64_t key = hash_of(&g->secret, 'p', buf_slice(&b));
	return key ? key : 1;
}

static const struct pair *find(const struct guesses *g, uint64_t key)
{
	const struct pair *p = &g->pair[key % (GUESSES_PAIRS / WAYS) * WAYS];
	for (unsigned i = 0; i < WAYS; i++, p++)
		if (p->key == key)
			return p;
	return NULL;
}

/* The pair's own place, or that of the one that did nothing for the longest time. */
static struct pair *place(struct guesses *g, uint64_t key, int64_t now)
{
	struct pair *p = &g->pair[key % (GUESSES_PAIRS / WAYS) * WAYS], *best = p;
	for (unsigned i = 0; i < WAYS; i++, p++) {
		if (p->key == key)
			return p;
		if (p->at < best->at)
			best = p;
	}
	*best = (struct pair){.key = key, .at = now};
	return best;
}

static double used_now(const struct guesses *g, const struct pair *p, int64_t now)
{
	double back = now > p->at ? (double)(now - p->at) * g->most / (double)g->msec : 0;
	return (double)p->used > back ? (double)p->used - back : 0;
}

int64_t guesses_wait(const struct guesses *g, struct slice account, struct slice ip, int64_t now)
{
	uint64_t key = key_of(g, account, ip);
	const struct pair *p = key ? find(g, key) : NULL;
	double over = p && p->known_until <= now ? used_now(g, p, now) + 1 - g->most : 0;
	return over <= 0 ? 0 : (int64_t)(over * (double)g->msec / g->most) + 1;
}

static bool seen(struct pair *p, uint32_t password)
{
	for (unsigned i = 0; i < PASSWORDS; i++)
		if (p->last[i] == password)
			return true;
	for (unsigned i = PASSWORDS - 1; i > 0; i--)
		p->last[i] = p->last[i - 1];
	p->last[0] = password;
	return false;
}

void guesses_wrong(struct guesses *g, struct slice account, struct slice ip, struct slice password, int64_t now)
{
	uint64_t key = key_of(g, account, ip);
	struct pair *p = key ? place(g, key, now) : NULL;
	if (!p || seen(p, (uint32_t)hash_of(&g->secret, 'w', password) | 1))
		return;
	p->used = (float)(used_now(g, p, now) + 1);
	p->at = now;
}

void guesses_right(struct guesses *g, struct slice account, struct slice ip, int64_t now)
{
	uint64_t key = key_of(g, account, ip);
	if (!key)
		return;
	struct pair *p = place(g, key, now);
	*p = (struct pair){.key = key, .at = now, .known_until = now + GUESSES_KNOWN_SEC * 1000LL};
}
