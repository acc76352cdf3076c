/* The log reader: any octets in a segment file.  It must come to an end, report nothing that its checksums do not carry, and be able to go on.  `postern queue
 * verify` looks at the folder first: it must see what start-up sees, and change nothing. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "queue/crc32c.h"
#include "queue/store.h"
#include "queue/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SEGMENT 65536

static void found(void *ctx, const struct store_found *f)
{
	unsigned *n = ctx;
	if (f->at.seq == 0 || f->octets > SEGMENT)
		abort();
	++*n;
}

static void placed(void *ctx, const struct store_found *f)
{
	(void)ctx;
	(void)f;
}

static int wanted(void *ctx, const struct store_found *f)
{
	(void)ctx;
	return f->kind == RECORD_MESSAGE;
}

static int moving(void *ctx, const char *id, struct store_record *note)
{
	(void)ctx;
	(void)id;
	(void)note;
	return false;
}

static void dropped(void *ctx, const char *id)
{
	(void)ctx;
	(void)id;
}

/* Make the checksums of headers right, so that what lies behind them is reached: every 512 octets a header may begin. */
static void mend(unsigned char *p)
{
	struct segment_header h = {.seq = 1, .key = 77, .size = SEGMENT};
	if (p[0] & 1)
		segment_header_put(p, &h);
	for (unsigned at = LOG_BLOCK; at + 512 <= SEGMENT; at += 512)
		if (p[at] & 1) {
			put64(p + at, 77);
			put64(p + at + 8, 1);
			put32(p + at + 24, get32(p + at + 24) % 512);
			p[at + 45] = (unsigned char)"MSRXFCV"[p[at + 45] % 7];
			p[at + 46] &= 1;
			p[at + 47] = 0;
			put32(p + at + 48, crc32c(0, p + at + RECORD_HEADER, get32(p + at + 24)));
			put32(p + at + 52, crc32c(0, p + at, 52));
		}
}

static void write_segment(int dir_fd, const uint8_t *data, size_t size)
{
	static unsigned char octets[SEGMENT + 1024];
	memset(octets, 0, sizeof octets);
	memcpy(octets, data, size < SEGMENT ? size : SEGMENT);
	mend(octets);
	int fd = openat(dir_fd, "segment.00000001", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, octets, SEGMENT) != SEGMENT)
		abort();
	close(fd);
}

/* Checksum over the names and octets of all files. */
static uint32_t sum_of(int dir_fd)
{
	static unsigned char octets[SEGMENT];
	uint32_t crc = 0;
	struct dirent *x;
	DIR *d = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY));
	while (d && (x = readdir(d))) {
		int fd = x->d_name[0] == '.' ? -1 : openat(dir_fd, x->d_name, O_RDONLY);
		ssize_t n = fd < 0 ? 0 : read(fd, octets, sizeof octets);
		crc ^= crc32c(crc32c(0, x->d_name, strlen(x->d_name)), octets, n > 0 ? (size_t)n : 0);
		if (fd >= 0)
			close(fd);
	}
	if (d)
		closedir(d);
	return crc;
}

static void look(struct verify *v, int dir_fd)
{
	struct err e;
	uint32_t before = sum_of(dir_fd);
	*v = (struct verify){0};
	if (verify_folder(v, dir_fd, &e) < 0 || sum_of(dir_fd) != before)
		abort();
	verify_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct verify v;
	char folder[] = "/tmp/fuzz-queue-log.XXXXXX", command[64];
	unsigned n = 0;
	struct store *s;
	struct err e;
	struct store_report report;
	struct store_options o = {.segment_octets = SEGMENT, .sys = &store_sys_real, .on = {
		.ctx = &n, .found = found, .placed = placed, .dropped = dropped, .wanted = wanted, .moving = moving}};
	int dir_fd = mkdtemp(folder) ? open(folder, O_RDONLY | O_DIRECTORY) : -1;
	if (dir_fd < 0)
		abort();
	write_segment(dir_fd, data, size);
	look(&v, dir_fd);
	if (store_open(&s, dir_fd, &o, &report, &e) == 0) {
		if (report.records != n || v.records != n || v.torn_octets != report.torn_octets || v.clean != report.clean || v.faults < report.damaged)
			abort();
		for (int i = 0; i < 20 && store_tend(s, &e); i++)
			;
		store_close(s);
	}
	for (unsigned i = 0; i < 32; i++) {
		snprintf(command, sizeof command, "segment.%08x", i);
		unlinkat(dir_fd, command, 0);
		snprintf(command, sizeof command, "damaged.%08x", i);
		unlinkat(dir_fd, command, 0);
	}
	unlinkat(dir_fd, "lock", 0);
	close(dir_fd);
	rmdir(folder);
	return 0;
}
