/* The log folder: see logfile.h.  Runs in the supervisor, as root or the user that started it; the lines were checked by logs.c.
 * A full disk costs log lines, never mail: writing is tried again with every batch, and a line is in the file whole or not at all. */
#include "supervise/logfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/io.h"

#define WAITING_MAX (64 * 1024)
#define FILES_LISTED_MAX 4096

static int open_current(struct logfile *l, struct err *e)
{
	struct stat st;
	l->fd = openat(l->dir_fd, "current", O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (l->fd < 0 || fstat(l->fd, &st) < 0)
		return err_sys(e, "log/current");
	l->size = st.st_size;
	char last = '\n';
	if (l->size > 0 && pread(l->fd, &last, 1, l->size - 1) == 1 && last != '\n' && write(l->fd, "\n", 1) == 1)
		l->size++;
	return 0;
}

int logfile_open(struct logfile *l, const char *folder, long long size_most, long long files_most, struct err *e)
{
	*l = (struct logfile){.fd = -1, .size_most = size_most, .files_most = files_most, .waiting = BUF_INIT(2 * WAITING_MAX)};
	l->dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->dir_fd < 0)
		return err_sys(e, "%s", folder);
	return open_current(l, e);
}

/* 20261122T103600.123456Z */
#define NAME_LEN 23
static bool rotated(const char *name)
{
	return strlen(name) == NAME_LEN && strspn(name, "0123456789") == 8 && name[8] == 'T' && name[15] == '.' && name[NAME_LEN - 1] == 'Z';
}

static int by_name(const void *a, const void *b)
{
	return memcmp(a, b, NAME_LEN);
}

/* The oldest go first: names sort by time. */
static void remove_old(struct logfile *l)
{
	int fd = openat(l->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	char (*name)[NAME_LEN + 1] = calloc(FILES_LISTED_MAX, sizeof *name);
	size_t n = 0;
	struct dirent *entry;
	while (d && name && n < FILES_LISTED_MAX && (entry = readdir(d)))
		if (rotated(entry->d_name))
			memcpy(name[n++], entry->d_name, NAME_LEN + 1);
	if (n)
		qsort(name, n, sizeof *name, by_name);
	for (size_t i = 0; i + (size_t)l->files_most < n; i++)
		(void)!unlinkat(l->dir_fd, name[i], 0);
	free(name);
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

static void rotate(struct logfile *l)
{
	char name[64];
	struct tm tm;
	int64_t usec = clock_wall_usec();
	time_t sec = (time_t)(usec / 1000000);
	gmtime_r(&sec, &tm);
	size_t n = strftime(name, sizeof name, "%Y%m%dT%H%M%S", &tm);
	snprintf(name + n, sizeof name - n, ".%06dZ", (int)(usec % 1000000));
	if (renameat(l->dir_fd, "current", l->dir_fd, name) < 0)
		return; /* goes on in the same file */
	close(l->fd);
	struct err e;
	if (open_current(l, &e) < 0) {
		l->lost_why = e;
		close_fd(&l->fd);
	}
	remove_old(l);
}

static size_t lines_in(const char *p, size_t n)
{
	size_t lines = 0;
	for (size_t i = 0; i < n; i++)
		lines += p[i] == '\n';
	return lines;
}

/* After a short write the torn line is taken back. */
static void settle_short(struct logfile *l, size_t put)
{
	const char *end = put ? memrchr(l->waiting.p, '\n', put) : NULL;
	size_t whole = end ? (size_t)(end - l->waiting.p) + 1 : 0;
	if (put > whole && ftruncate(l->fd, l->size + (long long)whole) < 0 && write(l->fd, "\n", 1) == 1)
		whole = put + 1;
	l->size += (long long)whole;
	l->lost += lines_in(l->waiting.p, l->waiting.n) - lines_in(l->waiting.p, put);
}

void logfile_flush(struct logfile *l)
{
	if (l->waiting.n == 0)
		return;
	if (l->fd < 0)
		(void)!open_current(l, &l->lost_why);
	ssize_t put = l->fd < 0 ? -1 : write(l->fd, l->waiting.p, l->waiting.n);
	if (put == (ssize_t)l->waiting.n) {
		l->size += put;
	} else {
		if (put < 0)
			err_sys(&l->lost_why, "log/current");
		else
			err_set(&l->lost_why, E_SYS, "log/current: the disk is full");
		settle_short(l, put < 0 ? 0 : (size_t)put);
	}
	buf_reset(&l->waiting);
}

bool logfile_full(const struct logfile *l, size_t n)
{
	return l->waiting.n + n > WAITING_MAX || l->size + (long long)(l->waiting.n + n) > l->size_most;
}

void logfile_add(struct logfile *l, struct slice line)
{
	if (logfile_full(l, line.n))
		logfile_flush(l);
	if (l->fd >= 0 && l->size > 0 && l->waiting.n == 0 && l->size + (long long)line.n > l->size_most)
		rotate(l);
	buf_add_slice(&l->waiting, line);
}

void logfile_close(struct logfile *l)
{
	logfile_flush(l);
	close_fd(&l->fd);
	close_fd(&l->dir_fd);
	buf_free(&l->waiting);
}
