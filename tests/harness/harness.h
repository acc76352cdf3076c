/* The real postern-queue over socket pairs, with a small route and a small local at its other ends (neighbours.h).
 *
 * The child runs queue_run() as an ordinary user in a temporary spool, so its confinement is in force but for the root directory.  mail.h sends it messages, looks.h
 * says what it knows of them, mishap.h what goes wrong in its store. */
#ifndef POSTERN_TESTS_HARNESS_HARNESS_H
#define POSTERN_TESTS_HARNESS_HARNESS_H
#include "lib/control.h"
#include "tests/harness/neighbours.h"

#define PLAIN_USER 65534 /* whose the spool and the queue are, where the test runs as root */

struct harness {
	char spool[64], control[64];
	struct control settings;
	int jobs[2], route[2], local[2], listen, lifeline;
	pid_t queue, route_pid, local_pid;
	struct shared *shared;
};

extern bool harness_quiet; /* the queue's log goes to the file that HARNESS_LOG names, or nowhere */

/* A spool, control files, neighbours and a queue that is ready.  SETTINGS: names and texts of control files beside me and queuereserve, up to a NULL; or NULL. */
void harness_open(struct harness *h, const char *const settings[][2]);
/* The queue has ended (queue_end): its neighbours are ended, its folders and descriptors are gone. */
void harness_close(struct harness *h);
/* Control file NAME has another content, and the queue takes it over as by SIGHUP of the suite, or at its next start where it is dead (false). */
bool harness_reload(struct harness *h, const char *name, const char *text);
/* On the same spool, until it is ready; aborts where that does not come, but for a mishap (mishap.h). */
void queue_start(struct harness *h);
/* Returns its wait status. */
int queue_end(struct harness *h, int sig);
/* The one and the other. */
void restart(struct harness *h, int sig);
/* It has ended by itself, and is still to be waited for. */
bool is_dead(struct harness *h);
#endif
