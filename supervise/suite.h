/* The running suite as the supervisor sees it: groups (a row of the graph in one lane), their slots (one per worker), processes. */
#ifndef POSTERN_SUPERVISE_SUITE_H
#define POSTERN_SUPERVISE_SUITE_H
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/control.h"
#include "lib/io.h"
#include "smtpd-outside/listen.h"
#include "supervise/graph.h"
#include "supervise/logfile.h"

#define ROWS_MAX 32
#define GROUPS_MAX 64
#define SLOTS_MAX 256
#define PROCESSES_MAX 512

#define START_MSEC 120000      /* a program that is not ready by then is killed */
#define STOP_MSEC 20000        /* the same for one that does not stop, when all stops */
#define LEAVE_MSEC 3600000     /* and when it was replaced: the longest session */
#define LAST_CALL_MSEC 60000   /* of that, for sessions to be told to stop */
#define DRAINING_MOST 8        /* of one group, replaced and not yet done; older ones are hurried */
#define TERM_EVERY_MSEC 200    /* SIGTERM may come just before a blocking call, so it is repeated … */
#define TERM_SLOW_MSEC 2000    /* … less often after the first ten seconds */
#define HEALTH_MSEC 60000      /* ready for so long: the next death counts as the first */
#define BACKOFF_FIRST_MSEC 100
#define BACKOFF_MOST_MSEC 10000

struct group {
	const struct graph_row *row;
	enum lane lane;
	bool wanted;
	int in_fd, out_fd; /* the stage's socket pair, receiving and sending end; -1: the row has no PORT_IN */
	int feed_in_fd, feed_out_fd; /* the same for PORT_FEED */
	int command_fd;    /* listening operators' socket; -1: the row has no PORT_COMMAND */
};

enum process_state {
	PROCESS_FREE,
	PROCESS_STARTING,
	PROCESS_READY,
	PROCESS_LEAVING, /* told to stop as soon as may_stop() says so; or its leader is dead and its children are not */
};

struct slot;
struct process {
	enum process_state state;
	struct group *group;
	struct slot *slot;
	pid_t pid;         /* also the process group's number */
	bool replaced;     /* it was told so: its children are not signalled */
	bool dead;         /* the process itself was reaped; .pid still names its group */
	int lifeline_fd;
	int64_t begun_msec, wall_usec;
	int64_t leaving_msec; /* first SIGTERM; 0: none yet */
	int64_t signal_msec;  /* next SIGTERM */
	char reason[256];  /* what it said before it died at start */
};

struct slot {
	struct group *group;
	int worker;
	struct process *now;  /* serving, or starting where none serves */
	struct process *next; /* its replacement after a reload, not yet ready */
	unsigned restarts;
	int64_t delay_msec, start_msec;
};

enum phase {
	PHASE_LINE,    /* all but the door start */
	PHASE_DOOR,
	PHASE_RUNNING,
	PHASE_STOPPING,
};

struct row_state {
	int log_fd, log_write_fd; /* its log pipe */
	int settings_fd;          /* sealed; -1: not packed yet */
	struct buf partial;       /* of a log line */
};

struct listen_socket {
	struct listen_line line;
	int fd;
};

struct suite {
	char state[256], bin[256], control_dir[256];
	struct control control;
	enum phase phase;
	int exit_code;
	bool reload_due;
	int64_t begun_msec;
	struct row_state row[ROWS_MAX], own; /* own: the supervisor's log pipe */
	int space_write_fd, space_read_fd; /* lib/space.h: the queue's, the sessions' */
	int command_fd; /* the supervisor's own operators' socket */
	struct group group[GROUPS_MAX];
	unsigned groups;
	struct slot slot[SLOTS_MAX];
	unsigned slots;
	struct process process[PROCESSES_MAX];
	struct listen_socket listen[LISTEN_MAX];
	size_t listens;
	struct logfile log;
};

/* sockets.c: all that the programs inherit.  E_SYS, E_SYNTAX. */
MUST_CHECK int suite_sockets(struct suite *s, struct err *e);
/* Operators may connect from now on, and wait while the program is started again; before, they are told at once that it does not run.  E_SYS. */
MUST_CHECK int group_listen(const struct group *g, struct err *e);
/* Open what control/listen says now and is not open yet, close what it no longer says; *CHANGED tells.  On failure all stays. */
MUST_CHECK int suite_listen(struct suite *s, const struct control *c, bool *changed, struct err *e);

/* spawn.c: start WORKER of GROUP.  The process, or NULL with *E. */
struct process *suite_spawn(struct suite *s, struct slot *slot, struct err *e);

/* suite.c: the life of processes; called by the event loop. */
void suite_init(struct suite *s);
/* Take over C (owned from now on): which groups are wanted, settings to be packed again. */
void suite_take_control(struct suite *s, struct control *c);
void suite_lifeline(struct suite *s, struct process *p);
void suite_died(struct suite *s, pid_t pid, int status);
/* Start what is due, signal what must stop; when to come again (clock_msec()). */
int64_t suite_tick(struct suite *s);
/* leave.c: P is to go; suite_tick() sends it SIGTERM in its turn. */
void suite_leave(struct process *p);
/* The same for one whose replacement is ready. */
void suite_retire(struct process *p);
int64_t suite_leave_tick(const struct suite *s, struct process *p, int64_t now);
void suite_stop(struct suite *s, int exit_code);
bool suite_stopped(const struct suite *s);
/* reload.c: SIGHUP; one that comes before all are ready waits until then. */
void suite_reload(struct suite *s);
/* Read and check the control files; each fault goes to REPORT_FD, or to the log when that is negative. */
MUST_CHECK int suite_read_control(struct control *c, const char *dir, int report_fd, struct err *e);
/* Replace the process of SLOT by a new one. */
void suite_replace(struct suite *s, struct slot *slot);

/* logs.c: the log pipes. */
MUST_CHECK int suite_logs(struct suite *s, struct err *e);
bool suite_log_input(struct suite *s, const struct graph_row *row); /* NULL: the supervisor's own; false: nothing there */
void suite_log_flush(struct suite *s);
/* status.c: operators' commands. */
struct command;
void suite_command(struct suite *s, struct command *cmd);
#endif
