/* See door_hash.h. */
#include "smtpd-outside/door_hash.h"

#include "lib/hash.h"

uint64_t door_hash_network(const struct ip *ip, unsigned bits)
{
	static struct hash_key key;
	static bool drawn;
	if (!drawn)
		key = hash_key_make();
	drawn = true;
	return hash_of(&key, (char)bits, slice_make(ip->a, sizeof ip->a));
}
