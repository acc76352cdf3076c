/* Looking at a log without running the queue: what start-up would make of it, and what it would not see.  Never writes.
 *
 * The reader is start-up's own (log_scan.c), so both judge alike: the last batch of the last segment may be torn, anything else is a fault. */
#ifndef POSTERN_QUEUE_VERIFY_H
#define POSTERN_QUEUE_VERIFY_H
#include "queue/log.h"

enum verify_header {
	VERIFY_HEADER_WHOLE,
	VERIFY_HEADER_ONE_COPY, /* as a crash may leave it; the other one counts */
	VERIFY_HEADER_NONE,     /* its records say which segment it is */
	VERIFY_HEADER_VERSION,  /* of a version that this program does not read: start-up refuses the whole log */
};
#define VERIFY_KINDS "MSRXFCV"
struct verify_segment {
	uint32_t number, seq, version; /* seq 0: a spare */
	uint64_t size;
	enum verify_header header;
	uint64_t records[sizeof VERIFY_KINDS - 1]; /* whole ones, by kind */
	uint64_t record_octets;
	uint64_t live, dead;  /* messages */
	uint64_t torn_octets, unclaimed_octets; /* unclaimed: belong to no record, and are no fill either */
	unsigned faults;
};
struct verify_fault {
	uint32_t number, seq; /* of the segment */
	uint64_t at, octets;
	char id[ID_LEN + 1];  /* or "" */
	char what[80];
};
#define VERIFY_FAULTS 1000 /* described; all are counted */

struct verify {
	struct verify_segment *segment; /* by sequence, spares first */
	size_t segments, room;
	struct verify_fault fault[VERIFY_FAULTS];
	unsigned faults, described;
	uint64_t messages, records, torn_octets;
	unsigned put_aside;   /* damaged.* files in the folder */
	bool clean;           /* the queue was stopped in order */
	/* Set before verify_folder(), or NULL: each record, sound or not, and each gap (H NULL), in the order of the log.  FD is the file's. */
	void (*each)(void *ctx, const struct verify_segment *g, int fd, const struct record_header *h, uint64_t at, uint64_t octets, bool whole);
	void *ctx;
	/* Open until verify_free(): the messages that are alive, with their places, and where to read them. */
	struct store *store;
	struct index *index;
	size_t last; /* inside */
};
/* Read the folder.  0 whatever is in it, also when there are faults; E_REFUSED: a queue runs on it; E_SYS. */
MUST_CHECK int verify_folder(struct verify *v, int dir_fd, struct err *e);
void verify_free(struct verify *v);
#endif
