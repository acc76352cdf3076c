/* Addresses that the door turns away for a time, because postern-respond said so: where a stolen account was used from. */
#ifndef POSTERN_SMTPD_DOOR_BLOCKS_H
#define POSTERN_SMTPD_DOOR_BLOCKS_H
#include <stdint.h>

#include "lib/addr.h"
#include "lib/buf.h"
#include "lib/err.h"

#define DOOR_BLOCKS_MAX 4096        /* addresses; when all are taken the one that ends first gives way */
#define DOOR_BLOCK_OCTETS 128
#define DOOR_BLOCK_SEC_MAX (3650 * 86400)

/* One datagram: the address and for how many seconds from now; 0: no more.  It is said again every minute, so the door keeps it in memory alone. */
void door_block_encode(struct buf *b, const struct ip *ip, int64_t seconds);
/* 0 or E_PEER. */
MUST_CHECK int door_block_decode(struct ip *ip, int64_t *seconds, struct slice text, struct err *e);

struct door_blocks;
struct door_blocks *door_blocks_make(void); /* NULL without memory */
void door_blocks_free(struct door_blocks *b);
/* NOW: clock_msec().  An IPv6 address stands for its /64. */
void door_blocks_set(struct door_blocks *b, const struct ip *ip, int64_t seconds, int64_t now);
bool door_blocks_has(const struct door_blocks *b, const struct ip *ip, int64_t now);
size_t door_blocks_count(const struct door_blocks *b, int64_t now);
#endif
