/* Users and folders: see folders.h.  Runs as root (then programs have their own users) or as any user (then nothing is chowned), before any
 * program starts.  useradd(8) is run by execve without a shell and with a fixed environment. */
#include "supervise/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/confine.h"
#include "supervise/graph.h"

static int run_useradd(const char *user, struct err *e)
{
	char name[64];
	snprintf(name, sizeof name, "%s", user);
	char *env[] = {(char[]){"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, NULL};
	char *argv[] = {(char[]){"useradd"}, (char[]){"--system"}, (char[]){"--user-group"}, (char[]){"--no-create-home"}, (char[]){"--home-dir"},
		(char[]){"/nonexistent"}, (char[]){"--shell"}, (char[]){"/usr/sbin/nologin"}, (char[]){"--"}, name, NULL};
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		execve("/usr/sbin/useradd", argv, env);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return err_sys(e, "useradd %s", user);
	if (status == 0)
		return 0;
	return err_set(e, E_SYS, "useradd could not create the user %s; create it by hand: useradd --system --shell /usr/sbin/nologin %s", user, user);
}

int folders_users(struct err *e)
{
	char user[64];
	uid_t uid;
	gid_t gid;
	for (unsigned i = 0; geteuid() == 0 && i < graph_rows; i++) {
		const char *name = graph_user(&graph[i], user);
		int rc = confine_user(&uid, &gid, name, e);
		if (rc == E_NOT_FOUND)
			rc = run_useradd(name, e);
		if (rc == 0)
			rc = confine_user(&uid, &gid, name, e);
		if (rc < 0)
			return rc;
		if (uid == 0)
			return err_set(e, E_REFUSED, "the user %s has user id 0; give it its own", name);
	}
	return 0;
}

static const struct folder {
	const char *name;
	enum program owner; /* P_SUPERVISE: who starts the suite */
	mode_t mode;
} folders[] = {
	{"", P_SUPERVISE, 0755},
	{"/log", P_SUPERVISE, 0750},
	{"/run", P_SUPERVISE, 0755},
	{"/empty", P_SUPERVISE, 0555},
	{"/queue", P_QUEUE, 0700},
	{"/scan", P_SCANWORKER, 0700},
	{"/skim", P_SKIM, 0700},
	{"/respond", P_RESPOND, 0700},
	{"/quarantine", P_QUARANTINE, 0700},
	{"/mail", P_LOCAL, 0711}, /* users' own processes pass through to their Maildirs */
};

/* The folder is held by descriptor: a link put in its place is not followed. */
static int make_folder(const char *state, const struct folder *f, struct err *e)
{
	char path[300], user[64];
	uid_t uid = geteuid();
	gid_t gid = getegid();
	snprintf(path, sizeof path, "%s%s", state, f->name);
	if (uid == 0 && f->owner != P_SUPERVISE && confine_user(&uid, &gid, graph_user(graph_of(f->owner), user), e) < 0)
		return E_SYS;
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, "%s", path);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int rc = fd < 0 || (geteuid() == 0 && fchown(fd, uid, gid) < 0) || fchmod(fd, f->mode) < 0 ? err_sys(e, "%s", path) : 0;
	if (fd >= 0)
		close(fd);
	return rc;
}

/* The root of programs that need no file must stay empty. */
static int check_empty(const char *state, struct err *e)
{
	char path[300];
	int n = 0;
	snprintf(path, sizeof path, "%s/empty", state);
	DIR *d = opendir(path);
	if (!d)
		return err_sys(e, "%s", path);
	while (readdir(d))
		n++;
	closedir(d);
	return n > 2 ? err_set(e, E_REFUSED, "%s is the root folder of programs that need none and must be empty; remove what is in it", path) : 0;
}

/* Programs that see the host's file system reach STATE as their own users. */
static int check_way(const char *state, struct err *e)
{
	char path[300];
	struct stat st;
	snprintf(path, sizeof path, "%s", state);
	for (char *slash; (slash = strrchr(path, '/'));) {
		*slash = 0;
		if (stat(path[0] ? path : "/", &st) < 0)
			return err_sys(e, "%s", path);
		if (!(st.st_mode & S_IXOTH))
			return err_set(e, E_REFUSED, "%s: the users postern-* cannot pass through it to %s; chmod o+x it, or choose another state folder", path, state);
	}
	return 0;
}

int folders_make(char *path, size_t size, const char *state, struct err *e)
{
	if (mkdir(state, 0755) < 0 && errno != EEXIST)
		return err_sys(e, "%s", state);
	char *real = realpath(state, NULL);
	if (!real)
		return err_sys(e, "%s", state);
	int rc = slice_copy(path, size, slice_str(real)) < 0 || strlen(real) > 240 ? err_set(e, E_TOO_LONG, "%s: name too long", state) : 0;
	free(real);
	if (rc == 0 && geteuid() == 0)
		rc = check_way(path, e);
	for (size_t i = 0; rc == 0 && i < sizeof folders / sizeof *folders; i++)
		rc = make_folder(path, &folders[i], e);
	return rc < 0 ? rc : check_empty(path, e);
}

int folders_lock(const char *state, struct err *e)
{
	char path[300], pid[16] = "";
	snprintf(path, sizeof path, "%s/lock", state);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
		struct slice who = slice_trim(slice_make(pid, n > 0 ? (size_t)n : 0));
		close(fd);
		return err_set(e, E_REFUSED, "%s is in use by another postern-supervise (process %.*s); stop it first", state, SLICE_FMT(who));
	}
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
		err_sys(e, "%s", path);
		close(fd);
		return E_SYS;
	}
	return fd;
}
