/* A keyed hash (SipHash-2-4, https://131002.net/siphash/) for tables whose keys clients choose: without the key nobody can aim many
 * addresses at one slot.  The key is drawn once per process. */
#ifndef POSTERN_SMTPD_DOOR_HASH_H
#define POSTERN_SMTPD_DOOR_HASH_H
#include <stdint.h>

#include "lib/addr.h"

/* Draws the key when it was not drawn yet (getrandom; cannot fail after start-up). */
uint64_t door_hash(const void *p, size_t n);
/* Of a network: address and number of bits. */
uint64_t door_hash_network(const struct ip *ip, unsigned bits);
/* With a given key, for tests. */
uint64_t door_siphash(uint64_t k0, uint64_t k1, const void *p, size_t n);
#endif
