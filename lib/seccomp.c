/* The seccomp allow-lists of confine.h.  Input: names of system calls from the graph table.
 *
 * Calls whose harm is in their arguments are allowed with harmless ones alone (conditions[]).  What is not allowed traps instead of killing at
 * once, for one reason: the handler says which call it was, and then makes another refused call with the handler reset, at which the kernel kills the
 * process.  rt_sigaction for SIGSYS is itself refused, so the handler cannot be replaced by whoever took the program over; a blocked or
 * ignored SIGSYS is forced by the kernel. */
#include <errno.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <netinet/in.h>
#include <linux/sockios.h>
#include <unistd.h>

#include "lib/confine.h"
#include "lib/io.h"

/* What turns a program into another one, looks into others, or opens parts of the kernel that mail never needs. */
static const char *const forbidden[] = {
	"execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "io_uring_setup", "io_uring_enter",
	"io_uring_register", "bpf", "userfaultfd", "perf_event_open", "keyctl", "add_key", "request_key", "mount", "umount2", "move_mount", "open_tree",
	"fsopen", "fsmount", "pivot_root", "chroot", "unshare", "setns", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load",
	"reboot", "swapon", "swapoff", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "sethostname", "setdomainname", "personality",
	"modify_ldt", "iopl", "ioperm", "syslog", "acct", "quotactl", "mknod", "mknodat", "name_to_handle_at", "open_by_handle_at", "vmsplice", "pidfd_getfd",
	NULL,
};

#define NEW_NAMESPACES ((scmp_datum_t)(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP))
static const struct condition {
	const char *call;
	unsigned arg;
	enum scmp_compare compare;
	scmp_datum_t a, b;
} conditions[] = {
	{"clone", 0, SCMP_CMP_MASKED_EQ, NEW_NAMESPACES, 0},
	{"socket", 0, SCMP_CMP_EQ, AF_UNIX, 0},
	{"socket", 0, SCMP_CMP_EQ, AF_INET, 0},
	{"socket", 0, SCMP_CMP_EQ, AF_INET6, 0},
	{"socket", 0, SCMP_CMP_EQ, AF_NETLINK, 0}, /* getaddrinfo asks which addresses the host has */
	{"socketpair", 0, SCMP_CMP_EQ, AF_UNIX, 0},
	{"setsockopt", 1, SCMP_CMP_EQ, SOL_SOCKET, 0},
	{"setsockopt", 1, SCMP_CMP_EQ, IPPROTO_TCP, 0},
	{"setsockopt", 1, SCMP_CMP_EQ, IPPROTO_IP, 0},
	{"setsockopt", 1, SCMP_CMP_EQ, IPPROTO_IPV6, 0},
	{"ioctl", 1, SCMP_CMP_EQ, FIONREAD, 0},
	{"ioctl", 1, SCMP_CMP_EQ, FIONBIO, 0},
	{"ioctl", 1, SCMP_CMP_EQ, SIOCOUTQ, 0},
	{"ioctl", 1, SCMP_CMP_EQ, TCGETS, 0}, /* isatty(), of standard I/O */
	{"prlimit64", 0, SCMP_CMP_EQ, 0, 0},  /* one's own limits, which can only be lowered */
	{"prctl", 0, SCMP_CMP_EQ, PR_SET_NAME, 0},
	{"prctl", 0, SCMP_CMP_EQ, PR_GET_NAME, 0},
	{"prctl", 0, SCMP_CMP_EQ, PR_SET_PDEATHSIG, 0},
	{"prctl", 0, SCMP_CMP_EQ, PR_GET_PDEATHSIG, 0},
	{"prctl", 0, SCMP_CMP_EQ, PR_SET_NO_NEW_PRIVS, 0},
	{"prctl", 0, SCMP_CMP_EQ, PR_GET_NO_NEW_PRIVS, 0},
	{"prctl", 0, SCMP_CMP_EQ, PR_GET_DUMPABLE, 0},
	{"prctl", 0, SCMP_CMP_EQ, PR_CAPBSET_READ, 0},
	{"rt_sigaction", 0, SCMP_CMP_NE, SIGSYS, 0},
};

/* Calls that take a user's or group's number: only those of people, from 100 on, whatever the program was made to believe.  The kernel looks at
 * the low 32 bits alone, so a comparison of the whole register could be passed by; bits can be looked at one by one. */
static const struct {
	const char *call;
	unsigned arg;
} people[] = {{"setfsuid", 0}, {"setfsgid", 0}, {"fchownat", 2}};

static bool same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

bool filter_forbidden(const char *syscall)
{
	for (const char *const *f = forbidden; *f; f++)
		if (same(*f, syscall))
			return true;
	return false;
}

char *filter_call_name(int number)
{
	return seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
}

static int allow_masked(scmp_filter_ctx ctx, int number, unsigned arg, scmp_datum_t mask, scmp_datum_t value)
{
	struct scmp_arg_cmp cmp = {arg, SCMP_CMP_MASKED_EQ, mask, value};
	int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, number, 1, &cmp);
	return rc == -EEXIST ? 0 : rc;
}

