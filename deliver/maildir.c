/* Maildirs: see maildir.h, whose table of states is the order of the code.  Runs in postern-local with the file-system user of the
 * delivery, who may do anything to the folders at any moment: they are held by descriptors that were checked, and names below them are
 * single names, never followed when they are links. */
#include "deliver/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/hash.h"
#include "lib/io.h"

#define NAMES_MAX 4000000 /* in one folder */

static int check_folder(struct maildir *m, int fd, const struct maildir_place *place, const char *sub, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return err_sys(e, "%.150s%s", place->path, sub);
	m->disk = st.st_dev;
	if (st.st_uid != place->user.uid)
		return err_set(e, E_REFUSED, "%.120s%s belongs to uid %u, not to uid %u who delivers; correct the owner", place->path, sub, st.st_uid,
			place->user.uid);
	if (st.st_mode & 002)
		return err_set(e, E_REFUSED, "%.150s%s may be written by everybody; correct its mode (chmod o-w)", place->path, sub);
	return 0;
}

static int open_sub(int fd, const char *name)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
	return (int)syscall(SYS_openat2, fd, name, &how, sizeof how);
}

static int sub_folder(struct maildir *m, int *fd, const struct maildir_place *place, const char *sub, struct err *e)
{
	*fd = open_sub(m->fd, sub + 1);
	if (*fd < 0 && errno == ENOENT) {
		static const char *const name[] = {"tmp", "new", "cur"};
		for (int i = 0; i < 3; i++)
			if (mkdirat(m->fd, name[i], 0700) < 0 && errno != EEXIST)
				return err_sys(e, "make the folder %.150s/%s", place->path, name[i]);
		*fd = open_sub(m->fd, sub + 1);
	}
	if (*fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return err_set(e, E_REFUSED, "%.150s%s is not a folder (a symbolic link is not followed here)", place->path, sub);
	if (*fd < 0)
		return err_sys(e, "%.150s%s", place->path, sub);
	return check_folder(m, *fd, place, sub, e);
}

int maildir_open(struct maildir *m, const struct maildir_place *place, struct err *e)
{
	bool made = false;
	*m = MAILDIR_INIT;
	m->path = place->path;
	m->fd = maildir_path_open(place->path, place->user.uid, e);
	if (m->fd == E_NOT_FOUND)
		m->fd = maildir_path_make(&made, place, e);
	if (m->fd < 0)
		return m->fd;
	int rc = check_folder(m, m->fd, place, "", e);
	if (rc == 0)
		rc = sub_folder(m, &m->tmp, place, "/tmp", e);
	if (rc == 0)
		rc = sub_folder(m, &m->new, place, "/new", e);
	if (rc < 0)
		maildir_close(m);
	return rc;
}

void maildir_close(struct maildir *m)
{
	close_fd(&m->fd);
	close_fd(&m->tmp);
	close_fd(&m->new);
}

static void add_host(struct buf *b, struct slice host)
{
	for (size_t i = 0; i < host.n && i < 120; i++)
		if (host.p[i] == '/')
			buf_add_str(b, "\\057");
		else if (host.p[i] == ':')
			buf_add_str(b, "\\072");
		else
			buf_add_char(b, host.p[i] > 0x20 && host.p[i] < 0x7f && host.p[i] != ',' ? host.p[i] : '_');
}

void maildir_number(char number[20], struct slice peer, struct slice address)
{
	static const struct hash_key fixed; /* whoever could choose collisions would collide with mail of his own */
	struct buf b = BUF_INIT(1024);
	buf_add_slice(&b, peer);
	buf_add_char(&b, ' ');
	buf_add_slice(&b, address);
	snprintf(number, 20, "q%016llx", (unsigned long long)hash_of(&fixed, 'q', buf_slice(&b)));
	buf_free(&b);
}

void maildir_name(struct maildir_message *msg, struct slice id, const char *number, struct slice host)
{
	struct buf b = BUF_INIT(MAILDIR_NAME_MAX * 4);
	msg->octets = 0;
	for (int i = 0; i < MAILDIR_PARTS; i++)
		msg->octets += (long long)msg->part[i].n;
	buf_add_format(&b, "%.*s.%s.", SLICE_FMT(id), number);
	msg->stem = b.n;
	add_host(&b, host);
	snprintf(msg->name, sizeof msg->name, "%.*s,S=%lld", (int)(b.n < 150 ? b.n : 150), b.p, msg->octets);
	buf_free(&b);
}

/* From AT on FD has just the octets of MSG that are the same in each copy. */
static int same(int fd, const struct maildir_message *msg, off_t at, struct err *e)
{
	static char piece[65536];
	for (size_t i = msg->own; i < MAILDIR_PARTS; i++)
		for (struct slice s = msg->part[i]; s.n; ) {
			size_t n = s.n < sizeof piece ? s.n : sizeof piece;
			int rc = io_pread_all(fd, piece, n, at, e);
			if (rc < 0 || memcmp(piece, s.p, n) != 0)
				return rc < 0 ? E_SYS : 0;
			s = slice_from(s, n);
			at += (off_t)n;
		}
	return 1;
}

/* A copy of MSG that a power cut left unfinished: short, or zeros where the disk had not got to; a message has none.  What a user's program wrote is not that. */
static bool torn(int folder, const char *name, const struct maildir_message *msg)
{
	static char piece[65536];
	struct stat st;
	off_t at = 0;
	struct err e;
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	bool yes = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= msg->octets;
	for (int i = 0; i < MAILDIR_PARTS; i++)
		for (struct slice s = msg->part[i]; yes && s.n && at < st.st_size; ) {
			size_t n = s.n < sizeof piece ? s.n : sizeof piece;
			n = (off_t)n < st.st_size - at ? n : (size_t)(st.st_size - at);
			yes = io_pread_all(fd, piece, n, at, &e) == 0;
			for (size_t k = 0; k < n && yes; k++)
				yes = piece[k] == s.p[k] || piece[k] == 0;
			s = slice_from(s, n);
			at += (off_t)n;
		}
	close_fd(&fd);
	return yes;
}

/* 1 yes, 0 no, or there is no such file any more; E_SYS: it cannot be told, and may be the only copy. */
static int whole(int folder, const char *name, const struct maildir_message *msg, struct err *e)
{
	struct stat st;
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	long long own = 0;
	if (fd < 0 && (errno == ENOENT || errno == ELOOP))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0) {
		close_fd(&fd);
		return err_sys(e, "look at %.150s", name);
	}
	for (size_t i = 0; i < msg->own; i++)
		own += (long long)msg->part[i].n;
	int yes = S_ISREG(st.st_mode) && (msg->own ? st.st_size >= msg->octets - own : st.st_size == msg->octets) ?
		same(fd, msg, st.st_size - (msg->octets - own), e) : 0;
	close_fd(&fd);
	return yes;
}

