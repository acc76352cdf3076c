/* See disk.h.  The FUSE protocol is spoken directly (linux/fuse.h): one folder, one file, a dozen requests. */
#include "tests/crash/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#define ENTRIES_MOST 4000000u
#define WRITE_MOST (128u * 1024)
#define FILE_NODE 2

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(111);
}

static int memfile(const char *name, uint64_t size)
{
	int fd = memfd_create(name, 0);
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		die("memfd");
	return fd;
}

static void *shared(uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static void make_file_system(const struct disk *d, const char *fs)
{
	char path[64];
	/* Small on purpose: mkfs.xfs calls a file system below 300 MB unsupported, for its speed; its format is the same. */
	const char *ext4[] = {"mkfs.ext4", "-q", "-F", "-b", "4096", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0", path, NULL};
	const char *xfs[] = {"mkfs.xfs", "-q", "-f", "--unsupported", "-l", "size=8m", path, NULL};
	int status = 0;
	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), d->fd);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(open("/dev/null", O_WRONLY), 2);
		const char **argv = strcmp(fs, "xfs") == 0 ? xfs : ext4;
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0 || status != 0)
		die("mkfs");
}

void disk_make(struct disk *d, const char *fs, uint64_t size)
{
	*d = (struct disk){.size = size, .fd = memfile("disk", size), .base_fd = memfile("base", size), .data_fd = memfile("data", 0), .room = ENTRIES_MOST};
	d->entry = shared(ENTRIES_MOST * sizeof *d->entry);
	d->count = shared(DISK_PAGE);
	make_file_system(d, fs);
	static unsigned char page[DISK_PAGE], zero[DISK_PAGE];
	for (uint64_t at = 0; at < size; at += sizeof page)
		if (pread(d->fd, page, sizeof page, (off_t)at) == (ssize_t)sizeof page && memcmp(page, zero, sizeof page) != 0 &&
		    pwrite(d->base_fd, page, sizeof page, (off_t)at) != (ssize_t)sizeof page)
			die("copy");
}

/* The server. */

static void reply(int fuse, const struct fuse_in_header *in, int error, const void *p, size_t n)
{
	struct fuse_out_header out = {.len = (uint32_t)(sizeof out + n), .error = error, .unique = in->unique};
	struct iovec iov[2] = {{&out, sizeof out}, {(void *)(uintptr_t)p, n}};
	if (writev(fuse, iov, n ? 2 : 1) < 0 && errno != ENOENT)
		die("fuse reply");
}

static struct fuse_attr attributes(const struct disk *d, uint64_t node)
{
	bool file = node == FILE_NODE;
	return (struct fuse_attr){.ino = node, .size = file ? d->size : 0, .blocks = file ? d->size / 512 : 0, .mode = file ? S_IFREG | 0600 : S_IFDIR | 0700,
		.nlink = 1, .blksize = DISK_PAGE};
}

static void record(struct disk *d, uint64_t at, const void *p, uint32_t n)
{
	static uint64_t end;
	uint64_t i = atomic_load(d->count);
	if (d->plain)
		return;
	if (i == d->room)
		die("the record is full");
	if (n && pwrite(d->data_fd, p, n, (off_t)end) != (ssize_t)n)
		die("record");
	d->entry[i] = (struct disk_entry){.at = at, .octets = n, .data = end};
	end += n;
	atomic_store(d->count, i + 1);
}

void disk_flush(struct disk *d)
{
	record(d, 0, NULL, 0);
}

static void serve_init(int fuse, const struct fuse_in_header *in, const void *body)
{
	const struct fuse_init_in *from = body;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION, .minor = from->minor < 31 ? from->minor : 31, .max_readahead = 0, .flags = from->flags & FUSE_BIG_WRITES,
		.max_background = 16, .congestion_threshold = 12, .max_write = WRITE_MOST, .time_gran = 1};
	reply(fuse, in, 0, &out, sizeof out);
}

static void serve_read(struct disk *d, int fuse, const struct fuse_in_header *in, const void *body, char *space)
{
	const struct fuse_read_in *from = body;
	ssize_t n = pread(d->fd, space, from->size < WRITE_MOST ? from->size : WRITE_MOST, (off_t)from->offset);
	reply(fuse, in, n < 0 ? -EIO : 0, space, n < 0 ? 0 : (size_t)n);
}

