/* A job as an event.  Internal to postern-skim. */
#ifndef POSTERN_SKIM_JOB_EVENT_H
#define POSTERN_SKIM_JOB_EVENT_H
#include "lib/job.h"
#include "skim/history.h"

struct job_event {
	struct skim_event ev;
	char hash[2][17];  /* of subject and body, as text */
	char host[256];
	struct buf from, reply, client;
};
/* What JOB says of itself, borrowed.  Cheap: the body is looked at in its first 64 KiB alone.  0 or E_SYS.  Ends with job_event_free(). */
MUST_CHECK int job_event_make(struct job_event *out, struct job *job, struct history *h, const struct skim_config *cfg, struct err *e);
void job_event_free(struct job_event *je);
/* The host of the first http or https link in TEXT; empty: none. */
struct slice first_link_host(struct slice text);
/* The longest run of recipients of our domains in ascending order. */
long swept_recipients(const struct recipient *rcpt, size_t n, const struct skim_config *cfg);
/* User and address that SquirrelMail wrote into a Received field: "from ADDRESS (SquirrelMail authenticated user NAME)".  False: none. */
bool squirrelmail(struct slice *ip, struct slice *user, struct slice header);
#endif
