/* The heap of a forking parent: see heap.h.  Leans on glibc's malloc for speed alone. */
#include "lib/heap.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096u
#define CHUNK_OCTETS (64u * 1024) /* less than malloc() takes from mmap() */
#define HOLES_OCTETS (8u << 20)   /* the most that is filled; with an allocator that is not glibc's there may be no end to it */
#define FINE 2048u /* up to here holes are asked for in steps of STEP: malloc() keeps many by their size and does not cut them up */
#define STEP 16u
#define KEPT 1032u /* what is freed up to here is not joined to what is beside it */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; before it pages come one by one */
#endif

struct hole {
	struct hole *next;
};
static struct hole *filled; /* kept for good; in a list, so that nobody takes them for lost */

/* Take all holes of N octets that lie before BARRIER.  The piece that shows that there is none left goes back, unless malloc() would keep it by its size. */
static void fill(const char *barrier, size_t n, size_t *left)
{
	for (struct hole *p; *left >= n && (p = malloc(n)); *left -= n) {
		bool beyond = (const char *)p > barrier;
		if (beyond && n > KEPT) {
			free(p);
			return;
		}
		*p = (struct hole){filled};
		filled = p;
		if (beyond)
			return;
	}
}

uintptr_t heap_settle(size_t room)
{
	size_t left = HOLES_OCTETS;
	mallopt(M_TOP_PAD, (int)room);
	mallopt(M_TRIM_THRESHOLD, (int)(8 * room));
	struct hole *barrier = malloc(CHUNK_OCTETS);
	malloc_trim(room);
	for (size_t n = CHUNK_OCTETS; barrier && n >= STEP; n -= n > FINE ? n / 2 : STEP)
		fill((const char *)barrier, n, &left);
	/* What lies behind the barrier is the heap's end, and not a hole that malloc() would cut up: that writes at its other end too. */
	void *end = malloc(CHUNK_OCTETS);
	uintptr_t there = (uintptr_t)end;
	free(end);
	if (!barrier)
		return 0;
	*barrier = (struct hole){filled};
	filled = barrier;
	return there;
}

void heap_ahead(uintptr_t there, size_t octets)
{
	uintptr_t from = there / PAGE * PAGE;
	(void)madvise((void *)from, octets, MADV_POPULATE_WRITE);
}
