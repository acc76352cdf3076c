/* Finding and making the folder of a Maildir: see maildir_path.h.  Runs in postern-local with the file-system user of the delivery.
 * Trusts no folder on the way: users may rename and link what they own at any moment, so every step holds a descriptor and
 * looks at what it holds, never at a name twice. */
#include "deliver/maildir_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/io.h"

#define STEPS_MAX 400 /* names and links on the way */

int maildir_path_check(const char *path, struct err *e)
{
	struct slice name, rest = slice_str(path);
	int names = 0;
	if (path[0] != '/' || rest.n > MAILDIR_PATH_MAX)
		return err_set(e, E_SYNTAX, "the Maildir's path is not absolute or too long; correct mailMessageStore");
	rest = slice_from(rest, 1);
	while (slice_cut(&name, &rest, '/')) {
		if (name.n == 0 || slice_eq_str(name, ".") || slice_eq_str(name, "..") || name.n > NAME_MAX)
			return err_set(e, E_SYNTAX, "%.150s: empty names, . and .. are not allowed; correct mailMessageStore", path);
		names++;
	}
	return names >= 2 ? 0 : err_set(e, E_SYNTAX, "%s: a Maildir cannot lie directly below /; correct mailMessageStore", path);
}

/* What is still to be walked; names of links are put in front. */
struct walk {
	int fd;                       /* O_PATH */
	uid_t trusted;
	char rest[2 * PATH_MAX + 2];
};

static int foreign(const char *path, uid_t owner, struct err *e)
{
	return err_set(e, E_REFUSED, "%.120s leads over a symbolic link of uid %u, which is neither root nor the delivering user", path, owner);
}

/* LINK is an O_PATH descriptor of the very link, so its owner and its text belong together. */
static int follow(struct walk *w, int link, const struct stat *st, const char *path, struct err *e)
{
	char text[PATH_MAX], joined[sizeof w->rest];
	if (st->st_uid != 0 && st->st_uid != w->trusted)
		return foreign(path, st->st_uid, e);
	ssize_t n = readlinkat(link, "", text, sizeof text - 1);
	if (n <= 0)
		return err_sys(e, "%.150s: symbolic link", path);
	text[n] = 0;
	if ((size_t)snprintf(joined, sizeof joined, "%s/%s", text, w->rest) >= sizeof joined)
		return err_set(e, E_REFUSED, "%.150s: symbolic links make the path too long", path);
	memcpy(w->rest, joined, strlen(joined) + 1);
	if (text[0] != '/')
		return 0;
	close_fd(&w->fd);
	w->fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return w->fd < 0 ? err_sys(e, "/") : 0;
}

/* Take the next name from the rest; false at the end. */
static bool next_name(struct walk *w, char name[NAME_MAX + 1], bool *too_long)
{
	size_t skip = strspn(w->rest, "/"), n = strcspn(w->rest + skip, "/");
	*too_long = n > NAME_MAX;
	if (n == 0 || *too_long)
		return false;
	memcpy(name, w->rest + skip, n);
	name[n] = 0;
	memmove(w->rest, w->rest + skip + n, strlen(w->rest + skip + n) + 1);
	return true;
}

static int step(struct walk *w, const char *name, const char *path, struct err *e)
{
	struct stat st;
	int fd = openat(w->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		int rc = errno == ENOENT ? E_NOT_FOUND : E_SYS;
		err_sys(e, "%.150s", path);
		return rc;
	}
	if (fstat(fd, &st) < 0) {
		close(fd);
		return err_sys(e, "%.150s", path);
	}
	if (S_ISLNK(st.st_mode)) {
		int rc = follow(w, fd, &st, path, e);
		close(fd);
		return rc;
	}
	close_fd(&w->fd);
	w->fd = fd;
	return 0;
}

/* Name by name; only needed where the path has a symbolic link. */
static int walk(const char *path, int how, uid_t trusted, struct err *e)
{
	struct walk w = {.fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), .trusted = trusted};
	char name[NAME_MAX + 1];
	bool too_long = false;
	int rc = w.fd < 0 ? err_sys(e, "/") : 0, steps = 0;
	snprintf(w.rest, sizeof w.rest, "%s", path);
	while (rc == 0 && next_name(&w, name, &too_long))
		rc = ++steps > STEPS_MAX ? err_set(e, E_REFUSED, "%.150s: too many symbolic links", path) : step(&w, name, path, e);
	if (rc == 0 && too_long)
		rc = err_set(e, E_REFUSED, "%.150s: a name on the way is too long", path);
	if (rc == 0) {
		rc = openat(w.fd, ".", how | O_DIRECTORY | O_CLOEXEC);
		if (rc < 0)
			rc = err_sys(e, "%.150s", path);
	}
	close_fd(&w.fd);
	return rc;
}

