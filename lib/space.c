/* See space.h.  One number, written and read whole; a taken-over session can read it and nothing else. */
#include "lib/space.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/io.h"

#define PAGE 4096

struct space_page {
	_Atomic unsigned full;
};

int space_make(int *writer, int *reader, struct err *e)
{
	char path[40];
	*reader = -1;
	*writer = memfd_create("space", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*writer < 0 || ftruncate(*writer, PAGE) < 0 || fcntl(*writer, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return err_sys(e, "memfd");
	snprintf(path, sizeof path, "/proc/self/fd/%d", *writer);
	*reader = open(path, O_RDONLY | O_CLOEXEC);
	return *reader < 0 ? err_sys(e, "%s", path) : 0;
}

struct space_page *space_map(int fd, bool write)
{
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, PAGE, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

void space_say(struct space_page *p, bool full)
{
	if (p)
		atomic_store_explicit(&p->full, full, memory_order_relaxed);
}

bool space_full(const struct space_page *p)
{
	return p && atomic_load_explicit(&p->full, memory_order_relaxed);
}
