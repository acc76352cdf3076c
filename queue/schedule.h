/* When a message is tried again: qmail's curve (COMPAT: next attempt at birth + (floor(sqrt(age)) + 10 or 20) squared). */
#ifndef POSTERN_QUEUE_SCHEDULE_H
#define POSTERN_QUEUE_SCHEDULE_H
#include <stdbool.h>
#include <stdint.h>

/* All in seconds.  REMOTE: the slower curve, for what waits for other hosts.  MIX spreads messages of the same age by up to a sixteenth of the
 * interval, later only.  The result is after NOW. */
int64_t schedule_next(int64_t birth, int64_t now, bool remote, uint32_t mix);
/* The attempt at NOW was the last: the message is older than LIFETIME. */
bool schedule_over(int64_t birth, int64_t now, int64_t lifetime);
#endif
