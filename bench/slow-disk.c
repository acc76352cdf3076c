/* slow-disk PLACE MIB FLUSH-USEC: an ext4 file system at PLACE on a disk in memory whose flushes take that long, until SIGTERM.  Root. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/disk.h"

int main(int argc, char **argv)
{
	struct disk d;
	sigset_t set;
	int got;
	char folder[] = "/tmp/slow-disk-XXXXXX";
	if (argc != 4) {
		fprintf(stderr, "usage: slow-disk PLACE MIB FLUSH-USEC\n");
		return 100;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (!mkdtemp(folder)) {
		perror(folder);
		return 111;
	}
	disk_make(&d, "ext4", strtoull(argv[2], NULL, 10) << 20);
	d.plain = true;
	d.flush_usec = (unsigned)strtoul(argv[3], NULL, 10);
	disk_serve(&d);
	disk_mount(&d, "ext4", folder, argv[1], NULL);
	puts("ready");
	fflush(stdout);
	sigwait(&set, &got);
	disk_end(&d, argv[1]);
	rmdir(folder);
	return 0;
}
