/* SipHash-2-4: see door_hash.h.  J.-P. Aumasson, D. J. Bernstein: SipHash, a fast short-input PRF, 2012. */
#include "smtpd-outside/door_hash.h"

#include <stdlib.h>
#include <sys/random.h>

struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotl(uint64_t x, unsigned b)
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

static uint64_t little_endian(const unsigned char *p, size_t n)
{
	uint64_t m = 0;
	for (size_t i = 0; i < n; i++)
		m |= (uint64_t)p[i] << (8 * i);
	return m;
}

uint64_t door_siphash(uint64_t k0, uint64_t k1, const void *data, size_t n)
{
	const unsigned char *p = data;
	struct sip s = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
	size_t whole = n / 8 * 8;
	for (size_t i = 0; i < whole; i += 8)
		word(&s, little_endian(p + i, 8));
	word(&s, little_endian(p + whole, n - whole) | (uint64_t)n << 56);
	s.v2 ^= 0xff;
	rounds(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t door_hash(const void *p, size_t n)
{
	static uint64_t key[2];
	static bool drawn;
	if (!drawn && getrandom(key, sizeof key, 0) != (ssize_t)sizeof key)
		abort();
	drawn = true;
	return door_siphash(key[0], key[1], p, n);
}

uint64_t door_hash_network(const struct ip *ip, unsigned bits)
{
	unsigned char key[sizeof ip->a + 1];
	memcpy(key, ip->a, sizeof ip->a);
	key[sizeof ip->a] = (unsigned char)bits;
	return door_hash(key, sizeof key);
}
