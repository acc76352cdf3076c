/* See door_hash.h. */
#include "smtpd-outside/door_hash.h"

#include "lib/hash.h"

static const struct hash_key *the_key(void)
{
	static struct hash_key key;
	static bool drawn;
	if (!drawn)
		key = hash_key_make();
	drawn = true;
	return &key;
}

uint64_t door_hash_network(const struct ip *ip, unsigned bits)
{
	return hash_of(the_key(), (char)bits, slice_make(ip->a, sizeof ip->a));
}

uint64_t door_hash_name(struct slice name)
{
	return hash_of(the_key(), 'n', name);
}
