/* SipHash-2-4: see hash.h.  The tag stands before the key. */

#include "lib/hash.h"

#include <stdlib.h>
#include <sys/random.h>

struct hash_key hash_key_make(void)
{
	struct hash_key k;
	if (getrandom(&k, sizeof k, 0) != (ssize_t)sizeof k)
		abort();
	return k;
}

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static void rounds(struct sip *s, int n)
{
	while (n-- > 0) {
		s->v0 += s->v1, s->v1 = rotl(s->v1, 13) ^ s->v0, s->v0 = rotl(s->v0, 32);
		s->v2 += s->v3, s->v3 = rotl(s->v3, 16) ^ s->v2;
		s->v0 += s->v3, s->v3 = rotl(s->v3, 21) ^ s->v0;
		s->v2 += s->v1, s->v1 = rotl(s->v1, 17) ^ s->v2, s->v2 = rotl(s->v2, 32);
	}
}

static void word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	rounds(s, 2);
	s->v0 ^= m;
}

uint64_t hash_of(const struct hash_key *k, char tag, struct slice key)
{
	struct sip s = {k->k0 ^ 0x736f6d6570736575u, k->k1 ^ 0x646f72616e646f6du, k->k0 ^ 0x6c7967656e657261u, k->k1 ^ 0x7465646279746573u};
	uint64_t m = (unsigned char)tag;
	size_t total = key.n + 1;
	for (size_t i = 0; i < key.n; i++) {
		size_t at = (i + 1) % 8;
		m |= (uint64_t)(unsigned char)key.p[i] << (8 * at);
		if (at == 7) {
			word(&s, m);
			m = 0;
		}
	}
	word(&s, m | (uint64_t)total << 56);
	s.v2 ^= 0xff;
	rounds(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
