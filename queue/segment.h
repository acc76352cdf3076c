/* Segment files of the log: made, written with zeros, used, emptied, used again.  Inside the log alone (log.h). */
#ifndef POSTERN_QUEUE_SEGMENT_H
#define POSTERN_QUEUE_SEGMENT_H
#include "queue/store.h"

struct segment {
	uint32_t seq;      /* 0: a spare */
	uint32_t number;   /* of the file "segment.NNNNNNNN" */
	int fd;
	uint64_t key, size;
	uint64_t end;      /* a multiple of LOG_BLOCK: where the next batch goes */
	uint64_t live;     /* octets of live messages in it */
	uint64_t zeroed;   /* while it is prepared */
	bool fresh;        /* its file is called "new.NNNNNNNN": it never had a header */
	uint32_t batch;    /* highest that start-up saw in it */
	uint32_t *pins;    /* older segments that its notes speak of, ascending */
	size_t pin_count, pin_room;
	bool evacuate;     /* move all out of it before anything else is emptied */
	bool kept;         /* something in it could not be read and must not be lost: it stays until the next start */
	bool stale;        /* it may hold copies of messages that live elsewhere: what ends a message must outlive it */
	bool failed;       /* a write failed or its octets are not what they were: its file is not used again */
	bool damaged;      /* rot: its file is kept aside, not used again */
};
struct segments {
	int dir_fd;
	const struct store_sys *sys;
	struct segment **of; /* in the order of their sequence */
	size_t count, room;
	struct segment *spare[16];
	unsigned spares;
	uint32_t next_seq, next_number;
	bool look_only; /* files are opened to be read, and stay as they are */
};

/* Is this the name of a segment file? */
bool segment_number(uint32_t *number, const char *name);
/* Open every segment file of the folder; spares apart; what a crash left half made is removed.  A header that is not whole: .key is 0. */
MUST_CHECK int segments_open(struct segments *all, struct err *e);
void segments_close(struct segments *all);
struct segment *segment_of(const struct segments *all, uint32_t seq);
/* Take it into the table. */
MUST_CHECK int segments_insert(struct segments *all, struct segment *g, struct err *e);
void segments_remove(struct segments *all, struct segment *g);

/* A new file of SIZE octets, space allocated, its header not yet written.  It is called "new.NNNNNNNN" until it has one, so that a segment without a header is
 * one whose octets have changed. */
struct segment *segment_create(struct segments *all, uint64_t size, struct err *e);
/* Write up to MOST octets more of its zeros.  1: more to do, 0: all written, E_SYS. */
MUST_CHECK int segment_zero(struct segments *all, struct segment *g, uint64_t most, struct err *e);
/* Give it the next sequence and a new key, durable with its name. */
MUST_CHECK int segment_begin(struct segments *all, struct segment *g, struct err *e);
/* Its file stays as "damaged.NNNNNNNN", for whoever wants to look at it; forgets it.  0 or E_SYS. */
MUST_CHECK int segment_put_aside(struct segments *all, struct segment *g, struct err *e);
/* Durably nothing counts in it any more: it becomes a spare, or its file goes (MOST spares, or not SIZE octets). */
MUST_CHECK int segment_retire(struct segments *all, struct segment *g, unsigned most, uint64_t size, struct err *e);
/* Close and forget, with or without its file. */
void segment_forget(struct segments *all, struct segment *g, bool unlink_file);

MUST_CHECK int segment_pin(struct segment *g, uint32_t target, struct err *e);
void segment_unpin(struct segment *g, uint32_t target);
/* All of it, or an error; a short write that makes no progress is ENOSPC. */
MUST_CHECK int segment_write(const struct segments *all, const struct segment *g, const void *p, size_t n, uint64_t at, struct err *e);
MUST_CHECK int segment_pread(const struct segments *all, const struct segment *g, void *p, size_t n, uint64_t at, struct err *e);
#endif
