/* Landlock by raw system calls (the C library has none): see confine.h.  What the running kernel lacks is asked at run time; each version's
 * rights are used where they are there.  Input: rules from the graph table and from programs' settings.
 * Constants as in linux/landlock.h, which on Debian 11 and 12 is older than the kernels it runs under. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/confine.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define FS_EXECUTE     (1ull << 0)
#define FS_WRITE_FILE  (1ull << 1)
#define FS_READ_FILE   (1ull << 2)
#define FS_READ_DIR    (1ull << 3)
#define FS_REMOVE_DIR  (1ull << 4)
#define FS_REMOVE_FILE (1ull << 5)
#define FS_MAKE_DIR    (1ull << 7)
#define FS_MAKE_REG    (1ull << 8)
#define FS_REFER       (1ull << 13) /* version 2 */
#define FS_TRUNCATE    (1ull << 14) /* version 3 */
#define NET_BIND       (1ull << 0)  /* version 4 */
#define NET_CONNECT    (1ull << 1)
#define SCOPE_ABSTRACT (1ull << 0)  /* version 6 */
#define SCOPE_SIGNAL   (1ull << 1)

#define USABLE 2 /* version 1 refuses every move from one folder into another, as from a Maildir's tmp into its new */

#define READS (FS_READ_FILE | FS_READ_DIR)
#define WRITES (READS | FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE)
#define ON_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};
struct path_attr {
	uint64_t access;
	int32_t fd;
} __attribute__((packed));

int landlock_abi(void)
{
	long v = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u);
	return v < USABLE ? 0 : (int)v;
}

/* Version 2 has the first 14 rights, version 3 one more. */
static uint64_t fs_rights(int abi)
{
	return (1ull << (abi >= 3 ? 15 : 14)) - 1;
}

int landlock_begin(struct landlock *l, bool tcp_connect, struct err *e)
{
	*l = (struct landlock){.fd = -1, .abi = landlock_abi()};
	if (l->abi == 0)
		return 0;
	struct ruleset_attr attr = {.fs = fs_rights(l->abi)};
	size_t size = sizeof attr.fs;
	if (l->abi >= 4) {
		attr.net = NET_BIND | (tcp_connect ? 0 : NET_CONNECT);
		size = 2 * sizeof attr.fs;
	}
	if (l->abi >= 6) {
		attr.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
		size = sizeof attr;
	}
	l->fd = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0u);
	return l->fd < 0 ? err_sys(e, "landlock_create_ruleset") : 0;
}

int landlock_allow(struct landlock *l, const char *rule, struct err *e)
{
	bool writes = rule[0] == 'w';
	if ((!writes && rule[0] != 'r') || rule[1] != ':' || rule[2] != '/')
		return err_set(e, E_SYNTAX, "not a path rule: %s", rule);
	if (l->fd < 0)
		return 0;
	int fd = open(rule + 2, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? err_set(e, E_NOT_FOUND, "%s: not there", rule + 2) : err_sys(e, "%s", rule + 2);
	struct stat st;
	struct path_attr attr = {.access = (writes ? WRITES : READS) & fs_rights(l->abi), .fd = fd};
	int rc = fstat(fd, &st) < 0 ? err_sys(e, "%s", rule + 2) : 0;
	if (rc == 0 && !S_ISDIR(st.st_mode))
		attr.access &= ON_FILES;
	if (rc == 0 && syscall(SYS_landlock_add_rule, l->fd, 1, &attr, 0u) < 0)
		rc = err_sys(e, "landlock rule for %s", rule + 2);
	close(fd);
	return rc;
}

int landlock_enforce(struct landlock *l, struct err *e)
{
	if (l->fd < 0)
		return 0;
	int rc = syscall(SYS_landlock_restrict_self, l->fd, 0u) < 0 ? err_sys(e, "landlock_restrict_self") : 0;
	close(l->fd);
	l->fd = -1;
	return rc;
}
