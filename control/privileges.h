/* `postern privileges`: the graph table for people, and what /proc says of the running programs beside it. */
#ifndef POSTERN_CONTROL_PRIVILEGES_H
#define POSTERN_CONTROL_PRIVILEGES_H
#include <stdint.h>
#include <sys/types.h>

#include "lib/err.h"
#include "supervise/graph.h"

/* Print the table (JSON: as one object) and, when the suite of STATE runs, compare every process with it.
 * Returns the exit code: 0 all is as the table says (or nothing runs), 1 a difference, 111 control files or /proc could not be read. */
int cmd_privileges(const char *control, const char *state, bool json);

/* One process as /proc shows it. */
struct proc_facts {
	pid_t pid, group;
	uid_t uid[4];          /* real, effective, saved, file system */
	gid_t gid[4];
	unsigned groups;       /* supplementary */
	uint64_t cap_permitted, cap_effective, cap_bounding, cap_ambient;
	unsigned no_new_privs, seccomp;
	unsigned long long files_most, processes_most, file_size_most, memory_most, core_most; /* ~0ull: unlimited */
	bool inside_seen;      /* root and descriptors could be looked at: root alone may */
	char root[256];
	unsigned sockets, pipes, memfds, files, others;
	char odd[256];         /* a file or device outside what the row may have; empty: none */
};
/* 0; E_NOT_FOUND when there is no such process (any more); E_SYS. */
MUST_CHECK int proc_read(struct proc_facts *f, pid_t pid, const struct graph_row *row, const char *state, struct err *e);

struct proc_expect {
	const struct graph_row *row;
	const char *state;
	unsigned long capabilities; /* graph_capabilities() */
	bool as_root;          /* the suite was started as root: own user, chroot, capabilities */
	uid_t uid;
	gid_t gid;
	bool child;            /* forked by the program: may have less, and another user where the row lets it change users */
};
typedef void proc_report(void *arg, const char *text);
/* Tell REPORT of every difference between F and what is expected. */
void proc_compare(const struct proc_facts *f, const struct proc_expect *x, proc_report *report, void *arg);
#endif
