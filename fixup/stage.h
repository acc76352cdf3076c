/* The stage: jobs in, jobs out. */
#ifndef POSTERN_FIXUP_STAGE_H
#define POSTERN_FIXUP_STAGE_H
#include "fixup/rewrite.h"
#include "lib/job.h"

/* Give JOB a new head where the rules or missing fields ask for one; else it is left as it is, to the descriptor.
 * 1: new head, 0: unchanged, or, with JOB unchanged, E_TOO_LONG or E_SYS. */
MUST_CHECK int stage_rewrite(struct job *job, struct rules *r, struct slice me, struct err *e);
/* Receive jobs on IN, pass them to NEXT, until told to stop.  Exit code. */
int stage_run(int in, int next, struct rules *r, struct slice me);
#endif
