/* The hash of networks and names for tables whose keys clients choose: keyed (lib/hash.h), the key drawn once per process. */
#ifndef POSTERN_SMTPD_DOOR_HASH_H
#define POSTERN_SMTPD_DOOR_HASH_H
#include <stdint.h>

#include "lib/addr.h"

/* Of a network: its address and its number of bits.  Draws the key when it was not drawn yet. */
uint64_t door_hash_network(const struct ip *ip, unsigned bits);
/* Of a host's name, in lower case. */
uint64_t door_hash_name(struct slice name);
#endif
