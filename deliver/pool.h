/* Workers as many as there is work for: a prepared parent forks them, each takes work from the same port, those that are not needed leave.  For agents
 * that wait for other hosts, where a worker costs memory and no time.
 *
 * One worker more than are busy waits for work; the one that takes the last place tells the parent, which forks another.  What parent and workers know
 * together is an octet for each worker; one that was taken over can make the others be too many or too few, and nothing else. */
#ifndef POSTERN_DELIVER_POOL_H
#define POSTERN_DELIVER_POOL_H
#include <sys/types.h>

#include "lib/control.h"

#define POOL_MOST 800         /* workers of one program */
#define POOL_LOOK_MSEC 2000   /* between looks at who is idle: half of those leave */

struct pool {
	unsigned most;            /* workers at once, at most POOL_MOST */
	/* A worker's life: take work until program_stopping(), with pool_busy() and pool_free() around each piece. */
	void (*work)(void *ctx);
	void *ctx;
	/* the pool's own */
	volatile unsigned char *state; /* shared */
	pid_t pid[POOL_MOST];     /* 0: none */
	unsigned self;            /* the worker's number */
	int parent_fd, worker_fd; /* datagrams "fork another" */
};
/* How many deliveries the queue hands out at once to one program as control/concurrencyremote says, and with them those whose far side has not answered yet,
 * which it does not count (queue/channel.h). */
unsigned pool_size(const struct control *c);
/* The shared page and the socket.  0 or E_SYS. */
MUST_CHECK int pool_open(struct pool *p, struct err *e);
/* The parent, until told to stop; then until its last worker has left. */
void pool_run(struct pool *p);
/* In a worker. */
void pool_busy(struct pool *p);
void pool_free(struct pool *p);
#endif
