/* Start-up and life of every program.  main() is:
 *
 *	int main(int argc, char **argv)
 *	{
 *		program_start(P_FIXUP, argc, argv);    settings read, descriptors checked, all others closed, log ready, SIGTERM and SIGPIPE caught
 *		…prepare what needs root or files, from the settings alone…
 *		program_confine();                     root directory, user, capabilities, Landlock, seccomp, rlimits
 *		program_ready();                       tells the supervisor
 *		…loop until program_stopping()…
 *		return 0;
 *	}
 *
 * Descriptors at start: 0 /dev/null, 1 and 2 the log pipe, 3 the lifeline to the supervisor (SOCK_SEQPACKET), 4 the settings
 * (control_pack()), from 5 on the ports in the order of the row.  argv: NAME LANE WORKER STATE; LANE "-", "outside",
 * "submission".  Nothing is taken from the environment. */
#ifndef POSTERN_LIB_PROGRAM_H
#define POSTERN_LIB_PROGRAM_H
#include "lib/control.h"
#include "lib/log.h"
#include "supervise/graph.h"

#define POSTERN_VERSION "0.1"
#define EXIT_USAGE 100
#define EXIT_TEMPORARY 111

/* Each exits 111 with a log line when anything is not as the row says (100 for wrong arguments: it was started by hand). */
void program_start(enum program which, int argc, char **argv);
/* Afterwards the working folder is: ROOT_EMPTY an empty one, ROOT_QUEUE the spool (both also the root when started as root; otherwise
 * Landlock stands in), ROOT_HOST "/".  So the queue names its files relative to ".". */
void program_confine(void);
void program_ready(void);
/* SIGTERM came: finish the work in hand and leave.  Blocking calls of lib/io return E_EOF then. */
bool program_stopping(void);
/* Rows with .drains: is it to stop because a replacement is ready?  It then takes no new work, but need not hurry the clients it has.
 * False again when it is to hurry after all: everything stops. */
bool program_replaced(void);
/* Make SIGTERM set that flag (no SA_RESTART) and ignore SIGPIPE; program_start() does it. */
void program_catch_stop(void);
/* From now on SIGTERM cuts off just waits with a timeout (poll, a socket with SO_RCVTIMEO: signal(7)), no other call. */
void program_restart_calls(void);
/* Log EV_fatal and exit 111; only start-up code calls it. */
_Noreturn void program_fatal(const struct err *e);
/* The settings handed over at start or by the last reload. */
const struct control *program_control(void);
/* The descriptor of a port; -1 when nothing is started behind it (PORT_TLS without certificate, PORT_SCANWORKER …); exits 111 when the
 * row has no such port (a fault of the program).  For PORT_LISTEN the first one. */
int program_port(enum port port);
unsigned program_listen_count(void);
enum lane program_lane(void);
const char *program_state(void); /* the state folder; only of use before program_confine() */
/* keeps_state programs: poll program_lifeline() for reading and call program_reload() then; 0: program_control() is new, take it over;
 * E_EOF: the supervisor is gone or said stop. */
int program_lifeline(void);
/* On failure the settings stay as they are.  Slices into the settings before stay good until the reload after this one. */
MUST_CHECK int program_reload(struct err *e);
/* Before program_confine(): one more path for Landlock, "r:PATH" or "w:PATH" (absolute; STATE/… is understood).  PATH_RULES_MAX at most.  A path to read
 * that is not there is passed over. */
#define PATH_RULES_MAX 32
void program_allow_path(const char *path);
/* A second, narrower seccomp list for the process that calls it (a session after fork): only these calls from now on.
 * 0 or E_SYS. */
MUST_CHECK int program_narrow(const char *const *syscalls, struct err *e);
/* Build that list before the fork, so that program_narrow() with the same pointer costs one system call. */
MUST_CHECK int program_narrow_prepare(const char *const *syscalls, struct err *e);
#endif
