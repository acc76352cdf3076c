/* Wrong passwords, counted for an account and a network (/24, /64) together: who guesses from one network is stopped there, and the owner is not, who
 * comes from another one or has logged in from this one before.
 *
 * The same wrong password again counts once: a forgotten telephone with the old password locks nobody out.  The table has a fixed size; a pair is
 * forgotten when eight others of its row did something later.  Passwords are kept as keyed hashes of 32 bits, in memory alone. */
#ifndef POSTERN_DIRECTORY_GUESSES_H
#define POSTERN_DIRECTORY_GUESSES_H
#include <stdbool.h>
#include <stdint.h>

#include "lib/slice.h"

#define GUESSES_PAIRS 65536u
#define GUESSES_KNOWN_SEC (30 * 86400) /* how long a login makes a network the account's own */

struct guesses;
/* MOST wrong passwords at once, one more every SEC/MOST seconds; MOST 0: no limit.  NULL without memory. */
struct guesses *guesses_make(unsigned most, unsigned sec);
void guesses_free(struct guesses *g);
/* May a password of ACCOUNT (its uid, or what was given for one) be tried from IP (text; empty: one that is not known, always) at NOW (milliseconds)?
 * 0, or the milliseconds until then. */
int64_t guesses_wait(const struct guesses *g, struct slice account, struct slice ip, int64_t now);
/* One was tried. */
void guesses_wrong(struct guesses *g, struct slice account, struct slice ip, struct slice password, int64_t now);
void guesses_right(struct guesses *g, struct slice account, struct slice ip, int64_t now);
#endif