/* 128 and more is any of bits 7 to 31; below that 100 to 103, 104 to 111, 112 to 127. */
static int add_people(scmp_filter_ctx ctx, int number, unsigned arg)
{
	static const struct {
		scmp_datum_t mask, value;
	} low[] = {{0xfffffffc, 100}, {0xfffffff8, 104}, {0xfffffff0, 112}};
	int rc = 0;
	for (unsigned bit = 7; rc == 0 && bit < 32; bit++)
		rc = allow_masked(ctx, number, arg, 1ul << bit, 1ul << bit);
	for (size_t i = 0; rc == 0 && i < sizeof low / sizeof *low; i++)
		rc = allow_masked(ctx, number, arg, low[i].mask, low[i].value);
	return rc;
}

static int add_rule(scmp_filter_ctx ctx, const char *call, int number)
{
	bool conditional = false;
	for (size_t i = 0; i < sizeof people / sizeof *people; i++)
		if (same(people[i].call, call))
			return add_people(ctx, number, people[i].arg);
	for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
		const struct condition *c = &conditions[i];
		if (!same(c->call, call))
			continue;
		conditional = true;
		struct scmp_arg_cmp cmp = {c->arg, c->compare, c->a, c->b};
		int rc = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, number, 1, &cmp);
		if (rc < 0 && rc != -EEXIST)
			return rc;
	}
	int rc = conditional ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 0);
	return rc == -EEXIST ? 0 : rc;
}

static int add_list(scmp_filter_ctx ctx, const char *const *list, struct err *e)
{
	for (; *list; list++) {
		if (filter_forbidden(*list))
			return err_set(e, E_REFUSED, "no program may have the system call %s", *list);
		int number = seccomp_syscall_resolve_name(*list);
		if (number == __NR_SCMP_ERROR)
			return err_set(e, E_NOT_FOUND, "there is no system call %s", *list);
		int rc = add_rule(ctx, *list, number);
		if (rc < 0)
			return err_set(e, E_SYS, "seccomp rule for %s: %s", *list, strerror(-rc));
	}
	return 0;
}

/* libseccomp writes its program to a descriptor alone. */
static int export_code(struct filter *f, scmp_filter_ctx ctx, struct err *e)
{
	int fd = (int)syscall(SYS_memfd_create, "filter", 1u);
	if (fd < 0)
		return err_sys(e, "memfd_create");
	ssize_t n = -1;
	if (seccomp_export_bpf(ctx, fd) == 0)
		n = pread(fd, f->code, sizeof f->code, 0);
	off_t end = lseek(fd, 0, SEEK_END);
	close(fd);
	if (n <= 0 || n != end)
		return err_set(e, E_TOO_LONG, "the seccomp program has %lld octets", (long long)end);
	f->n = (unsigned short)((size_t)n / sizeof *f->code);
	return 0;
}

int filter_build(struct filter *f, const char *const *const *lists, size_t count, struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
	if (!ctx)
		return err_set(e, E_SYS, "seccomp_init failed");
	int rc = 0;
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	/* glibc falls back to clone(), whose flags a filter can see. */
	if (seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) < 0)
		rc = err_set(e, E_SYS, "seccomp rule for clone3 failed");
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = add_list(ctx, lists[i], e);
	if (rc == 0)
		rc = export_code(f, ctx, e);
	seccomp_release(ctx);
	return rc;
}

/* For programs that we do not know: what no program may have fails as if it were not allowed, all else goes. */
int filter_build_open(struct filter *f, struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	struct scmp_arg_cmp namespaces = {0, SCMP_CMP_MASKED_EQ, CLONE_NEWUSER, CLONE_NEWUSER};
	if (!ctx)
		return err_set(e, E_SYS, "seccomp_init failed");
	int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (rc == 0)
		rc = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, &namespaces);
	for (const char *const *name = forbidden; rc == 0 && *name; name++)
		if (!same(*name, "execve") && !same(*name, "execveat") && seccomp_syscall_resolve_name(*name) != __NR_SCMP_ERROR)
			rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(*name), 0);
	rc = rc < 0 ? err_set(e, E_SYS, "seccomp rule: %s", strerror(-rc)) : export_code(f, ctx, e);
	seccomp_release(ctx);
	return rc;
}

int filter_apply(const struct filter *f, struct err *e)
{
	struct sock_fprog prog = {f->n, (struct sock_filter *)(uintptr_t)f->code};
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return err_sys(e, "seccomp");
	return 0;
}

/* SA_RESETHAND: by now SIGSYS ends the process.  Only system calls of the common list may be made here. */
static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	char text[48] = "syscall-refused ", digits[12];
	size_t n = sizeof "syscall-refused " - 1, d = 0;
	for (unsigned v = (unsigned)info->si_syscall; d == 0 || v > 0; v /= 10)
		digits[d++] = (char)('0' + v % 10);
	while (d > 0)
		text[n++] = digits[--d];
	text[n++] = '\n';
	ssize_t put = write(2, text, n);
	(void)put;
	syscall(SYS_ptrace, 0, 0, 0, 0);
	_exit(111);
}

int filter_handler(struct err *e)
{
	struct sigaction act = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO | (int)SA_RESETHAND | SA_NODEFER};
	if (sigaction(SIGSYS, &act, NULL) < 0)
		return err_sys(e, "sigaction");
	return 0;
}
