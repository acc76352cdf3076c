/* Segment files: see segment.h.  The folder is the spool's own; what stands in its files is checked all the same.
 *
 * Order that a crash must find (postern-queue(5)): a new file is allocated, written with zeros, given its header and synced, then its name, then the folder is synced,
 * and only then does a record go into it.  A segment is emptied by a header with sequence 0, synced before anything else is emptied. */
#include "queue/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZEROS (256u * 1024)

static int real_create(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Real blocks at once, so that a full disk is seen here and not at a commit; zeros follow anyway where the file system cannot. */
static int real_allocate(int fd, off_t octets)
{
	if (fallocate(fd, 0, 0, octets) == 0)
		return 0;
	return errno == EOPNOTSUPP || errno == ENOSYS ? ftruncate(fd, octets) : -1;
}

const struct store_sys store_sys_real = {pwrite, pread, fdatasync, fsync, real_create, real_allocate};

int segment_write(const struct segments *all, const struct segment *g, const void *p, size_t n, uint64_t at, struct err *e)
{
	for (const char *from = p; n;) {
		ssize_t put = all->sys->pwrite(g->fd, from, n, (off_t)at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			errno = put == 0 ? ENOSPC : errno;
			return err_sys(e, "write segment.%08x", g->number);
		}
		from += put;
		at += (uint64_t)put;
		n -= (size_t)put;
	}
	return 0;
}

int segment_pread(const struct segments *all, const struct segment *g, void *p, size_t n, uint64_t at, struct err *e)
{
	for (char *to = p; n;) {
		ssize_t got = all->sys->pread(g->fd, to, n, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(e, "read segment.%08x", g->number);
		if (got == 0)
			return err_set(e, E_NOT_FOUND, "segment.%08x is too short", g->number);
		to += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

static void name_of(char name[24], const char *what, uint32_t number)
{
	snprintf(name, 24, "%s.%08x", what, number);
}

static void file_of(char name[24], const struct segment *g)
{
	name_of(name, g->fresh ? "new" : "segment", g->number);
}

struct segment *segment_of(const struct segments *all, uint32_t seq)
{
	size_t from = 0, to = all->count;
	while (from < to) {
		size_t mid = (from + to) / 2;
		if (all->of[mid]->seq < seq)
			from = mid + 1;
		else
			to = mid;
	}
	return from < all->count && all->of[from]->seq == seq ? all->of[from] : NULL;
}

int segments_insert(struct segments *all, struct segment *g, struct err *e)
{
	if (all->count == all->room) {
		size_t room = all->room ? all->room * 2 : 64;
		struct segment **of = reallocarray(all->of, room, sizeof(struct segment *));
		if (!of)
			return err_sys(e, "segments");
		all->of = of;
		all->room = room;
	}
	size_t i = all->count++;
	for (; i > 0 && all->of[i - 1]->seq > g->seq; i--)
		all->of[i] = all->of[i - 1];
	all->of[i] = g;
	return 0;
}

void segments_remove(struct segments *all, struct segment *g)
{
	size_t i = 0;
	while (i < all->count && all->of[i] != g)
		i++;
	if (i == all->count)
		return;
	for (all->count--; i < all->count; i++)
		all->of[i] = all->of[i + 1];
}

static void segment_free(struct segment *g)
{
	if (g->fd >= 0)
		close(g->fd);
	free(g->pins);
	free(g);
}

static int read_header(const struct segments *all, struct segment *g, struct err *e)
{
	unsigned char block[LOG_BLOCK];
	struct segment_header h;
	struct stat st;
	if (fstat(g->fd, &st) < 0)
		return err_sys(e, "segment.%08x", g->number);
	g->size = (uint64_t)st.st_size & ~(uint64_t)(LOG_BLOCK - 1);
	int rc = g->size < LOG_BLOCK ? E_SYNTAX : segment_pread(all, g, block, sizeof block, 0, e);
	if (rc == 0)
		rc = segment_header_get(&h, block);
	if (rc == E_REFUSED)
		return err_set(e, E_REFUSED, "segment.%08x has format version %u; this postern-queue reads version %u", g->number, h.version, LOG_VERSION);
	if (rc == 0) {
		g->seq = (uint32_t)h.seq;
		g->key = h.key;
	}
	return 0;
}

static int open_one(struct segments *all, const char *name, uint32_t number, struct err *e)
{
	struct segment *g = calloc(1, sizeof *g);
	if (!g)
		return err_sys(e, "segments");
	g->number = number;
	g->fd = openat(all->dir_fd, name, (all->look_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW);
	int rc = g->fd < 0 ? err_sys(e, "%s", name) : read_header(all, g, e);
	if (rc < 0) {
		segment_free(g);
		return rc;
	}
	if (number >= all->next_number)
		all->next_number = number + 1;
	if (g->seq >= all->next_seq)
		all->next_seq = g->seq + 1;
	if (g->key && !g->seq && all->spares < sizeof all->spare / sizeof *all->spare) {
		all->spare[all->spares++] = g;
		return 0;
	}
	if (g->key && !g->seq) {
		segment_forget(all, g, !all->look_only);
		return 0;
	}
	return segments_insert(all, g, e);
}

static bool number_of(uint32_t *number, const char *what, const char *name)
{
	char canonical[24];
	const char *dot = strchr(name, '.');
	if (!dot || strlen(dot) != 9)
		return false;
	*number = (uint32_t)strtoul(dot + 1, NULL, 16);
	name_of(canonical, what, *number);
	return strcmp(canonical, name) == 0;
}

bool segment_number(uint32_t *number, const char *name)
{
	return number_of(number, "segment", name);
}

/* One that a crash left half made: nothing was ever in it. */
static void remove_new(struct segments *all, const char *name, uint32_t number)
{
	if (number >= all->next_number)
		all->next_number = number + 1;
	if (!all->look_only && unlinkat(all->dir_fd, name, 0) < 0)
		errno = 0; /* its number is not used again */
}

int segments_open(struct segments *all, struct err *e)
{
	int fd = openat(all->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return err_sys(e, "the spool");
	int rc = 0;
	uint32_t number;
	all->next_seq = all->next_number = 1;
	for (struct dirent *entry; rc == 0 && (entry = readdir(d));)
		if (segment_number(&number, entry->d_name))
			rc = open_one(all, entry->d_name, number, e);
		else if (number_of(&number, "new", entry->d_name))
			remove_new(all, entry->d_name, number);
	closedir(d);
	return rc;
}

void segments_close(struct segments *all)
{
	for (size_t i = 0; i < all->count; i++)
		segment_free(all->of[i]);
	for (unsigned i = 0; i < all->spares; i++)
		segment_free(all->spare[i]);
	free(all->of);
	all->of = NULL;
	all->count = all->spares = 0;
}

struct segment *segment_create(struct segments *all, uint64_t size, struct err *e)
{
	char name[24];
	struct segment *g = calloc(1, sizeof *g);
	if (!g) {
		err_sys(e, "segment");
		return NULL;
	}
	g->number = all->next_number++;
	g->size = size;
	g->fresh = true;
	file_of(name, g);
	g->fd = all->sys->create(all->dir_fd, name);
	if (g->fd < 0 || all->sys->allocate(g->fd, (off_t)size) < 0) {
		err_sys(e, "make %s", name);
		segment_forget(all, g, g->fd >= 0);
		return NULL;
	}
	return g;
}

int segment_zero(struct segments *all, struct segment *g, uint64_t most, struct err *e)
{
	static const char zeros[ZEROS];
	uint64_t to = g->zeroed + most < g->size ? g->zeroed + most : g->size;
	uint64_t from = g->zeroed;
	while (g->zeroed < to) {
		size_t n = to - g->zeroed < ZEROS ? (size_t)(to - g->zeroed) : ZEROS;
		int rc = segment_write(all, g, zeros, n, g->zeroed, e);
		if (rc < 0)
			return rc;
		g->zeroed += n;
	}
	/* Only a hint: lets the disk begin now, so that the sync at the end is short. */
	if (sync_file_range(g->fd, (off_t)from, (off_t)(to - from), SYNC_FILE_RANGE_WRITE) < 0)
		errno = 0;
	return g->zeroed < g->size;
}

static int write_header(struct segments *all, struct segment *g, uint32_t seq, uint64_t key, struct err *e)
{
	unsigned char block[LOG_BLOCK];
	segment_header_put(block, &(struct segment_header){.seq = seq, .key = key, .size = g->size});
	return segment_write(all, g, block, sizeof block, 0, e);
}

/* Its name says that it has a header. */
static int name_segment(struct segments *all, struct segment *g, struct err *e)
{
	char from[24], to[24];
	if (!g->fresh)
		return 0;
	file_of(from, g);
	name_of(to, "segment", g->number);
	if (renameat(all->dir_fd, from, all->dir_fd, to) < 0)
		return err_sys(e, "rename %s", from);
	g->fresh = false;
	return 0;
}

int segment_begin(struct segments *all, struct segment *g, struct err *e)
{
	uint64_t key = 0;
	while (key == 0)
		if (getrandom(&key, sizeof key, 0) != sizeof key)
			return err_sys(e, "random octets");
	/* The number is spent even where this fails: an unlink may not outlive a crash, and no two files may have the same. */
	uint32_t seq = all->next_seq++;
	int rc = write_header(all, g, seq, key, e);
	if (rc < 0)
		return rc;
	if (all->sys->fsync(g->fd) < 0)
		return err_sys(e, "sync segment.%08x", g->number);
	rc = name_segment(all, g, e);
	if (rc < 0)
		return rc;
	if (all->sys->fsync(all->dir_fd) < 0)
		return err_sys(e, "sync the spool");
	g->seq = seq;
	g->key = key;
	g->end = LOG_BLOCK;
	g->live = 0;
	g->pin_count = 0;
	g->evacuate = g->stale = false;
	return 0;
}

void segment_forget(struct segments *all, struct segment *g, bool unlink_file)
{
	char name[24];
	file_of(name, g);
	segments_remove(all, g);
	if (unlink_file && unlinkat(all->dir_fd, name, 0) < 0)
		errno = 0;
	segment_free(g);
}

int segment_put_aside(struct segments *all, struct segment *g, struct err *e)
{
	char name[24], aside[24];
	file_of(name, g);
	name_of(aside, "damaged", g->number);
	if (renameat(all->dir_fd, name, all->dir_fd, aside) < 0)
		return err_sys(e, "rename %s", name);
	segment_forget(all, g, false);
	return all->sys->fsync(all->dir_fd) < 0 ? err_sys(e, "sync the spool") : 0;
}

int segment_retire(struct segments *all, struct segment *g, unsigned most, uint64_t size, struct err *e)
{
	if (g->damaged)
		return segment_put_aside(all, g, e);
	bool reuse = !g->failed && g->size == size && all->spares < most && all->spares < sizeof all->spare / sizeof *all->spare;
	int rc = reuse ? write_header(all, g, 0, g->key, e) : E_SYS;
	if (rc == 0 && all->sys->fdatasync(g->fd) == 0) {
		segments_remove(all, g);
		g->seq = 0;
		all->spare[all->spares++] = g;
		return 0;
	}
	segment_forget(all, g, true);
	return all->sys->fsync(all->dir_fd) < 0 ? err_sys(e, "sync the spool") : 0;
}

int segment_pin(struct segment *g, uint32_t target, struct err *e)
{
	if (!target || target == g->seq)
		return 0;
	size_t i = g->pin_count;
	while (i > 0 && g->pins[i - 1] >= target)
		if (g->pins[--i] == target)
			return 0;
	if (g->pin_count == g->pin_room) {
		size_t room = g->pin_room ? g->pin_room * 2 : 4;
		uint32_t *pins = reallocarray(g->pins, room, sizeof *pins);
		if (!pins)
			return err_sys(e, "segment");
		g->pins = pins;
		g->pin_room = room;
	}
	memmove(g->pins + i + 1, g->pins + i, (g->pin_count - i) * sizeof *g->pins);
	g->pins[i] = target;
	g->pin_count++;
	return 0;
}

void segment_unpin(struct segment *g, uint32_t target)
{
	size_t i = 0;
	while (i < g->pin_count && g->pins[i] != target)
		i++;
	if (i == g->pin_count)
		return;
	g->pin_count--;
	memmove(g->pins + i, g->pins + i + 1, (g->pin_count - i) * sizeof *g->pins);
}