static void serve_write(struct disk *d, int fuse, const struct fuse_in_header *in, const void *body)
{
	const struct fuse_write_in *from = body;
	struct fuse_write_out out = {.size = from->size};
	record(d, from->offset, from + 1, from->size);
	if (pwrite(d->fd, from + 1, from->size, (off_t)from->offset) != (ssize_t)from->size)
		die("disk");
	reply(fuse, in, 0, &out, sizeof out);
}

static void serve_one(struct disk *d, int fuse, const struct fuse_in_header *in, const void *body, char *space)
{
	struct fuse_entry_out entry = {.nodeid = FILE_NODE, .attr_valid = 3600, .entry_valid = 3600, .attr = attributes(d, FILE_NODE)};
	struct fuse_attr_out attr = {.attr_valid = 3600, .attr = attributes(d, in->nodeid)};
	struct fuse_open_out opened = {.open_flags = FOPEN_KEEP_CACHE};
	struct fuse_statfs_out fs = {.st = {.bsize = DISK_PAGE}};
	switch (in->opcode) {
	case FUSE_INIT: serve_init(fuse, in, body); return;
	case FUSE_LOOKUP: reply(fuse, in, strcmp(body, "disk") == 0 ? 0 : -ENOENT, &entry, strcmp(body, "disk") == 0 ? sizeof entry : 0); return;
	case FUSE_GETATTR:
	case FUSE_SETATTR: reply(fuse, in, 0, &attr, sizeof attr); return;
	case FUSE_OPEN: reply(fuse, in, 0, &opened, sizeof opened); return;
	case FUSE_READ: serve_read(d, fuse, in, body, space); return;
	case FUSE_WRITE: serve_write(d, fuse, in, body); return;
	case FUSE_FSYNC:
		if (d->flush_usec)
			usleep(d->flush_usec);
		record(d, 0, NULL, 0);
		reply(fuse, in, 0, NULL, 0);
		return;
	case FUSE_STATFS: reply(fuse, in, 0, &fs, sizeof fs); return;
	case FUSE_FLUSH:
	case FUSE_RELEASE: reply(fuse, in, 0, NULL, 0); return;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET: return;
	default: reply(fuse, in, -ENOSYS, NULL, 0); return;
	}
}

static _Noreturn void serve(struct disk *d, int fuse)
{
	char *packet = malloc(WRITE_MOST + DISK_PAGE), *space = malloc(WRITE_MOST);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		ssize_t n = read(fuse, packet, WRITE_MOST + DISK_PAGE);
		if (n < 0 && errno == EPERM) { /* not mounted yet */
			usleep(1000);
			continue;
		}
		if (n < 0 && (errno == EINTR || errno == ENOENT))
			continue;
		if (n < (ssize_t)sizeof(struct fuse_in_header))
			_exit(0); /* unmounted */
		serve_one(d, fuse, (const struct fuse_in_header *)packet, packet + sizeof(struct fuse_in_header), space);
	}
}

/* Mounting. */

int image_mount(int fd, const char *fs, const char *place, const char *options)
{
	struct loop_config config = {.fd = (uint32_t)fd, .block_size = DISK_SECTOR, .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
	char path[32];
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), loop = -1;
	if (control < 0)
		return -1;
	for (int i = 0; i < 100 && loop < 0; i++) { /* another process may take the free one first */
		int n = ioctl(control, LOOP_CTL_GET_FREE);
		snprintf(path, sizeof path, "/dev/loop%d", n);
		loop = n < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
		if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config) < 0) {
			close(loop);
			loop = -1;
			usleep(1000);
		}
	}
	close(control);
	int rc = loop < 0 ? -1 : mount(path, place, fs, MS_NOATIME | MS_NODEV | MS_NOSUID, strcmp(fs, "xfs") == 0 ? "nouuid" : options), error = errno;
	if (loop >= 0)
		close(loop);
	errno = error;
	return rc;
}

