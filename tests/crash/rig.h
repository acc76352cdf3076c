/* What the crash rigs share: the real postern-queue and postern-local with a small route, clients that remember what was acknowledged, and the comparison of
 * the Maildirs and the queue with that.  Everything about a message follows from its number, its mark. */
#ifndef POSTERN_TESTS_CRASH_RIG_H
#define POSTERN_TESTS_CRASH_RIG_H
#include <stdatomic.h>

#include "lib/control.h"
#include "lib/job.h"

#define RIG_USER 65534
#define RIG_BOXES 8
#define RIG_MARKS 20000
#define RIG_LOCALS 2
#define RIG_LISTING_MOST (4u << 20) /* octets of the queue's list */

/* TOLD, TOLD_LATER: the sender, who has a box, asked to be told of each success (NOTIFY=SUCCESS): of one in a box and one on a slow host; of two in boxes while a third
 * recipient waits. */
enum rig_kind { RIG_ONE, RIG_THREE, RIG_GROUP, RIG_LATER, RIG_HELD, RIG_BOUNCE, RIG_TOLD, RIG_TOLD_LATER };

/* Shared by all processes of a rig. */
struct rig_ledger {
	_Atomic uint64_t acked_at[RIG_MARKS]; /* position + 1 when the 250 was seen; 0: none */
	_Atomic unsigned next, acked, refused, stop;
};
struct rig {
	char state[100], run[100];  /* what is under test; the socket of the queue's commands */
	const char *bin;
	struct control settings;
	/* What strace, attached before the program's first call, is told ("inject=…"), and where it writes; or NULL. */
	const char *trace_queue, *trace_local, *trace_file;
	int jobs[2], route[2], local[2], remote[2], listen;
	pid_t queue, route_pid, remote_pid, locals[RIG_LOCALS];
	int line, local_line[RIG_LOCALS];
	unsigned local_count;
	unsigned poll_usec;         /* between two looks at the queue's list */
	struct rig_ledger *ledger;
	_Atomic uint64_t *position; /* of the disk; or NULL: everything that was acknowledged counts */
};
struct rig_result {
	unsigned lost, half, twice, unlisted, copies, waiting;
	char first[200]; /* the first thing that was wrong, or "" */
};

/* RUN is a folder for the socket and the control files; STATE is made by rig_folders(). */
void rig_open(struct rig *r, const char *state, const char *run);
void rig_folders(const struct rig *r);
/* Start queue, locals and route over fresh sockets.  False: the queue did not become ready. */
bool rig_start(struct rig *r);
/* End them with SIG (the queue first).  True: the queue had not died before. */
bool rig_end(struct rig *r, int sig);
bool rig_queue_dead(const struct rig *r);
void rig_local_start(struct rig *r, unsigned i);
enum rig_kind rig_kind_of(unsigned mark);
/* Offer message MARK; the socket of its answer. */
int rig_offer(struct rig *r, unsigned mark);
/* Take the answer, note what was acknowledged; false: none came. */
bool rig_take(struct rig *r, int mine, unsigned mark, int msec);
/* Wait until nothing is left to be delivered.  False: MSEC passed. */
bool rig_idle(struct rig *r, int msec);
/* The same, and whatever waits was tried once more, so that every report that is owed has been made. */
bool rig_done(struct rig *r, int msec);
/* Compare, the queue running and idle: messages 0 to MARKS that were acknowledged at POSITION. */
void rig_check(struct rig *r, struct rig_result *result, unsigned marks, uint64_t position);
/* As queue_command() (tests/harness), with one argument or NULL; -1 also where the queue is dead. */
int rig_command(struct rig *r, char *out, size_t size, const char *verb, const char *arg);
/* A user's mail program: moves some of what is new to cur/. */
void rig_reader(const struct rig *r, unsigned *seed);
#endif
