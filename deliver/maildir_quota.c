/* Maildir++ quotas: see maildir_quota.h.  Runs in postern-local with the file-system user of the delivery.  The file and the names belong
 * to the user, who can only cheat himself: what is read is bounded, and files are opened without following links. */
#include "deliver/maildir_quota.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/io.h"

#define FILES_MAX 4000000 /* counted in one Maildir */
#define FOLDERS_MAX 10000
#define OLD_SEC 900       /* a file over the limit is believed for so long */

static bool take_line(struct maildir_usage *u, struct slice line)
{
	struct slice a, b, rest = line;
	long long octets, count;
	if (!slice_word(&a, &rest) || !slice_word(&b, &rest) || slice_trim(rest).n)
		return false;
	if (slice_number(&octets, a, -LLONG_MAX / 2, LLONG_MAX / 2) < 0 || slice_number(&count, b, -1000000000, 1000000000) < 0)
		return false;
	u->lines++;
	return !__builtin_add_overflow(u->octets, octets, &u->octets) && !__builtin_add_overflow(u->count, count, &u->count);
}

/* "1000S,20C", either part may be missing; in any order. */
static bool same_limits(struct slice line, const struct maildir_quota *quota)
{
	struct slice part;
	struct maildir_quota q = {0};
	while (slice_cut(&part, &line, ',')) {
		long long v;
		if (part.n == 0)
			continue;
		if (slice_number(&v, slice_upto(part, part.n - 1), 0, LLONG_MAX) < 0)
			return false;
		if (part.p[part.n - 1] == 'S')
			q.octets = v;
		else if (part.p[part.n - 1] == 'C')
			q.count = v;
		else
			return false;
	}
	return q.octets == quota->octets && q.count == quota->count;
}

int maildir_quota_parse(struct maildir_usage *usage, const struct maildir_quota *quota, struct slice text)
{
	struct slice line;
	*usage = (struct maildir_usage){0};
	if (!slice_cut(&line, &text, '\n') || !same_limits(slice_trim(line), quota))
		return E_SYNTAX;
	while (slice_cut(&line, &text, '\n'))
		if (slice_trim(line).n && !take_line(usage, line))
			return E_SYNTAX;
	return usage->octets >= 0 && usage->count >= 0 ? 0 : E_SYNTAX;
}

long long maildir_quota_size_in_name(struct slice name)
{
	for (size_t i = 0; i + 3 < name.n; i++) {
		long long v;
		size_t n = i + 3;
		if (name.p[i] != ',' || name.p[i + 1] != 'S' || name.p[i + 2] != '=')
			continue;
		while (n < name.n && name.p[n] >= '0' && name.p[n] <= '9')
			n++;
		return slice_number(&v, slice_make(name.p + i + 3, n - i - 3), 0, LLONG_MAX / 4) == 0 ? v : -1;
	}
	return -1;
}

/* The file as it is; false where there is none of use. */
static bool read_file(struct slice *text, char space[MAILDIRSIZE_MAX + 1], const struct maildir *m, time_t *changed)
{
	struct stat st;
	struct err e;
	int fd = openat(m->fd, "maildirsize", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	bool ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= MAILDIRSIZE_MAX &&
		io_pread_all(fd, space, (size_t)st.st_size, 0, &e) == 0;
	close_fd(&fd);
	if (ok) {
		*text = slice_make(space, (size_t)st.st_size);
		*changed = st.st_mtime;
	}
	return ok;
}

static void count_file(struct maildir_usage *u, int folder, const char *name)
{
	struct stat st;
	long long octets = maildir_quota_size_in_name(slice_str(name));
	if (octets < 0 && fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		octets = st.st_size;
	if (octets >= 0 && !__builtin_add_overflow(u->octets, octets, &u->octets))
		u->count++;
}

/* New or cur of one folder; messages marked as trashed (flag T) count no longer. */
static void count_folder(struct maildir_usage *u, int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *f;
	while (d && u->count < FILES_MAX && (f = readdir(d))) {
		const char *flags = strstr(f->d_name, ":2,");
		if (f->d_name[0] != '.' && !(flags && strchr(flags, 'T')))
			count_file(u, fd, f->d_name);
	}
	if (d)
		closedir(d);
}

static void count_both(struct maildir_usage *u, int at)
{
	count_folder(u, at, "new");
	count_folder(u, at, "cur");
}

/* The Maildir itself and its sub-folders .NAME but .Trash. */
static int count_all(struct maildir_usage *u, const struct maildir *m, struct err *e)
{
	int fd = openat(m->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *f;
	*u = (struct maildir_usage){0};
	if (!d)
		return err_sys(e, "list %.150s", m->path);
	count_both(u, m->fd);
	for (int n = 0; n < FOLDERS_MAX && (f = readdir(d)); n++) {
		if (f->d_name[0] != '.' || !strcmp(f->d_name, ".") || !strcmp(f->d_name, "..") || !strcmp(f->d_name, ".Trash"))
			continue;
		int sub = openat(fd, f->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			count_both(u, sub);
		close_fd(&sub);
	}
	closedir(d);
	return 0;
}

/* A new maildirsize with one line; another reader sees the old one or this one. */
static void write_file(const struct maildir *m, const struct maildir_quota *quota, const struct maildir_usage *u)
{
	char name[64], text[128];
	struct err e;
	snprintf(name, sizeof name, "maildirsize.%d", getpid());
	int n = snprintf(text, sizeof text, "%lldS,%lldC\n%lld %lld\n", quota->octets, quota->count, u->octets, u->count);
	int fd = openat(m->tmp, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int rc = fd < 0 ? E_SYS : io_pwrite_all(fd, text, (size_t)n, 0, &e);
	close_fd(&fd);
	if (rc < 0 || renameat(m->tmp, name, m->fd, "maildirsize") < 0)
		unlinkat(m->tmp, name, 0);
}

static bool over(const struct maildir_usage *u, const struct maildir_quota *quota, long long octets)
{
	long long sum;
	if (quota->octets && (__builtin_add_overflow(u->octets, octets, &sum) || sum > quota->octets))
		return true;
	return quota->count && u->count >= quota->count;
}

int maildir_quota_over(struct maildir_usage *usage, const struct maildir *m, const struct maildir_quota *quota, long long octets,
	struct err *e)
{
	char space[MAILDIRSIZE_MAX + 1];
	struct slice text;
	time_t changed = 0;
	if (read_file(&text, space, m, &changed) && maildir_quota_parse(usage, quota, text) == 0) {
		if (!over(usage, quota, octets))
			return 0;
		if (usage->lines <= 1 && time(NULL) - changed < OLD_SEC)
			return 1;
	}
	if (count_all(usage, m, e) < 0)
		return E_SYS;
	write_file(m, quota, usage);
	return over(usage, quota, octets);
}

void maildir_quota_add(const struct maildir *m, long long octets)
{
	char text[64];
	struct err e;
	int n = snprintf(text, sizeof text, "%lld 1\n", octets);
	int fd = openat(m->fd, "maildirsize", O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0 && n > 0)
		(void)!io_write_all(fd, text, (size_t)n, DEADLINE_NEVER, &e);
	close_fd(&fd);
}