/* The server must not live where its file system is mounted: as the last process there it would wait for itself to unmount it. */
void disk_serve(struct disk *d)
{
	d->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (d->fuse < 0)
		die("fuse");
	d->server = fork();
	if (d->server == 0)
		serve(d, d->fuse);
}

void disk_mount(struct disk *d, const char *fs, const char *folder, const char *place, const char *with)
{
	char options[80], path[80];
	snprintf(d->folder, sizeof d->folder, "%s", folder);
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", d->fuse);
	if (mount("rig", folder, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		die("fuse");
	close(d->fuse);
	snprintf(path, sizeof path, "%s/disk", folder);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || image_mount(fd, fs, place, with) < 0)
		die("mount the disk");
	close(fd);
}

static void unmount(const char *place)
{
	for (int i = 0; umount(place) < 0; i++) {
		if (i == 500)
			die(place);
		usleep(10000);
	}
}

void disk_end(struct disk *d, const char *place)
{
	unmount(place);
	unmount(d->folder);
	waitpid(d->server, NULL, 0);
}

/* Images. */

static bool is_zero(const unsigned char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

void images_open(struct images *x, const struct disk *d)
{
	struct stat st;
	*x = (struct images){.disk = d, .safe = calloc(1, d->size), .used = calloc(1, d->size / DISK_PAGE)};
	if (!x->safe || !x->used || fstat(d->data_fd, &st) < 0)
		die("images");
	x->data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, d->data_fd, 0);
	if (x->data == MAP_FAILED)
		die("the record");
	for (uint64_t at = 0; at < d->size; at += DISK_PAGE)
		if (lseek(d->base_fd, (off_t)at, SEEK_DATA) == (off_t)at) {
			if (pread(d->base_fd, x->safe + at, DISK_PAGE, (off_t)at) != (ssize_t)DISK_PAGE)
				die("base");
			x->used[at / DISK_PAGE] = !is_zero(x->safe + at, DISK_PAGE);
		}
}

static void apply(struct images *x, const struct disk_entry *w)
{
	memcpy(x->safe + w->at, x->data + w->data, w->octets);
	for (uint64_t page = w->at / DISK_PAGE; page * DISK_PAGE < w->at + w->octets; page++)
		x->used[page] = !is_zero(x->safe + page * DISK_PAGE, DISK_PAGE);
}

static void put(int fd, const void *p, size_t n, uint64_t at)
{
	if (pwrite(fd, p, n, (off_t)at) != (ssize_t)n)
		die("image");
}

static int copy_safe(const struct images *x)
{
	int fd = memfile("image", x->disk->size);
	uint64_t pages = x->disk->size / DISK_PAGE;
	for (uint64_t i = 0, n; i < pages; i += n) {
		for (n = 0; i + n < pages && x->used[i + n]; n++)
			;
		if (n)
			put(fd, x->safe + i * DISK_PAGE, n * DISK_PAGE, i * DISK_PAGE);
		else
			n = 1;
	}
	return fd;
}

static void put_torn(int fd, const unsigned char *p, const struct disk_entry *w, unsigned *seed)
{
	for (uint32_t at = 0; at < w->octets; at += DISK_SECTOR)
		if (rand_r(seed) % 2)
			put(fd, p + at, DISK_SECTOR, w->at + at);
}

int image_build(struct images *x, uint64_t point, enum image_policy policy, unsigned *seed)
{
	const struct disk_entry *entry = x->disk->entry;
	uint64_t flushed = point;
	while (flushed > x->done && entry[flushed - 1].octets)
		flushed--;
	for (; x->done < flushed; x->done++)
		if (entry[x->done].octets)
			apply(x, &entry[x->done]);
	int fd = copy_safe(x);
	for (uint64_t i = flushed; i < point && policy != IMAGE_SAFE; i++) {
		const unsigned char *p = x->data + entry[i].data;
		if (policy != IMAGE_ALL && rand_r(seed) % 2)
			continue;
		if (policy == IMAGE_TORN && rand_r(seed) % 3 == 0)
			put_torn(fd, p, &entry[i], seed);
		else
			put(fd, p, entry[i].octets, entry[i].at);
	}
	return fd;
}