/* HOW: O_RDONLY, or O_PATH for folders that the user may only pass through. */
static int open_folder(const char *path, int how, uid_t trusted, struct err *e)
{
	struct open_how flags = {.flags = (unsigned)how | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	long fd = syscall(SYS_openat2, AT_FDCWD, path, &flags, sizeof flags);
	if (fd >= 0)
		return (int)fd;
	if (errno == ELOOP)
		return walk(path, how, trusted, e);
	int rc = errno == ENOENT ? E_NOT_FOUND : E_SYS;
	err_sys(e, "%.150s", path);
	return rc;
}

int maildir_path_open(const char *path, uid_t trusted, struct err *e)
{
	return open_folder(path, O_RDONLY, trusted, e);
}

/* A person's folder in STATE/mail: made under another name, given away, then renamed, so that a kill in between leaves no folder
 * that the person cannot use. */
static int give_folder(int at, const char *name, const struct local_user *user, struct err *e)
{
	char fresh[NAME_MAX + 1];
	if ((size_t)snprintf(fresh, sizeof fresh, ".%d.%.200s", getpid(), name) >= sizeof fresh)
		return err_set(e, E_REFUSED, "%.150s: the name is too long", name);
	if (mkdirat(at, fresh, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "make the folder %.150s", name);
	int rc = 0;
	if (fchownat(at, fresh, user->uid, user->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (renameat2(at, fresh, at, name, RENAME_NOREPLACE) < 0 && errno != EEXIST))
		rc = err_sys(e, "make the folder %.150s for uid %u", name, user->uid);
	unlinkat(at, fresh, AT_REMOVEDIR);
	return rc;
}

static int not_made(const char *part, const char *name, const struct maildir_place *place, struct err *e)
{
	if (errno != EACCES && errno != EPERM)
		return err_sys(e, "make the folder %.100s/%.60s", part, name);
	err_sys(e, "%.80s/%.40s is missing and uid %u may not make it: is the home there and its file system mounted?", part, name, place->user.uid);
	return E_SYS;
}

static int make_one(int at, const char *part, const char *name, const struct maildir_place *place, bool in_base, struct err *e)
{
	const struct local_user *self = local_user_self();
	if (!in_base || place->user.uid == self->uid)
		return mkdirat(at, name, 0700) == 0 || errno == EEXIST ? 0 : not_made(part, name, place, e);
	int rc = local_user_become(self, e);
	if (rc == 0)
		rc = give_folder(at, name, &place->user, e);
	int back = local_user_become(&place->user, e);
	return rc < 0 ? rc : back;
}

/* PART of *LENGTH octets is the path of AT, which is closed; the next name is made and opened. */
static int make_next(int at, char *part, size_t *length, const struct maildir_place *place, struct err *e)
{
	const char *name = place->path + *length + 1;
	size_t n = strcspn(name, "/");
	char one[NAME_MAX + 1];
	bool in_base = strcmp(part, place->base) == 0;
	memcpy(one, name, n);
	one[n] = 0;
	int rc = make_one(at, part, one, place, in_base, e);
	int how = name[n] ? O_PATH : O_RDONLY;
	int fd = rc < 0 ? rc : openat(at, one, how | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (rc == 0 && fd < 0)
		fd = err_sys(e, "%.150s", place->path);
	close(at);
	*length += 1 + n;
	memcpy(part, place->path, *length);
	part[*length] = 0;
	return fd;
}

/* The deepest folder of the path that exists; PART becomes its path. */
static int deepest(char *part, size_t *length, const struct maildir_place *place, struct err *e)
{
	int fd = E_NOT_FOUND;
	*length = strlen(place->path);
	memcpy(part, place->path, *length + 1);
	while (fd == E_NOT_FOUND && *length) {
		do
			--*length;
		while (place->path[*length] != '/');
		part[*length] = 0;
		fd = *length ? open_folder(part, O_PATH, place->user.uid, e) : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	return fd;
}

int maildir_path_make(bool *made, const struct maildir_place *place, struct err *e)
{
	char part[MAILDIR_PATH_MAX + 1];
	size_t length, whole = strlen(place->path);
	int fd = deepest(part, &length, place, e);
	while (fd >= 0 && length < whole) {
		*made = true;
		fd = make_next(fd, part, &length, place, e);
	}
	return fd;
}
