/* Message ids: see id.h. */
#include "lib/id.h"

#include <time.h>
#include <unistd.h>

#define EPOCH_USEC (1577836800ll * 1000000) /* 2020-01-01 */
#define PID_BITS 22
#define PID_MASK ((1u << PID_BITS) - 1)

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
static uint32_t host_bits;

/* FNV-1a, folded: spreads host names, protects nothing. */
void id_set_host(struct slice me)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < me.n; i++)
		h = (h ^ (unsigned char)me.p[i]) * 16777619u;
	host_bits = (h ^ h >> PID_BITS) & PID_MASK;
}

static int64_t now_tick(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return ((int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 - EPOCH_USEC) >> 7;
}

void id_make(char id[ID_LEN + 1])
{
	static int64_t last;
	int64_t tick = now_tick();
	last = tick > last ? tick : last + 1;
	/* 13 digits hold 65 bits: the 43 of the tick, then the 22 of the process. */
	uint32_t low = ((uint32_t)getpid() ^ host_bits) & PID_MASK;
	unsigned __int128 v = (unsigned __int128)((uint64_t)last & ((1ull << 43) - 1)) << PID_BITS | low;
	for (int i = ID_LEN - 1; i >= 0; i--, v >>= 5)
		id[i] = digits[v & 31];
	id[ID_LEN] = 0;
}

static int digit(char c)
{
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

bool id_valid(struct slice s)
{
	if (s.n != ID_LEN)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (digit(s.p[i]) < 0)
			return false;
	return true;
}

int64_t id_wall_usec(struct slice id)
{
	unsigned __int128 v = 0;
	for (size_t i = 0; i < id.n; i++)
		v = v << 5 | (unsigned)digit(id.p[i]);
	return ((int64_t)(v >> PID_BITS) << 7) + EPOCH_USEC;
}