/* Call VISIT with every name of the folder that begins with the message's stem, until it returns something else than 0. */
typedef int visit(int folder, const char *name, const struct maildir_message *msg, struct err *e);

static int each(const struct maildir *m, int folder, const struct maildir_message *msg, visit *v, struct err *e)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), found = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		close_fd(&fd);
		return err_sys(e, "list %.150s", m->path);
	}
	const struct dirent *f;
	for (long n = 0; !found && n < NAMES_MAX && (errno = 0, f = readdir(d)); n++)
		if (strncmp(f->d_name, msg->name, msg->stem) == 0)
			found = v(folder, f->d_name, msg, e);
	if (!found && errno)
		found = err_sys(e, "list %.150s", m->path);
	closedir(d);
	return found;
}

/* A torn copy in new/ is what a power cut left of an attempt that was never reported. */
static int visit_new(int folder, const char *name, const struct maildir_message *msg, struct err *e)
{
	int yes = whole(folder, name, msg, e);
	if (!yes)
		unlinkat(folder, name, 0);
	return yes;
}

/* A reader may have moved it before it was durable, so a torn copy can lie there too. */
static int visit_cur(int folder, const char *name, const struct maildir_message *msg, struct err *e)
{
	int yes = whole(folder, name, msg, e);
	if (!yes && torn(folder, name, msg))
		unlinkat(folder, name, 0);
	return yes;
}

static int visit_tmp(int folder, const char *name, const struct maildir_message *msg, struct err *e)
{
	(void)msg;
	(void)e;
	unlinkat(folder, name, 0);
	return 0;
}

