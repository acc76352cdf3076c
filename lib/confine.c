/* User, capabilities, limits and root of a process: see confine.h.  Runs as root before the change, as the program's user after it; its only
 * inputs are the graph table and /etc/passwd. */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/confine.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#define PR_GET_MDWE 66
#endif

int confine_user(uid_t *uid, gid_t *gid, const char *name, struct err *e)
{
	FILE *f = fopen("/etc/passwd", "re");
	if (!f)
		return err_sys(e, "/etc/passwd");
	char space[4096];
	struct passwd pw, *found = NULL;
	while (fgetpwent_r(f, &pw, space, sizeof space, &found) == 0 && strcmp(pw.pw_name, name) != 0)
		found = NULL;
	fclose(f);
	if (!found)
		return err_set(e, E_NOT_FOUND, "there is no user %s in /etc/passwd", name);
	*uid = pw.pw_uid;
	*gid = pw.pw_gid;
	return 0;
}

/* Where the limit may not be raised (another user than root, a container, fs.nr_open), the most that may be had. */
static int limit(int resource, unsigned long value, struct err *e)
{
	struct rlimit now, want = {value, value};
	if (setrlimit((__rlimit_resource_t)resource, &want) == 0)
		return 0;
	if (errno != EPERM || getrlimit((__rlimit_resource_t)resource, &now) < 0 || value <= now.rlim_max)
		return err_sys(e, "setrlimit %d to %lu", resource, value);
	want.rlim_cur = want.rlim_max = now.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &want) < 0 ? err_sys(e, "setrlimit %d", resource) : 0;
}

int confine_limits(const struct graph_row *row, bool own_user, struct err *e)
{
	int rc = limit(RLIMIT_CORE, 0, e);
	if (rc == 0 && row->files_most)
		rc = limit(RLIMIT_NOFILE, row->files_most, e);
	if (rc == 0 && row->memory_most)
		rc = limit(RLIMIT_DATA, row->memory_most, e);
	if (rc == 0 && (own_user || row->processes_most == 0))
		rc = limit(RLIMIT_NPROC, row->processes_most, e);
	if (rc == 0 && row->file_size_zero)
		rc = limit(RLIMIT_FSIZE, 0, e);
	return rc;
}

int confine_root(const char *folder, struct err *e)
{
	if (chdir(folder) < 0)
		return err_sys(e, "%s", folder);
	return chroot(".") < 0 ? err_sys(e, "chroot to %s", folder) : 0;
}

static int set_capabilities(unsigned long bits, struct err *e)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	uint32_t low = (uint32_t)bits, high = (uint32_t)(bits >> 32);
	struct __user_cap_data_struct data[2] = {{low, low, 0}, {high, high, 0}};
	return syscall(SYS_capset, &head, data) < 0 ? err_sys(e, "capset") : 0;
}

static int drop_bounding_set(unsigned long keep, struct err *e)
{
	for (unsigned long c = 0; c < 64 && prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		if (!(keep & 1ul << c) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0)
			return err_sys(e, "dropping capability %lu", c);
	return 0;
}

/* Root is then a user like any other: neither exec nor setuid(0) gives capabilities.  KEEP_CAPS is locked off after the change of user. */
#define LOCKED (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

int confine_identity(uid_t uid, gid_t gid, unsigned long capabilities, struct err *e)
{
	int rc = drop_bounding_set(capabilities, e);
	if (rc < 0)
		return rc;
	if (prctl(PR_SET_SECUREBITS, LOCKED | SECBIT_KEEP_CAPS, 0, 0, 0) < 0)
		return err_sys(e, "secure bits");
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0)
		return err_sys(e, "group %u", (unsigned)gid);
	if (setresuid(uid, uid, uid) < 0)
		return err_sys(e, "user %u", (unsigned)uid);
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return err_sys(e, "keep capabilities");
	return set_capabilities(capabilities, e);
}

bool confine_mdwe(void)
{
	return prctl(PR_GET_MDWE, 0, 0, 0, 0) >= 0;
}

/* SIGKILL, not SIGTERM: a suite without supervisor must not linger, and no program needs an orderly end to keep mail safe. */
int confine_process(bool makes_code, struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, "no-new-privileges");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, "dumpable");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_sys(e, "parent's death");
	if (!makes_code && confine_mdwe() && prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) < 0)
		return err_sys(e, "no new executable memory");
	return 0;
}
