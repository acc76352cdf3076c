/* One job through the scan stage. */
#ifndef POSTERN_SCAN_STAGE_H
#define POSTERN_SCAN_STAGE_H
#include "lib/ask.h"
#include "lib/job.h"
#include "scanner-bridge/dial.h"
#include "scanner-bridge/scanners.h"
#include "scanner-bridge/verdict.h"

struct stage {
	struct scanners scanners;
	struct scanpolicy policy;
	struct endpoint clamd, spamd;  /* .count 0: none */
	size_t scan_octets, spam_octets;
	int64_t msec;                  /* for one message */
	int next, worker, quarantine, skim;  /* sockets; -1: nothing behind it */
};
/* Scan, decide, answer or pass on.  The caller closes the job; without an answer the session sees the end of file, a temporary failure. */
void stage_handle(const struct stage *s, struct job *job);
#endif