int maildir_present(const struct maildir *m, const struct maildir_message *msg, struct err *e)
{
	int found = each(m, m->new, msg, visit_new, e);
	if (found < 0)
		return found;
	int cur = open_sub(m->fd, "cur");
	if (cur < 0)
		return found || errno == ENOENT ? found : err_sys(e, "%.150s/cur", m->path);
	int there = each(m, cur, msg, visit_cur, e);
	close(cur);
	return found ? found : there;
}

void maildir_clean(const struct maildir *m, const struct maildir_message *msg)
{
	struct err e;
	(void)!each(m, m->tmp, msg, visit_tmp, &e);
}

/* Names in tmp/ are one process's own: a second attempt cannot rename a file that another one is still writing. */
static void tmp_name(char name[MAILDIR_NAME_MAX + 16], const struct maildir_message *msg)
{
	snprintf(name, MAILDIR_NAME_MAX + 16, "%s.%d", msg->name, getpid());
}

static int create(const struct maildir *m, const char *name)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(m->tmp, name, flags, 0600);
	if (fd < 0 && errno == EEXIST && unlinkat(m->tmp, name, 0) == 0)
		fd = openat(m->tmp, name, flags, 0600);
	return fd;
}

/* The vector without its first N octets. */
static void advance(struct iovec *v, int count, size_t n)
{
	for (int i = 0; i < count && n; i++) {
		size_t k = v[i].iov_len < n ? v[i].iov_len : n;
		v[i].iov_base = (char *)v[i].iov_base + k;
		v[i].iov_len -= k;
		n -= k;
	}
}

static int write_parts(const struct maildir *m, int fd, const struct maildir_message *msg, struct err *e)
{
	struct iovec v[MAILDIR_PARTS];
	long long left = msg->octets;
	for (int i = 0; i < MAILDIR_PARTS; i++) {
		memcpy(&v[i].iov_base, &msg->part[i].p, sizeof v[i].iov_base);
		v[i].iov_len = msg->part[i].n;
	}
	while (left > 0) {
		ssize_t n = writev(fd, v, MAILDIR_PARTS);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? ENOSPC : errno;
			return err_sys(e, "write into %.150s/tmp", m->path);
		}
		advance(v, MAILDIR_PARTS, (size_t)n);
		left -= n;
	}
	return 0;
}

int maildir_write(const struct maildir *m, const struct maildir_message *msg, struct err *e)
{
	char name[MAILDIR_NAME_MAX + 16];
	tmp_name(name, msg);
	int fd = create(m, name);
	if (fd < 0)
		return err_sys(e, "make a file in %.150s/tmp", m->path);
	int rc = write_parts(m, fd, msg, e);
	if (close(fd) < 0 && rc == 0) /* NFS and quotas tell it here */
		rc = err_sys(e, "write into %.150s/tmp", m->path);
	if (rc < 0)
		unlinkat(m->tmp, name, 0);
	return rc;
}

/* Never over a name that is there; file systems without RENAME_NOREPLACE (NFS) have link and unlink for it. */
static int move(const struct maildir *m, const char *from, const char *to)
{
	if (renameat2(m->tmp, from, m->new, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(m->tmp, from, m->new, to, 0) < 0)
		return -1;
	unlinkat(m->tmp, from, 0);
	return 0;
}

/* The name is taken by an attempt that was thought lost: its copy stays when it is whole and is replaced when not. */
static int land_on_taken(const struct maildir *m, const struct maildir_message *msg, const char *from, struct err *e)
{
	int there = maildir_present(m, msg, e);
	if (there == 1)
		unlinkat(m->tmp, from, 0);
	if (there)
		return there == 1 ? 0 : there;
	return move(m, from, msg->name) < 0 ? err_sys(e, "rename into %.150s/new", m->path) : 0;
}

int maildir_land(const struct maildir *m, const struct maildir_message *msg, struct err *e)
{
	char name[MAILDIR_NAME_MAX + 16];
	int rc = 0;
	tmp_name(name, msg);
	if (move(m, name, msg->name) < 0)
		rc = errno == EEXIST ? land_on_taken(m, msg, name, e) : err_sys(e, "rename into %.150s/new", m->path);
	if (rc < 0)
		unlinkat(m->tmp, name, 0);
	return rc;
}

void maildir_remove(const struct maildir *m, const char *name)
{
	unlinkat(m->new, name, 0);
}
