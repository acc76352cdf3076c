/* postern-skim as a stage of the line of submitted mail. */
#ifndef POSTERN_SKIM_GUARD_H
#define POSTERN_SKIM_GUARD_H
#include "lib/job.h"
#include "skim/orders.h"
#include "skim/skimdb.h"

enum guard_verdict { GUARD_PASS, GUARD_HOLD, GUARD_HOLD_FOR_GOOD, GUARD_STOPPED, GUARD_LOCKED };
/* What is done with a message of this decision: held when the user has just come to be stopped or locked, refused from then on. */
enum guard_verdict guard_verdict(const struct decision *d);
/* Judge JOB and pass it on, give it a head that holds it, or answer it.  Whatever fails in the detection lets the message pass. */
void guard_job(struct engine *g, struct job *job, int next, struct orders *orders);
struct guard_ports {
	int in, next;  /* jobs */
	int respond;   /* orders to postern-respond */
	int feed;      /* what others tell */
	int command;   /* operators */
};
/* Serve until told to stop; WRITER, which ends with it, may be NULL: nothing is kept. */
int guard_run(struct engine *g, const struct guard_ports *ports, struct skimdb_writer *writer, int (*reload)(struct engine *g));
#endif
