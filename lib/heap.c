/* The heap of a forking parent: see heap.h.  Leans on glibc's malloc for speed alone. */
#include "lib/heap.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096u
#define CHUNK_OCTETS (64u * 1024) /* less than malloc() takes from mmap() */
#define HOLES_OCTETS (8u << 20)   /* the most that is filled; with an allocator that is not glibc's there may be no end to it */
#define FINE 2048u /* up to here malloc() keeps what was freed by its size, in steps of STEP, and does not cut it up */
#define STEP 16u

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; before it pages come one by one */
#endif

uintptr_t heap_settle(size_t room)
{
	mallopt(M_TOP_PAD, (int)room);
	mallopt(M_TRIM_THRESHOLD, (int)(8 * room));
	char *top = malloc(CHUNK_OCTETS);
	malloc_trim(room);
	size_t left = HOLES_OCTETS;
	for (size_t n = CHUNK_OCTETS; top && n >= STEP; n -= n > FINE ? n / 2 : STEP)
		for (char *volatile p = top; p && p <= top && left >= n; left -= n)
			p = malloc(n);
	uintptr_t there = (uintptr_t)top;
	free(top);
	return there;
}

void heap_ahead(uintptr_t there, size_t octets)
{
	uintptr_t from = there / PAGE * PAGE;
	(void)madvise((void *)from, octets, MADV_POPULATE_WRITE);
}
