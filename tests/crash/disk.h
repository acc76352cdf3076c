/* A disk that remembers: one file in a small FUSE file system, served by a process of the rig, over which a loop device stands.  Every write and every flush that
 * the file system above sends is appended to a record, from which any state can be built that a power cut could have left.
 *
 * A write counts as safe when a flush came after it; of the later ones any subset may have reached the disk.  Root only. */
#ifndef POSTERN_TESTS_CRASH_DISK_H
#define POSTERN_TESTS_CRASH_DISK_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DISK_PAGE 4096u
#define DISK_SECTOR 512u

/* One entry of the record; a flush has no octets. */
struct disk_entry {
	uint64_t at;      /* on the disk */
	uint32_t octets;  /* 0: a flush */
	uint64_t data;    /* where the octets stand in .data_fd */
};
struct disk {
	uint64_t size;
	int fd;           /* what is on the disk now, a memfd */
	int base_fd;      /* what was on it when the record began */
	int data_fd;
	struct disk_entry *entry; /* shared with the server */
	uint64_t room;
	_Atomic uint64_t *count;  /* entries made so far; shared */
	pid_t server;
	int fuse;
	char folder[64];
	bool plain;          /* keep no record: for measuring; set after disk_make() */
	unsigned flush_usec; /* how long a flush takes */
};
/* A new disk with a file system: FS is "ext4" or "xfs".  Ends the program on failure. */
void disk_make(struct disk *d, const char *fs, uint64_t size);
/* Start the server, before the caller has a name space of its own for mounts. */
void disk_serve(struct disk *d);
/* Serve it below FOLDER and mount it at PLACE, with OPTIONS on ext4; the record begins. */
void disk_mount(struct disk *d, const char *fs, const char *folder, const char *place, const char *options);
/* As if a flush had come now; nothing may be written at the same time. */
void disk_flush(struct disk *d);
/* Unmount, end the server.  The record stays. */
void disk_end(struct disk *d, const char *place);
/* Mount the file FD at PLACE by a loop device.  0, or -1 with errno. */
int image_mount(int fd, const char *fs, const char *place, const char *options);

/* Images: what the disk could hold if the power went off behind entry POINT. */
enum image_policy {
	IMAGE_SAFE,   /* just what was flushed */
	IMAGE_ALL,    /* everything that was written */
	IMAGE_SOME,   /* a random half of what was not flushed */
	IMAGE_TORN,   /* the same, every third of them only in a random choice of its sectors */
	IMAGE_POLICIES,
};
struct images {
	const struct disk *disk;
	unsigned char *safe;      /* the disk with all entries before .done */
	unsigned char *used;      /* pages that are not zero */
	const unsigned char *data;
	uint64_t done;
};
void images_open(struct images *x, const struct disk *d);
/* A memfd with that image; POINT must not go back.  The caller closes it. */
int image_build(struct images *x, uint64_t point, enum image_policy policy, unsigned *seed);
#endif
