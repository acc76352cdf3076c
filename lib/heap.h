/* The heap of a parent that forks a process for each connection. */
#ifndef POSTERN_LIB_HEAP_H
#define POSTERN_LIB_HEAP_H
#include <stddef.h>
#include <stdint.h>

/* What start-up freed lies scattered over the heap, and each child would take its pieces from there, in its own copies of as many pages.  Once this was called
 * the holes are filled, for good, and allocations up to some 60 KiB come one behind the other from the heap's end, where ROOM octets (a multiple of
 * 64 KiB) are ready without a system call.  Once, before the first fork, in a process of one thread.  Returns the address where they will lie; 0: no memory. */
uintptr_t heap_settle(size_t room);
/* In a child: the pages of the first OCTETS there at once, which costs less than one fault each. */
void heap_ahead(uintptr_t there, size_t octets);
#endif
