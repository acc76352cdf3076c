/* The graph: which programs there are, who they run as, which sockets join them, what each may open.  This table is the
 * architecture: the supervisor starts the suite from it, every program confines itself by its own row,
 * `postern privileges` prints it and compares it with what /proc says. */
#ifndef POSTERN_SUPERVISE_GRAPH_H
#define POSTERN_SUPERVISE_GRAPH_H
#include <stdbool.h>

enum program {
	P_SUPERVISE, P_DOOR, P_SMTPD, P_TLS, P_DIRECTORY, P_FIXUP, P_SCAN, P_SCANWORKER, P_QUEUE, P_ROUTE, P_LOCAL,
	P_LMTP, P_REMOTE, P_QMQPC, P_QMQPD, P_SKIM, P_RESPOND, P_HOOK, P_QUARANTINE, P_INJECT, P_DNS,
	P_POSTERN, /* the operator's command: reads all control files, belongs to no line */
	P_COUNT
};
#define BIT(p) (1ul << (p))

/* Lanes keep mail from outside, campus submission and mail from the cluster's hosts apart in every stage. */
enum lane { LANE_NONE, LANE_OUTSIDE, LANE_SUBMISSION, LANE_CLUSTER, LANE_COUNT };

/* What a port is and what the supervisor puts there.  A program finds its descriptor with program_port(). */
enum port {
	PORT_END,
	/* receiving ends, shared by the workers of the row */
	PORT_IN,            /* jobs, questions, deliveries or connections for this program in its lane */
	PORT_FEED,          /* beside PORT_IN, from programs that are trusted with less: reports to skim, sessions' questions to dns */
	/* sending ends */
	PORT_NEXT,          /* the next stage of the line in this lane that has something to do; the queue at the end */
	PORT_SESSION,       /* who speaks with the clients of this lane: smtpd, in the lane of the cluster qmqpd */
	PORT_TLS, PORT_DIRECTORY, PORT_SCANWORKER, PORT_QUEUE, PORT_ROUTE, PORT_LOCAL,
	PORT_LMTP, PORT_REMOTE, PORT_QMQPC, PORT_SKIM, PORT_RESPOND, PORT_HOOK, PORT_QUARANTINE, PORT_DNS,
	PORT_SENDERS,       /* dns too, for questions about senders' domains alone */
	PORT_DOOR_OUTSIDE, PORT_DOOR_SUBMISSION, /* the doors of these lanes: blocks */
	/* others */
	PORT_SPACE,         /* no socket: a page that the queue writes and sessions read (lib/space.h) */
	PORT_COMMAND,       /* listening SOCK_SEQPACKET STATE/run/NAME.sock for operators; where a row has several lanes, NAME-LANE.sock but for LANE_OUTSIDE */
	PORT_LISTEN,        /* the listening TCP sockets that control/listen names for the lane, in the file's order; must be the last port */
	PORT_COUNT
};
#define PORTS_MAX 12

enum root { ROOT_EMPTY, ROOT_QUEUE, ROOT_HOST };

struct graph_row {
	enum program program;
	const char *name;           /* file postern-NAME, user postern-NAME unless .user says otherwise */
	const char *user;
	unsigned lanes;             /* BIT(lane): one group of workers for each */
	int workers;                /* processes in each lane */
	enum port ports[PORTS_MAX + 1]; /* ends with PORT_END */
	bool stage;                 /* in the line: PORT_NEXT of the stage before leads here */
	bool drains;                /* replaced, it goes on with the clients it has until they are done (program_replaced()) */
	bool open_to_all;           /* every local user may connect to its PORT_COMMAND */
	bool keeps_state;           /* reloads in place instead of being replaced */
	/* confinement */
	enum root root;
	const char *paths[12];      /* ROOT_HOST: Landlock; "r:PATH" read, "w:PATH" read, write, make, rename and remove; PATH may begin with STATE/;
	                               paths from control files are added by program_allow_path() */
	const char *const *syscalls;/* the seccomp allow-list, NULL-ended; graph_common_syscalls is added */
	bool tcp_connect;           /* may open TCP connections (Landlock from Linux 6.7 on, besides seccomp) */
	bool runs_programs;         /* may execute programs of the host, which inherit its confinement: all system calls but those that no program may have,
	                               and all files that its user may read or write */
	bool makes_code;            /* may map memory writable and executable: libraries with a JIT */
	unsigned long capabilities; /* bits of <linux/capability.h> kept, 0 for most */
	unsigned long files_most;   /* RLIMIT_NOFILE */
	unsigned long memory_most;  /* RLIMIT_DATA, octets; 0: none */
	unsigned long processes_most; /* RLIMIT_NPROC for the user; 0: may not fork */
	bool file_size_zero;        /* RLIMIT_FSIZE 0 (memfds count as files: not for those that make heads) */
	const char *why;            /* one line for people: what it does and why it needs what it has */
};

/* In the order in which programs are stopped: the door first, then the line, the queue last. */
extern const struct graph_row graph[];
extern const unsigned graph_rows;
extern const char *const graph_common_syscalls[]; /* what every program may do, NULL-ended */
const struct graph_row *graph_find(const char *name);
const struct graph_row *graph_of(enum program p); /* NULL for P_SUPERVISE and P_POSTERN */
const char *graph_user(const struct graph_row *row, char space[64]); /* the name of the row's user */
bool graph_has_port(const struct graph_row *row, enum port port);
/* The order of the line: PORT_NEXT leads to the next of these that is started; the last is the queue, always. */
extern const enum program graph_line[];
extern const unsigned graph_line_length;
/* For people: "outside" (LANE_NONE: "-"), "in", "next", … */
const char *graph_lane_name(enum lane lane);
const char *graph_port_name(enum port port);
/* Does this program have something to do in LANE, as the control files say?  (Scanners given, rewriting given, …) */
struct control;
bool graph_wanted(const struct graph_row *row, enum lane lane, const struct control *c);
/* The capabilities that it keeps: those of the row which the control files give it a use for. */
unsigned long graph_capabilities(const struct graph_row *row, const struct control *c);
/* Where a sending port of ROW in LANE leads: the receiver has a group of workers in that lane, or else one for all lanes.  False: PORT is not a sending
 * port, or nothing that it could lead to is wanted (no certificate: PORT_TLS); the program then finds no descriptor there. */
struct edge {
	enum program to;
	enum lane lane;
};
bool graph_edge(struct edge *edge, const struct graph_row *row, enum lane lane, enum port port, const struct control *c);
#endif
