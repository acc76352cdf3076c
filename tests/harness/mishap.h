/* What goes wrong in the store of a queue under test: at the Nth of its system calls, or at every read. */
#ifndef POSTERN_TESTS_HARNESS_MISHAP_H
#define POSTERN_TESTS_HARNESS_MISHAP_H
#include "tests/harness/neighbours.h"

/* The process is killed before the call, half way (of a write) or after it; or it fails, once or forty times in a row. */
enum mishap { MISHAP_NONE, KILL_BEFORE, KILL_HALF, KILL_AFTER, FAIL_ONCE, FAIL_LASTING };
/* For the queues started from now on.  A test sets calls to 0 before each; where what is not MISHAP_NONE, the queue need not become ready. */
struct harness_mishap {
	enum mishap what;
	long at, calls;    /* the call, counted from 1; those that were made */
	int error;         /* errno, where it fails */
	const char *trace; /* strace's inject expression; or NULL */
};
extern struct harness_mishap harness_mishap;
/* In the queue's process what the harness shares; NULL in the test's own. */
extern struct shared *mishap_shared;

/* In the queue's process: its store makes its calls through here. */
void mishap_arm(struct shared *shared);
#endif
