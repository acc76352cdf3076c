/* The graph table: see graph.h.  Read by the supervisor (root), by every program about itself, and by `postern privileges`.
 * Constant data, no input.  The lists of system calls stand beside the rows that use them; whoever changes a program corrects its row.
 *
 * Clone, ioctl, socket, prctl, setsockopt and prlimit64 are allowed only with harmless arguments: lib/seccomp.c has that table, and
 * the list of calls that no row may name. */
#include "supervise/graph.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "lib/slice.h"
#include "skim/respond_plan.h"

#define CAP(c) (1ul << (c))
#define MIB (1ul << 20)

/* Memory, time, descriptors in hand, datagrams with descriptors, memfds, leaving. */
const char *const graph_common_syscalls[] = {
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "close", "close_range", "fstat", "newfstatat", "lseek",
	"dup", "dup3", "fcntl", "ftruncate", "memfd_create", "mmap", "munmap", "mremap", "mprotect", "madvise", "brk",
	"futex", "membarrier", "rseq", "set_robust_list", "sched_yield", "sched_getaffinity",
	"poll", "ppoll", "select", "pselect6", "recvmsg", "sendmsg", "recvfrom", "sendto", "socketpair", "shutdown", "getsockopt", "setsockopt",
	"getsockname", "getpeername", "pipe2",
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "getrandom",
	"getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getgroups", "getresuid", "getresgid",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait", "sigaltstack", "restart_syscall", "tgkill",
	"prlimit64", "getrlimit", "getrusage", "uname", "sysinfo", "prctl", "seccomp", "ioctl", "exit", "exit_group", NULL,
};

#define FORKS "clone", "fork", "vfork", "wait4", "waitid", "kill", "setpgid", "pidfd_open", "pidfd_send_signal"
#define EVENTS "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "timerfd_create", "timerfd_settime", "eventfd2", "signalfd4"
#define ACCEPTS "accept", "accept4"
#define CONNECTS "socket", "connect", "bind", "sendmmsg", "recvmmsg"
#define READS_FILES "open", "openat", "access", "faccessat", "faccessat2", "stat", "lstat", "statx", "getdents64", "readlink", "readlinkat", \
	"getcwd", "chdir", "fchdir", "statfs", "fstatfs", "fadvise64", "flock"
#define WRITES_FILES "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "truncate", "umask", \
	"fsync", "fdatasync", "syncfs", "sync_file_range", "fallocate", "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "utimensat"
#define THREADS "clone", "set_tid_address", "sched_setaffinity", "sched_getparam", "sched_getscheduler", "getcpu"
/* Connections, forked workers (deliver/pool.c), and libunbound with its thread. */
#define DELIVERS "socket", "connect", "bind", "clone", "wait4", "kill", "openat", "set_tid_address", "epoll_create1", "epoll_ctl", "epoll_wait", "eventfd2"
#define TAKES_UIDS "setuid", "setgid", "setresuid", "setresgid", "setreuid", "setregid", "setfsuid", "setfsgid", "setgroups", "capget", "capset"

#define CALLS(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(,) NULL})

