/* SipHash-2-4 of a key, with a secret drawn at start, so that whoever chooses addresses cannot choose collisions.
 * Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012). */
#ifndef POSTERN_LIB_HASH_H
#define POSTERN_LIB_HASH_H
#include <stdint.h>

#include "lib/slice.h"

struct hash_key {
	uint64_t k0, k1;
};
/* A fresh secret; aborts when the kernel has no random octets, which it always has after boot. */
struct hash_key hash_key_make(void);
/* Hash of the octet TAG (what kind of key it is) and KEY; octets of KEY count as they are. */
uint64_t hash_of(const struct hash_key *k, char tag, struct slice key);
#endif
