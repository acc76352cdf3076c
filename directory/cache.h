/* Answers of an LDAP server kept for a while: a bounded table with a keyed hash, oldest out first. */
#ifndef POSTERN_DIRECTORY_CACHE_H
#define POSTERN_DIRECTORY_CACHE_H
#include <stdint.h>

#include "lib/slice.h"

#define CACHE_ITEMS_MAX 50000
#define CACHE_OCTETS_MAX ((size_t)24 * 1024 * 1024)

/* What stands under KIND and KEY, borrowed until the next cache_put(); false when nothing does, or not any more at NOW (clock_msec). */
bool cache_get(struct slice *value, char kind, struct slice key, int64_t now);
/* Keep a copy of VALUE until UNTIL.  Without memory it is not kept. */
void cache_put(char kind, struct slice key, struct slice value, int64_t until);
void cache_clear(void);
size_t cache_items(void);
#endif
