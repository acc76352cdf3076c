/* Work that may take long (hashing passwords, connecting, binding) beside the event loop: a few threads that take pieces from one
 * pipe and put them into another.  A piece belongs to its thread from work_submit() until work_finish() calls .done. */
#ifndef POSTERN_DIRECTORY_WORK_H
#define POSTERN_DIRECTORY_WORK_H
#include "lib/err.h"

struct work {
	void (*run)(struct work *w);  /* in a thread; must end in bounded time */
	void (*done)(struct work *w); /* in the loop */
};
/* Start THREADS threads.  0 or E_SYS. */
MUST_CHECK int work_start(unsigned threads, struct err *e);
/* Hand W over.  False when too much waits already (it is then still the caller's): answer "later". */
MUST_CHECK bool work_submit(struct work *w);
/* Readable when pieces are done; then call work_finish(). */
int work_fd(void);
void work_finish(void);
#endif
