/* The log behind store.h: what log.c (append and commit), log_scan.c (start-up), log_read.c and log_tend.c (housekeeping) share.
 * postern-queue(5) has the format. */
#ifndef POSTERN_QUEUE_LOG_H
#define POSTERN_QUEUE_LOG_H
#include "lib/buf.h"
#include "queue/segment.h"

#define LOG_BUFFER (4u << 20) /* octets of a batch in memory; larger ones are written in several pieces before the one sync */
#define SEAL_OCTETS 8u /* payload of RECORD_VOID at the beginning of a segment: sequence of the one before it, and its end in blocks */
#define KEEP_MAX ((size_t)256 << 20) /* notes waiting for a segment that can be written */

/* A record that was added and is not yet durable. */
struct pending {
	char id[ID_LEN];
	unsigned char kind, flags;
	bool droppable, placed, first, moving;
	uint32_t target, octets;
	struct store_at bound;
	uint32_t offset;  /* in the current segment, units of 8; 0: not written anywhere yet */
	size_t keep;      /* where its payload stands in .keep */
};

/* Whoever only looks (verify.h) hears of all that start-up sees and makes of it. */
struct log_watch {
	void *ctx;
	void (*record)(void *ctx, const struct segment *g, const struct record_header *h, uint64_t at, bool whole);
	void (*damage)(void *ctx, const struct segment *g, uint64_t at, uint64_t octets, const char *id);
	void (*torn)(void *ctx, const struct segment *g, unsigned damaged, uint64_t octets); /* the last DAMAGED of them are a write cut off */
};

struct store {
	struct store_options o;
	const struct log_watch *watch; /* or NULL */
	struct segments seg;
	int lock_fd;
	struct segment *cur;       /* takes the records; NULL: none can be had */
	struct segment *ready;     /* follows it, its header durable */
	struct segment *preparing; /* being written with zeros */
	uint32_t batch;            /* of the next commit */

	unsigned char *batch_octets; /* LOG_BUFFER octets */
	size_t used;
	uint64_t base;             /* file offset of batch_octets[0] */
	bool broken;               /* a write of this batch failed */
	struct err why;

	struct pending *pending;
	size_t count, room, groups;
	struct buf keep;

	/* housekeeping */
	bool moving;               /* what is added now are copies of what lies elsewhere too */
	struct segment *victim;    /* its survivors are being moved */
	uint64_t victim_at;
	int64_t rest_until;        /* nothing is moved before; 0: at once */
	unsigned rests;            /* for the same victim */
	unsigned char *window;
};

/* Log_scan.c: one record after the other. */
struct scan {
	struct store *s;
	struct segment *g;
	unsigned char *window;
	uint64_t window_at;
	size_t window_octets;
};
#define SCAN_WINDOW (1u << 20)
/* The header at AT: 1 valid and of this segment, 0 not, E_SYS. */
MUST_CHECK int scan_header(struct scan *c, struct record_header *h, uint64_t at, struct err *e);
/* N octets at AT (at most SCAN_WINDOW): a pointer into the window, or NULL with *E. */
const unsigned char *scan_octets(struct scan *c, uint64_t at, size_t n, struct err *e);
/* The offset of the next record header from AT on that is of this segment; g->size when there is none. */
uint64_t scan_next(struct scan *c, uint64_t at);
MUST_CHECK int log_scan(struct store *s, struct store_report *report, struct err *e);

/* Note in G that a record of this kind stands in it. */
MUST_CHECK int log_pin(struct store *s, struct segment *g, enum record_kind kind, uint32_t target, struct err *e);
/* Add the seal of a segment that was full up to END. */
MUST_CHECK int log_seal(struct store *s, uint32_t seq, uint64_t end, struct err *e);
/* Make the current segment have room for OCTETS more, with a new one if need be; commits what is pending in the old one. */
MUST_CHECK int log_roll(struct store *s, uint64_t octets, struct err *e);
/* A new current segment with room for OCTETS.  Nothing may be pending in the old one. */
MUST_CHECK int log_begin(struct store *s, uint64_t octets, struct err *e);
/* Have .ready, whatever it takes now. */
MUST_CHECK int log_prepare_now(struct store *s, struct err *e);
/* MOST octets of preparation.  1: more to do, 0: ready. */
MUST_CHECK int log_prepare(struct store *s, uint64_t most, struct err *e);
#endif