const struct graph_row graph[] = {
	{
		.program = P_DOOR, .name = "door", .lanes = BIT(LANE_OUTSIDE) | BIT(LANE_SUBMISSION) | BIT(LANE_CLUSTER), .workers = 1, .keeps_state = true,
		.drains = true,
		.ports = {PORT_SESSION, PORT_DNS, PORT_COMMAND, PORT_IN, PORT_LISTEN},
		.root = ROOT_EMPTY,
		.syscalls = CALLS("epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "accept4"),
		.files_most = 131072, .file_size_zero = true,
		.why = "Holds every connection that may not speak yet; reads the network before any other program, so it can reach sessions alone.",
	},
	{
		.program = P_DNS, .name = "dns", .lanes = BIT(LANE_NONE), .workers = 1, .keeps_state = true,
		.ports = {PORT_IN, PORT_FEED},
		.root = ROOT_HOST, .tcp_connect = true,
		.paths = {"r:/etc/resolv.conf", "r:/etc/hosts"},
		.syscalls = CALLS(CONNECTS, EVENTS, THREADS, "open", "openat"),
		.files_most = 4096, .processes_most = 256, .file_size_zero = true,
		.why = "Asks DNS lists about clients, and their names, for the doors, and senders' domains for sessions; reads what strangers' name servers say and can open no file but the resolver's.",
	},
	{
		.program = P_SMTPD, .name = "smtpd", .lanes = BIT(LANE_OUTSIDE) | BIT(LANE_SUBMISSION), .workers = 1, .drains = true,
		.ports = {PORT_IN, PORT_NEXT, PORT_DIRECTORY, PORT_TLS, PORT_SKIM, PORT_SPACE, PORT_SENDERS},
		.root = ROOT_EMPTY,
		.syscalls = CALLS("clone", "wait4", "kill"),
		.files_most = 16384, .memory_most = 64 * MIB, .processes_most = 20100,
		.why = "One process per SMTP session; makes jobs in memfds.  Has no file, no key and no way to the queue but through the line.",
	},
	{
		.program = P_TLS, .name = "tls", .lanes = BIT(LANE_OUTSIDE) | BIT(LANE_SUBMISSION), .workers = 1,
		.ports = {PORT_IN},
		.root = ROOT_EMPTY,
		.syscalls = CALLS("clone", "wait4"),
		.files_most = 4096, .processes_most = 20100, .file_size_zero = true,
		.why = "One process per TLS connection; holds the certificate's key and no authority over mail.",
	},
	{
		.program = P_SKIM, .name = "skim", .lanes = BIT(LANE_SUBMISSION), .workers = 1, .stage = true, .keeps_state = true,
		.ports = {PORT_IN, PORT_NEXT, PORT_RESPOND, PORT_FEED, PORT_COMMAND},
		.root = ROOT_HOST,
		.paths = {"w:STATE/skim", "r:/dev/urandom"},
		.syscalls = CALLS(ACCEPTS, READS_FILES, WRITES_FILES, "clone"),
		.files_most = 1024, .processes_most = 256,
		.why = "Looks for signs of stolen accounts in what users submit; remembers each user, alone and in one place, in its own folder; tells the helpdesk over its socket.",
	},
	{
		.program = P_RESPOND, .name = "respond", .lanes = BIT(LANE_NONE), .workers = 1,
		.ports = {PORT_IN, PORT_QUEUE, PORT_HOOK, PORT_DOOR_OUTSIDE, PORT_DOOR_SUBMISSION, PORT_COMMAND},
		.root = ROOT_HOST, .tcp_connect = true,
		.paths = {"w:STATE/respond", "r:/dev/urandom", "r:/etc/hosts", "r:/etc/resolv.conf", "r:/etc/nsswitch.conf", "r:/etc/host.conf", "r:/etc/gai.conf",
			"r:/etc/services", "r:/etc/ssl", "r:/etc/gnutls", "r:/usr/lib"},
		.syscalls = CALLS(ACCEPTS, CONNECTS, READS_FILES, WRITES_FILES),
		.capabilities = CAP(CAP_NET_ADMIN), /* when control/respond names nftables */
		.files_most = 256, .memory_most = 256 * MIB,
		.why = "Takes the steps of control/respond against a stolen account and undoes them; alone holds the LDAP login that may write, and, if there is an nftables step, the firewall.",
	},
	{
		.program = P_HOOK, .name = "hook", .lanes = BIT(LANE_NONE), .workers = 1,
		.ports = {PORT_IN},
		.root = ROOT_HOST, .tcp_connect = true, .runs_programs = true,
		.syscalls = CALLS(),
		.files_most = 1024, .processes_most = 256,
		.why = "Runs the programs that control/respond names, as a user that owns nothing of Postern's; alone may execute a file.",
	},
	{
		.program = P_INJECT, .name = "inject", .lanes = BIT(LANE_NONE), .workers = 8, .open_to_all = true,
		.ports = {PORT_NEXT, PORT_COMMAND},
		.root = ROOT_EMPTY,
		.syscalls = CALLS("accept4"),
		.files_most = 128, .memory_most = 128 * MIB,
		.why = "Takes messages of local users (sendmail, qmail-queue, qmail-inject), whoever they are; checks them and makes jobs.  Its socket is the one that every local user may connect to.",
	},
	{
		.program = P_FIXUP, .name = "fixup", .lanes = BIT(LANE_OUTSIDE) | BIT(LANE_SUBMISSION), .workers = 2, .stage = true,
		.ports = {PORT_IN, PORT_NEXT},
		.root = ROOT_EMPTY,
		.syscalls = CALLS(),
		.files_most = 128,
		.why = "Rewrites addresses in envelope and header; parses hostile headers, holds nothing but the job in hand.",
	},
	{
		.program = P_SCAN, .name = "scan", .lanes = BIT(LANE_OUTSIDE) | BIT(LANE_SUBMISSION), .workers = 8, .stage = true,
		.ports = {PORT_IN, PORT_NEXT, PORT_SCANWORKER, PORT_QUARANTINE, PORT_SKIM},
		.root = ROOT_HOST, .tcp_connect = true,
		.syscalls = CALLS(CONNECTS),
		.files_most = 1024,
		.why = "Applies the scan policy; asks clamd and spamd over their sockets, hence the host's files, for the names of sockets (none can be opened), and its network.  spamd takes 0.1 to 0.3 s a message, so there are eight.",
	},
	{
		.program = P_SCANWORKER, .name = "scanworker", .lanes = BIT(LANE_OUTSIDE) | BIT(LANE_SUBMISSION), .workers = 1,
		.ports = {PORT_IN},
		.root = ROOT_HOST,
		.paths = {"w:STATE/scan"},
		.syscalls = CALLS(FORKS, THREADS, READS_FILES, WRITES_FILES, "getpriority", "setpriority", "alarm"),
		.files_most = 1024, .processes_most = 256,
		.why = "Takes hostile attachments apart with libclamav, in workers forked from one that loaded the signatures; reads the signatures, writes its temporary folder alone.",
	},
	{
		.program = P_QUARANTINE, .name = "quarantine", .lanes = BIT(LANE_NONE), .workers = 1,
		.ports = {PORT_IN, PORT_QUEUE, PORT_COMMAND},
		.root = ROOT_HOST,
		.paths = {"w:STATE/quarantine", "r:/dev/urandom"},
		.syscalls = CALLS(ACCEPTS, READS_FILES, WRITES_FILES),
		.files_most = 128, .memory_most = 256 * MIB,
		.why = "Keeps what the scan policy wants looked at, in a database of its own; hands to the queue what an operator releases.",
	},
	{
		.program = P_ROUTE, .name = "route", .lanes = BIT(LANE_NONE), .workers = 2,
		.ports = {PORT_IN, PORT_DIRECTORY},
		.root = ROOT_EMPTY,
		.syscalls = CALLS(),
		.files_most = 1024, .file_size_zero = true,
		.why = "Expands recipients by asking the directory; touches nothing else.",
	},
	{
		.program = P_QMQPD, .name = "qmqpd", .lanes = BIT(LANE_CLUSTER), .workers = 8,
		.ports = {PORT_IN, PORT_NEXT},
		.root = ROOT_EMPTY,
		.syscalls = CALLS(),
		.files_most = 1024,
		.why = "Takes mail from the cluster's other hosts, one connection after the other; makes jobs in memfds.",
	},
	{
		.program = P_QMQPC, .name = "qmqpc", .lanes = BIT(LANE_NONE), .workers = 1,
		.ports = {PORT_IN},
		.root = ROOT_HOST, .tcp_connect = true,
		.paths = {"r:/etc/resolv.conf", "r:/etc/hosts"},
		.syscalls = CALLS(DELIVERS),
		.files_most = 256, .processes_most = 1700, .file_size_zero = true,
		.why = "Forwards mail to the mailHost of its recipients, hence the network and the resolver's files.",
	},
	{
		.program = P_LOCAL, .name = "local", .user = "postern-mail", .lanes = BIT(LANE_NONE), .workers = 4,
		.ports = {PORT_IN},
		.root = ROOT_HOST,
		.paths = {"w:STATE/mail"},
		.syscalls = CALLS("openat2", "openat", "newfstatat", "getdents64", "readlinkat", "mkdirat", "fchownat", "unlinkat", "renameat", "renameat2",
			"linkat", "syncfs", "setfsuid", "setfsgid", "capget"),
		.capabilities = CAP(CAP_SETUID) | CAP(CAP_SETGID) | CAP(CAP_CHOWN),
		.files_most = 1024,
		.why = "Writes Maildirs wherever mailMessageStore says, or below control/mailroots alone.  Takes the user's uid for files alone (setfsuid), so users cannot signal or trace it.",
	},
	{
		.program = P_LMTP, .name = "lmtp", .lanes = BIT(LANE_NONE), .workers = 1,
		.ports = {PORT_IN},
		.root = ROOT_HOST, .tcp_connect = true,
		.paths = {"r:/etc/resolv.conf", "r:/etc/hosts"},
		.syscalls = CALLS(DELIVERS),
		.files_most = 256, .processes_most = 1700, .file_size_zero = true,
		.why = "Delivers to mailbox servers by LMTP; needs the network and the names of Unix sockets, can open no file but the resolver's.",
	},
	{
		.program = P_REMOTE, .name = "remote", .lanes = BIT(LANE_NONE), .workers = 1,
		.ports = {PORT_IN},
		.root = ROOT_HOST, .tcp_connect = true,
		.paths = {"r:/etc/resolv.conf", "r:/etc/hosts"},
		.syscalls = CALLS(DELIVERS),
		.files_most = 256, .processes_most = 1700, .file_size_zero = true,
		.why = "Delivers to other hosts by SMTP; reads what strangers' servers say and can open no file but the resolver's.",
	},
	{
		.program = P_DIRECTORY, .name = "directory", .lanes = BIT(LANE_NONE), .workers = 1,
		.ports = {PORT_IN, PORT_SKIM},
		.root = ROOT_HOST, .tcp_connect = true,
		.paths = {"r:/etc/hosts", "r:/etc/resolv.conf", "r:/etc/nsswitch.conf", "r:/etc/host.conf", "r:/etc/gai.conf", "r:/etc/services",
			"r:/etc/ssl", "r:/etc/gnutls", "r:/usr/lib"},
		.syscalls = CALLS("clone", CONNECTS, "open", "openat", "access", "faccessat", "faccessat2", "stat", "lstat", "statx", "getdents64", "readlink", "readlinkat"),
		.files_most = 4096, .processes_most = 256, .file_size_zero = true,
		.why = "Answers who may get mail and whose password is right; talks to LDAP servers, hence the network and the resolver's files.",
	},
	{
		.program = P_QUEUE, .name = "queue", .lanes = BIT(LANE_NONE), .workers = 1, .keeps_state = true,
		.ports = {PORT_IN, PORT_ROUTE, PORT_LOCAL, PORT_LMTP, PORT_REMOTE, PORT_QMQPC, PORT_SKIM, PORT_COMMAND, PORT_SPACE},
		.root = ROOT_QUEUE,
		.syscalls = CALLS("epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "accept4", "openat", "getdents64", "flock", "fstatfs", "fsync",
			"fdatasync", "sync_file_range", "fallocate", "unlinkat", "renameat", "renameat2"),
		.files_most = 65536,
		.why = "The only program that touches the spool; its root is the spool's folder.",
	},
};
const unsigned graph_rows = sizeof graph / sizeof *graph;

const enum program graph_line[] = {P_SKIM, P_FIXUP, P_SCAN, P_QUEUE};
const unsigned graph_line_length = sizeof graph_line / sizeof *graph_line;

const struct graph_row *graph_find(const char *name)
{
	for (unsigned i = 0; i < graph_rows; i++)
		if (strcmp(graph[i].name, name) == 0)
			return &graph[i];
	return NULL;
}

const struct graph_row *graph_of(enum program p)
{
	for (unsigned i = 0; i < graph_rows; i++)
		if (graph[i].program == p)
			return &graph[i];
	return NULL;
}

const char *graph_user(const struct graph_row *row, char space[64])
{
	if (row->user)
		return row->user;
	snprintf(space, 64, "postern-%s", row->name);
	return space;
}

unsigned long graph_capabilities(const struct graph_row *row, const struct control *c)
{
	return row->program == P_RESPOND && !plan_names(c, STEP_NFTABLES) ? 0 : row->capabilities;
}

bool graph_has_port(const struct graph_row *row, enum port port)
{
	for (const enum port *p = row->ports; *p != PORT_END; p++)
		if (*p == port)
			return true;
	return false;
}

const char *graph_lane_name(enum lane lane)
{
	static const char *const name[LANE_COUNT] = {"-", "outside", "submission", "cluster"};
	return (unsigned)lane < LANE_COUNT ? name[lane] : "?";
}

const char *graph_port_name(enum port port)
{
	static const char *const name[PORT_COUNT] = {
		[PORT_END] = "", [PORT_IN] = "in", [PORT_FEED] = "feed", [PORT_NEXT] = "next", [PORT_SESSION] = "session", [PORT_TLS] = "tls", [PORT_DIRECTORY] = "directory",
		[PORT_SCANWORKER] = "scanworker", [PORT_QUEUE] = "queue", [PORT_ROUTE] = "route", [PORT_LOCAL] = "local",
		[PORT_LMTP] = "lmtp", [PORT_REMOTE] = "remote", [PORT_QMQPC] = "qmqpc", [PORT_SKIM] = "skim", [PORT_RESPOND] = "respond",
		[PORT_HOOK] = "hook", [PORT_DOOR_OUTSIDE] = "door-outside", [PORT_DOOR_SUBMISSION] = "door-submission",
		[PORT_QUARANTINE] = "quarantine", [PORT_DNS] = "dns", [PORT_SENDERS] = "senders",
		[PORT_SPACE] = "space", [PORT_COMMAND] = "command", [PORT_LISTEN] = "listen",
	};
	return (unsigned)port < PORT_COUNT ? name[port] : "?";
}
