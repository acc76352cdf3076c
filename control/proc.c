/* What /proc says of one process, compared with its row of the graph: see privileges.h.  Runs as the operator; /proc is the kernel's word, so it is
 * trusted, but a process may end while it is read. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/privileges.h"

#define FDS_MAX 100000

static int read_proc(char *space, size_t size, pid_t pid, const char *name, struct err *e)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, space, size - 1);
	int why = errno;
	if (fd >= 0)
		close(fd);
	errno = why;
	if (n < 0)
		return why == ENOENT || why == ESRCH ? err_set(e, E_NOT_FOUND, "process %d is gone", (int)pid) : err_sys(e, "%s", path);
	space[n] = 0;
	return 0;
}

/* The value after "NAME:" in /proc/PID/status, or "". */
static const char *status_value(const char *status, const char *name)
{
	size_t n = strlen(name);
	for (const char *line = status; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (strncmp(line, name, n) == 0 && line[n] == ':')
			return line + n + 1;
	return "";
}

static void four_ids(unsigned *id, const char *text)
{
	for (int i = 0; i < 4; i++) {
		char *end;
		id[i] = (unsigned)strtoul(text, &end, 10);
		text = end;
	}
}

static unsigned count_words(const char *text)
{
	unsigned n = 0;
	for (; *text && *text != '\n'; text++)
		n += !isspace((unsigned char)*text) && (isspace((unsigned char)text[1]) || !text[1]);
	return n;
}

static void take_status(struct proc_facts *f, const char *status)
{
	four_ids(f->uid, status_value(status, "Uid"));
	four_ids(f->gid, status_value(status, "Gid"));
	f->groups = count_words(status_value(status, "Groups"));
	f->cap_permitted = strtoull(status_value(status, "CapPrm"), NULL, 16);
	f->cap_effective = strtoull(status_value(status, "CapEff"), NULL, 16);
	f->cap_bounding = strtoull(status_value(status, "CapBnd"), NULL, 16);
	f->cap_ambient = strtoull(status_value(status, "CapAmb"), NULL, 16);
	f->no_new_privs = (unsigned)strtoul(status_value(status, "NoNewPrivs"), NULL, 10);
	f->seccomp = (unsigned)strtoul(status_value(status, "Seccomp"), NULL, 10);
}

/* The soft limit in the table of /proc/PID/limits. */
static unsigned long long limit_value(const char *limits, const char *name)
{
	const char *p = strstr(limits, name);
	if (!p)
		return 0;
	p += strlen(name);
	while (*p == ' ')
		p++;
	return *p == 'u' ? ~0ull : strtoull(p, NULL, 10);
}

static void take_limits(struct proc_facts *f, const char *limits)
{
	f->files_most = limit_value(limits, "Max open files");
	f->processes_most = limit_value(limits, "Max processes");
	f->file_size_most = limit_value(limits, "Max file size");
	f->memory_most = limit_value(limits, "Max data size");
	f->core_most = limit_value(limits, "Max core file size");
}

static bool under(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	return strncmp(path, folder, n) == 0 && (path[n] == 0 || path[n] == '/' || (n > 0 && folder[n - 1] == '/'));
}

static bool row_allows(const struct graph_row *row, const char *state, const char *path)
{
	char folder[512];
	if (strcmp(path, "/dev/null") == 0)
		return true;
	snprintf(folder, sizeof folder, "%s/queue", state);
	if (row->root == ROOT_QUEUE)
		return under(path, folder);
	for (size_t i = 0; row->root == ROOT_HOST && row->paths[i]; i++) {
		const char *rule = row->paths[i] + 2;
		bool in_state = strncmp(rule, "STATE/", 6) == 0;
		snprintf(folder, sizeof folder, "%s%s", in_state ? state : "", in_state ? rule + 5 : rule);
		if (under(path, folder))
			return true;
	}
	return false;
}

static void take_descriptor(struct proc_facts *f, const char *target, const struct graph_row *row, const char *state)
{
	if (strncmp(target, "socket:", 7) == 0)
		f->sockets++;
	else if (strncmp(target, "pipe:", 5) == 0)
		f->pipes++;
	else if (strncmp(target, "/memfd:", 7) == 0)
		f->memfds++;
	else if (strncmp(target, "anon_inode:", 11) == 0)
		f->others++;
	else {
		f->files++;
		if (!row_allows(row, state, target))
			snprintf(f->odd, sizeof f->odd, "%s", target);
	}
}

static bool link_of(char *target, size_t size, pid_t pid, const char *name)
{
	char path[300];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	ssize_t n = readlink(path, target, size - 1);
	target[n > 0 ? n : 0] = 0;
	return n > 0;
}

static void take_inside(struct proc_facts *f, const struct graph_row *row, const char *state)
{
	char path[32], name[272], target[256];
	struct dirent *entry;
	snprintf(path, sizeof path, "/proc/%d/fd", (int)f->pid);
	DIR *d = opendir(path);
	f->inside_seen = link_of(f->root, sizeof f->root, f->pid, "root") && d;
	for (int i = 0; d && i < FDS_MAX && (entry = readdir(d)); i++) {
		snprintf(name, sizeof name, "fd/%s", entry->d_name);
		if (entry->d_name[0] != '.' && link_of(target, sizeof target, f->pid, name))
			take_descriptor(f, target, row, state);
	}
	if (d)
		closedir(d);
}

int proc_read(struct proc_facts *f, pid_t pid, const struct graph_row *row, const char *state, struct err *e)
{
	char space[8192];
	*f = (struct proc_facts){.pid = pid, .group = getpgid(pid)};
	int rc = read_proc(space, sizeof space, pid, "status", e);
	if (rc < 0)
		return rc;
	take_status(f, space);
	rc = read_proc(space, sizeof space, pid, "limits", e);
	if (rc < 0)
		return rc;
	take_limits(f, space);
	take_inside(f, row, state);
	return 0;
}

/* ---- comparing ---- */

struct comparison {
	proc_report *report;
	void *arg;
};

__attribute__((format(printf, 3, 4)))
static void differ(const struct comparison *c, bool really, const char *format, ...)
{
	char text[512];
	va_list ap;
	if (!really)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	c->report(c->arg, text);
}

static void compare_identity(const struct comparison *c, const struct proc_facts *f, const struct proc_expect *x)
{
	bool may_change = x->child && x->capabilities;
	for (int i = 0; i < 4; i++) {
		bool wrong = may_change ? f->uid[i] == 0 && x->as_root : f->uid[i] != x->uid;
		if (wrong) {
			differ(c, true, "runs as user %u, the table says %u", (unsigned)f->uid[i], (unsigned)x->uid);
			break;
		}
	}
	differ(c, !may_change && f->gid[1] != x->gid, "runs as group %u, the table says %u", (unsigned)f->gid[1], (unsigned)x->gid);
	differ(c, x->as_root && f->groups > 0 && !may_change, "is in %u further groups", f->groups);
}

static void compare_rights(const struct comparison *c, const struct proc_facts *f, const struct proc_expect *x)
{
	uint64_t want = x->as_root ? x->capabilities : 0;
	differ(c, (f->cap_effective | f->cap_permitted | f->cap_ambient) & ~want, "has capabilities %#" PRIx64 ", the table says %#" PRIx64,
		f->cap_effective | f->cap_permitted | f->cap_ambient, want);
	differ(c, !x->child && want & ~f->cap_effective, "lacks capabilities %#" PRIx64, want & ~f->cap_effective);
	differ(c, x->as_root && f->cap_bounding & ~want, "could gain capabilities %#" PRIx64 " (bounding set)", f->cap_bounding & ~want);
	differ(c, f->no_new_privs != 1, "may gain privileges by exec");
	differ(c, f->seccomp != 2, "has no seccomp filter");
}

static void compare_limits(const struct comparison *c, const struct proc_facts *f, const struct proc_expect *x)
{
	const struct graph_row *row = x->row;
	differ(c, f->files_most > row->files_most, "may open %llu descriptors, the table says %lu", f->files_most, row->files_most);
	differ(c, (x->as_root || row->processes_most == 0) && f->processes_most > row->processes_most, "may have %llu processes, the table says %lu",
		f->processes_most, row->processes_most);
	differ(c, row->memory_most && f->memory_most > row->memory_most, "may take %llu octets of memory, the table says %lu", f->memory_most, row->memory_most);
	differ(c, row->file_size_zero && f->file_size_most > 0, "may write files, the table says no");
	differ(c, f->core_most > 0, "may leave core files");
}

static void compare_inside(const struct comparison *c, const struct proc_facts *f, const struct proc_expect *x)
{
	char root[512];
	snprintf(root, sizeof root, "%s/%s", x->state, x->row->root == ROOT_QUEUE ? "queue" : "empty");
	const char *want = x->as_root && x->row->root != ROOT_HOST ? root : "/";
	differ(c, strcmp(f->root, want) != 0, "has the root folder %s, the table says %s", f->root, want);
	differ(c, f->odd[0], "has %s open, which its row does not name", f->odd);
}

void proc_compare(const struct proc_facts *f, const struct proc_expect *x, proc_report *report, void *arg)
{
	const struct comparison c = {report, arg};
	compare_identity(&c, f, x);
	compare_rights(&c, f, x);
	compare_limits(&c, f, x);
	if (f->inside_seen)
		compare_inside(&c, f, x);
}
