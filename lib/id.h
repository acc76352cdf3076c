/* Message ids: 13 characters of Crockford base 32 in lower case (no i, l, o, u), sortable by time.
 *
 * 65 bits: 43 bits count 128-microsecond ticks since 2020-01-01 (enough until 2055), 22 bits are the process id mixed with
 * the host name.  One process never uses a tick twice, so ids are unique on a host by construction;
 * two hosts clash by chance in about one pair of simultaneous messages of four million. */
#ifndef POSTERN_LIB_ID_H
#define POSTERN_LIB_ID_H
#include <stdint.h>

#include "lib/slice.h"

#define ID_LEN 13
/* The host's share of the ids; call once at start-up with control/me. */
void id_set_host(struct slice me);
/* A new id, NUL-ended.  Cannot fail. */
void id_make(char id[ID_LEN + 1]);
bool id_valid(struct slice s);
/* When a valid id was made, in microseconds since 1970 (to 128 microseconds). */
int64_t id_wall_usec(struct slice id);
#endif
