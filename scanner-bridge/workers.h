/* The processes of postern-scanworker: one parent that loaded the signatures, workers forked from it. */
#ifndef POSTERN_SCAN_WORKERS_H
#define POSTERN_SCAN_WORKERS_H
#include "lib/ask.h"
#include "scanner-bridge/examine.h"
#include "scanner-bridge/scanners.h"

#define WORKERS_MAX 32
#define WORKER_MESSAGES 1000   /* after so many a worker leaves and a fresh one is forked */
#define WORKER_GRACE_MSEC 2000 /* over the time limit, before the parent kills a worker that its own timer did not end */

struct workers_settings {
	struct scanners scanners;
	const struct banned *banned;
	size_t octets_max;     /* scanbytes */
	long long seconds;     /* scanseconds */
	char tmp[300];         /* folder; each worker has one in it for itself */
	unsigned count;        /* workers */
	int sock;              /* PORT_IN */
};
/* Make the temporary folder and in it those of the workers, of this parent and of the one before it.  Before confinement; OWNER is the uid that the program will run as, -1: as
 * it is.  0 or E_SYS. */
MUST_CHECK int workers_prepare(const struct workers_settings *s, long owner, long group, struct err *e);
/* Load, prove, fork; call READY; then watch until told to stop.  0, or E_SYS when the engine cannot be had at the start. */
MUST_CHECK int workers_run(const struct workers_settings *s, void (*ready)(void), struct err *e);
/* One worker's life: answer questions on S->sock until told to stop.  *BUSY holds clock_msec() while there is one at hand. */
void worker_serve(const struct workers_settings *s, struct engine *engine, volatile int64_t *busy);
#endif
