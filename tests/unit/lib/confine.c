/* Confinement is shown by what a forked child can no longer do. */
#include "lib/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

/* Runs ACT in a child; its wait status. */
static int in_child(void (*act)(void))
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		act();
		_exit(0);
	}
	int status = 0;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void expect(bool is)
{
	if (!is)
		_exit(1);
}

static void filtered(void)
{
	static struct filter f;
	static const char *const none[] = {NULL};
	const char *const *lists[] = {graph_common_syscalls, none};
	struct err e;
	expect(filter_build(&f, lists, 2, &e) == 0);
	expect(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	expect(filter_handler(&e) == 0);
	expect(filter_apply(&f, &e) == 0);
}

static void allowed_calls(void)
{
	filtered();
	int pair[2];
	expect(getpid() > 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 && close(pair[0]) == 0);
	expect(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) >= 0);
	struct rlimit r = {1, 1};
	expect(setrlimit(RLIMIT_CPU, &r) == 0);
	int n;
	expect(ioctl(pair[1], FIONREAD, &n) == 0);
}

static void call_open(void) { filtered(); (void)!open("/etc/passwd", O_RDONLY); }
static void call_socket(void) { filtered(); (void)!socket(AF_INET, SOCK_STREAM, 0); }
static void call_fork(void) { filtered(); (void)!fork(); }
static void call_execve(void) { filtered(); syscall(SYS_execve, 0, 0, 0); }
static void call_ptrace(void) { filtered(); syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0); }
static void call_io_uring(void) { filtered(); syscall(SYS_io_uring_setup, 1, 0); }
static void call_dumpable(void) { filtered(); prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); }
static void call_ioctl(void) { filtered(); ioctl(0, TIOCSTI, "x"); }
static void call_prlimit(void) { filtered(); struct rlimit r = {1, 1}; syscall(SYS_prlimit64, 1, RLIMIT_CORE, &r, NULL); }
static const char *const takes_users[] = {"setfsuid", "setfsgid", "fchownat", NULL};
static void filtered_with_users(void)
{
	static struct filter f;
	const char *const *lists[] = {graph_common_syscalls, takes_users};
	struct err e;
	expect(filter_build(&f, lists, 2, &e) == 0);
	expect(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	expect(filter_handler(&e) == 0);
	expect(filter_apply(&f, &e) == 0);
}
static void call_fsuid_0(void) { filtered_with_users(); syscall(SYS_setfsuid, 0); }
static void call_fsuid_99(void) { filtered_with_users(); syscall(SYS_setfsuid, 99); }
static void call_fsuid_high(void) { filtered_with_users(); syscall(SYS_setfsuid, 0x8000000000000000ul); } /* 0 to the kernel */
static void call_fsgid_0(void) { filtered_with_users(); syscall(SYS_setfsgid, 0); }
static void call_chown_0(void) { filtered_with_users(); syscall(SYS_fchownat, -1, "x", 0, 1000, 0); }
static void users_of_people(void)
{
	static const unsigned ok[] = {100, 103, 104, 111, 112, 127, 128, 1000, 65534, 0x80000000u, ~0u};
	filtered_with_users();
	for (size_t i = 0; i < sizeof ok / sizeof *ok; i++) {
		syscall(SYS_setfsuid, ok[i]);
		syscall(SYS_setfsgid, ok[i]);
		syscall(SYS_fchownat, -1, "x", ok[i], ok[i], 0);
	}
}
static void replace_handler(void) { filtered(); signal(SIGSYS, SIG_IGN); }
static void block_signal(void)
{
	filtered();
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	syscall(SYS_execve, 0, 0, 0);
}

static const struct {
	const char *what;
	void (*act)(void);
} refused[] = {
	{"open", call_open}, {"socket", call_socket}, {"fork", call_fork}, {"execve", call_execve}, {"ptrace", call_ptrace},
	{"io_uring_setup", call_io_uring}, {"dumpable again", call_dumpable}, {"ioctl TIOCSTI", call_ioctl}, {"another's limit", call_prlimit},
	{"files as root", call_fsuid_0}, {"files as a system's user", call_fsuid_99}, {"files as root by the high half", call_fsuid_high},
	{"files of root's group", call_fsgid_0}, {"a folder for root", call_chown_0}, {"another SIGSYS handler", replace_handler}, {"SIGSYS blocked", block_signal},
};

START_TEST(violation_dies)
{
	int status = in_child(refused[_i].act);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: status %#x", refused[_i].what, (unsigned)status);
}
END_TEST

/* What runs programs of the host: these run, and what no program may have fails without killing them. */
static void open_filter(void)
{
	static struct filter f;
	struct err e;
	char *argv[] = {(char[]){"true"}, NULL}, *env[] = {NULL};
	expect(filter_build_open(&f, &e) == 0);
	expect(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	expect(filter_apply(&f, &e) == 0);
	expect(syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0) < 0 && errno == EPERM);
	expect(syscall(SYS_unshare, CLONE_NEWUSER) < 0 && errno == EPERM);
	expect(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) < 0 && errno == EPERM);
	expect(syscall(SYS_io_uring_setup, 1, 0) < 0 && errno == EPERM);
	expect(syscall(SYS_bpf, 0, 0, 0) < 0 && errno == EPERM);
	pid_t pid = fork();
	int status;
	if (pid == 0) {
		execve("/bin/true", argv, env);
		_exit(1);
	}
	expect(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

START_TEST(programs_run)
{
	ck_assert_int_eq(in_child(open_filter), 0);
}
END_TEST

START_TEST(common_calls_work)
{
	ck_assert_int_eq(in_child(allowed_calls), 0);
	ck_assert_int_eq(in_child(users_of_people), 0);
}
END_TEST

/* The refused call is named on descriptor 2. */
START_TEST(violation_is_named)
{
	int pipe_fd[2];
	char text[64] = "", want[64];
	ck_assert_int_eq(pipe(pipe_fd), 0);
	int keep = dup(2);
	dup2(pipe_fd[1], 2);
	close(pipe_fd[1]);
	in_child(call_io_uring);
	dup2(keep, 2);
	close(keep);
	ck_assert_int_gt(read(pipe_fd[0], text, sizeof text - 1), 0);
	close(pipe_fd[0]);
	snprintf(want, sizeof want, "syscall-refused %d\n", (int)SYS_io_uring_setup);
	ck_assert_str_eq(text, want);
	char *name = filter_call_name(SYS_io_uring_setup);
	ck_assert_str_eq(name, "io_uring_setup");
	free(name);
}
END_TEST

static const char *const never[] = {"execve", "ptrace", "io_uring_setup", "io_uring_enter", "unshare", "mount", "bpf", "setns"};
START_TEST(forbidden_in_any_row)
{
	static struct filter f;
	struct err e;
	const char *const list[] = {"read", never[_i], NULL};
	const char *const *lists[] = {list};
	ck_assert_int_eq(filter_build(&f, lists, 1, &e), E_REFUSED);
	ck_assert_ptr_nonnull(strstr(e.text, never[_i]));
}
END_TEST

START_TEST(unknown_call)
{
	static struct filter f;
	struct err e;
	const char *const list[] = {"reed", NULL};
	const char *const *lists[] = {list};
	ck_assert_int_eq(filter_build(&f, lists, 1, &e), E_NOT_FOUND);
}
END_TEST

START_TEST(every_row_builds)
{
	static struct filter f;
	struct err e = {0};
	const char *const *lists[] = {graph_common_syscalls, graph[_i].syscalls};
	ck_assert_msg(filter_build(&f, lists, 2, &e) == 0, "%s: %s", graph[_i].name, e.text);
	ck_assert_uint_gt(f.n, 100);
}
END_TEST

static char folder[64];

static void landlocked(void)
{
	struct landlock l;
	struct err e;
	char rule[80];
	expect(landlock_begin(&l, false, &e) == 0);
	snprintf(rule, sizeof rule, "w:%s", folder);
	expect(landlock_allow(&l, rule, &e) == 0);
	expect(landlock_allow(&l, "r:/etc/passwd", &e) == 0);
	expect(landlock_allow(&l, "r:/no/such/path", &e) == E_NOT_FOUND);
	expect(landlock_allow(&l, "x:/", &e) == E_SYNTAX);
	expect(landlock_allow(&l, "r:relative", &e) == E_SYNTAX);
	expect(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	expect(landlock_enforce(&l, &e) == 0);
}

static void paths(void)
{
	char name[96], other[96];
	landlocked();
	snprintf(name, sizeof name, "%s/a", folder);
	snprintf(other, sizeof other, "%s/b", folder);
	expect(open("/etc/passwd", O_RDONLY) >= 0);
	expect(open("/etc/passwd", O_WRONLY) < 0 && errno == EACCES);
	expect(open("/etc/group", O_RDONLY) < 0 && errno == EACCES);
	expect(open("/etc", O_RDONLY | O_DIRECTORY) < 0 && errno == EACCES);
	int fd = open(name, O_CREAT | O_RDWR, 0600);
	expect(fd >= 0 && write(fd, "x", 1) == 1 && rename(name, other) == 0 && unlink(other) == 0);
	expect(mkdir(name, 0700) == 0 && rmdir(name) == 0);
	expect(symlink("/etc", name) < 0 && errno == EACCES);
	expect(mknod(name, S_IFIFO | 0600, 0) < 0 && errno == EACCES);
	expect(memfd_create("x", 0) >= 0);
}

static void network(void)
{
	landlocked();
	if (landlock_abi() < 4)
		return;
	struct sockaddr sa = {.sa_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	expect(connect(fd, &sa, 16) < 0 && errno == EACCES);
	expect(bind(fd, &sa, 16) < 0 && errno == EACCES);
}

static void signals(void)
{
	landlocked();
	expect(landlock_abi() < 6 || (kill(getppid(), 0) < 0 && errno == EPERM));
}

START_TEST(landlock_holds)
{
	static void (*const act[])(void) = {paths, network, signals};
	if (landlock_abi() == 0)
		return;
	ck_assert_int_eq(slice_copy(folder, sizeof folder, slice_str("/tmp/postern-confine-XXXXXX")), 0);
	ck_assert_ptr_nonnull(mkdtemp(folder));
	int status = in_child(act[_i]);
	rmdir(folder);
	ck_assert_int_eq(status, 0);
}
END_TEST

static void limited(void)
{
	static const struct graph_row row = {.files_most = 17, .file_size_zero = true};
	struct err e;
	struct rlimit r;
	expect(confine_limits(&row, false, &e) == 0);
	expect(getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_max == 17);
	expect(getrlimit(RLIMIT_CORE, &r) == 0 && r.rlim_max == 0);
	expect(getrlimit(RLIMIT_FSIZE, &r) == 0 && r.rlim_max == 0);
	expect(getrlimit(RLIMIT_NPROC, &r) == 0 && r.rlim_max == 0);
}

START_TEST(limits)
{
	ck_assert_int_eq(in_child(limited), 0);
}
END_TEST

static void as_nobody(void)
{
	struct err e;
	expect(confine_identity(65534, 65534, 1ul << CAP_CHOWN, &e) == 0);
	expect(confine_process(false, &e) == 0);
	char line[256];
	unsigned long eff = 0, bounding = 0;
	FILE *f = fopen("/proc/self/status", "r");
	if (f) { /* not dumpable: may be closed to us */
		while (fgets(line, sizeof line, f)) {
			(void)!sscanf(line, "CapEff: %lx", &eff);
			(void)!sscanf(line, "CapBnd: %lx", &bounding);
		}
		expect(eff == 1ul << CAP_CHOWN && bounding == 1ul << CAP_CHOWN);
	}
	expect(getuid() == 65534 && getegid() == 65534 && getgroups(0, NULL) == 0);
	expect(setuid(0) < 0 && chroot("/") < 0);
	expect(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	expect(prctl(66, 0, 0, 0, 0) < 0 /* no PR_GET_MDWE: Linux before 6.3 */ || mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0);
}

START_TEST(identity)
{
	if (geteuid() == 0)
		ck_assert_int_eq(in_child(as_nobody), 0);
}
END_TEST

START_TEST(users)
{
	uid_t uid = 1;
	gid_t gid = 1;
	struct err e;
	ck_assert_int_eq(confine_user(&uid, &gid, "root", &e), 0);
	ck_assert_uint_eq(uid, 0);
	ck_assert_uint_eq(gid, 0);
	ck_assert_int_eq(confine_user(&uid, &gid, "no-such-user", &e), E_NOT_FOUND);
}
END_TEST

UNIT_MAIN("confine",
	tcase_add_loop_test(t, violation_dies, 0, sizeof refused / sizeof *refused);
	tcase_add_test(t, common_calls_work);
	tcase_add_test(t, programs_run);
	tcase_add_test(t, violation_is_named);
	tcase_add_loop_test(t, forbidden_in_any_row, 0, sizeof never / sizeof *never);
	tcase_add_test(t, unknown_call);
	tcase_add_loop_test(t, every_row_builds, 0, (int)graph_rows);
	tcase_add_loop_test(t, landlock_holds, 0, 3);
	tcase_add_test(t, limits);
	tcase_add_test(t, identity);
	tcase_add_test(t, users);)
