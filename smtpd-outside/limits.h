/* How many connections come from each address and network at once. */
#ifndef POSTERN_SMTPD_LIMITS_H
#define POSTERN_SMTPD_LIMITS_H
#include "lib/addr.h"
#include "lib/err.h"

struct limits; /* memory grows with the number of addresses that are connected now, and never shrinks below its peak */

/* NULL without memory. */
struct limits *limits_make(void);
void limits_free(struct limits *l);

/* One connection more from CLIENT, in its address and its network (/24 or /64); and one less (of one counted before).
 * 0 or E_SYS (no memory; nothing counted). */
MUST_CHECK int limits_enter(struct limits *l, const struct ip *client);
void limits_leave(struct limits *l, const struct ip *client);
/* Connections counted now; of CLIENT's own address, of its network. */
unsigned limits_address(const struct limits *l, const struct ip *client);
unsigned limits_network(const struct limits *l, const struct ip *client);
/* Addresses and networks that have connections now. */
size_t limits_size(const struct limits *l);
/* May one more come in?  0 for a limit: none.  0, or E_REFUSED with "maxperip 21 of 20" in *E: the counter as it would be, the
 * limit. */
MUST_CHECK int limits_check(const struct limits *l, const struct ip *client, long long maxperip, long long maxpernet, struct err *e);
#endif
