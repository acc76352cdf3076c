/* The retry curve: see schedule.h.  Clocks may jump: an age below zero counts as zero. */
#include "queue/schedule.h"

static int64_t root(int64_t n)
{
	int64_t r = 0;
	for (int64_t bit = (int64_t)1 << 30; bit; bit >>= 1)
		if ((r + bit) * (r + bit) <= n)
			r += bit;
	return r;
}

int64_t schedule_next(int64_t birth, int64_t now, bool remote, uint32_t mix)
{
	int64_t age = now > birth ? now - birth : 0;
	int64_t skip = root(age) + (remote ? 20 : 10);
	int64_t next = (now > birth ? birth : now) + skip * skip;
	int64_t spread = (next - now) / 16;
	return next + (spread > 0 ? (int64_t)(mix % (uint32_t)(spread + 1)) : 0);
}

bool schedule_over(int64_t birth, int64_t now, int64_t lifetime)
{
	return now - birth > lifetime;
}
