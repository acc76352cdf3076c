/* Storage of the queue: append and sync, mark, read back, scan.  The default back end is the log (log.c and its neighbours;
 * postern-queue(5)).  One thread, one owner; nothing here knows what a message says.
 *
 * A group is one to STORE_GROUP_MAX records that count together or not at all.  Groups are added, then made durable all at once by
 * store_commit() with one sync; only then are they placed and may be acted upon. */
#ifndef POSTERN_QUEUE_STORE_H
#define POSTERN_QUEUE_STORE_H
#include <sys/types.h>

#define STORE_NOTE_MAX ((size_t)64 << 20) /* octets of a record that is no message; a header that says more is damage */

#include "queue/record.h"

#define STORE_GROUP_MAX 8
#define STORE_PIECES_MAX 4

/* Where a record lies.  Valid until the record is moved (placed again) or dead. */
struct store_at {
	uint32_t seq;    /* 0: nowhere */
	uint32_t offset; /* in units of 8 octets */
};
/* A comes before B in the log. */
static inline bool store_before(struct store_at a, struct store_at b) { return a.seq < b.seq || (a.seq == b.seq && a.offset < b.offset); }
static inline bool store_at_eq(struct store_at a, struct store_at b) { return a.seq == b.seq && a.offset == b.offset; }

/* Octets of a payload: in memory, or (p NULL) N octets from AT on of a file that does not change. */
struct store_piece {
	const void *p;
	int fd;
	off_t at;
	size_t n;
};
struct store_record {
	enum record_kind kind;
	unsigned char flags;
	const char *id;  /* ID_LEN octets */
	uint32_t target; /* notes: segment of the message's current copy (store_at.seq) */
	struct store_at bound; /* RECORD_FINISH written again by the store itself; else nowhere */
	struct store_piece piece[STORE_PIECES_MAX];
	size_t pieces;
};

/* A record as start-up finds it and as a commit placed it. */
struct store_found {
	enum record_kind kind;
	unsigned char flags;
	const char *id;
	uint32_t target;
	struct store_at at;
	struct store_at bound; /* RECORD_FINISH: copies before this place are dead (store_before()) */
	uint32_t octets;      /* of the payload */
	struct slice payload; /* found: all of it; of a message only the first PROLOGUE octets.  Placed: empty */
};

struct store_handlers {
	void *ctx;
	/* Start-up: one record that counts, in the order of the log. */
	void (*found)(void *ctx, const struct store_found *r);
	/* The record is durable and lies there.  Called inside store_commit() and, when a segment becomes full, store_add(); neither this nor
	 * dropped may add. */
	void (*placed)(void *ctx, const struct store_found *r);
	/* A droppable group that contained this message could not be stored (451). */
	void (*dropped)(void *ctx, const char *id);
	/* Cleaning: is this record still wanted?  A message: 1 when its current copy is AT.  STATE, RESULT, EXPAND: add whatever note must replace
	 * it (store_add()) and return 0.  E_SYS: that could not be added, and the segment must stay. */
	int (*wanted)(void *ctx, const struct store_found *r);
	/* A message was copied; 1: NOTE goes with it into the same group; 0: it needs none; E_SYS: what it needs cannot be had, and the message must stay where it
	 * is.  Slices live until the next call. */
	int (*moving)(void *ctx, const char *id, struct store_record *note);
	/* A segment was given up after a failed write or sync. */
	void (*alarm)(void *ctx, const struct err *e);
};

/* The system calls that can fail in interesting ways, so that tests can make them fail. */
struct store_sys {
	ssize_t (*pwrite)(int fd, const void *p, size_t n, off_t at);
	ssize_t (*pread)(int fd, void *p, size_t n, off_t at);
	int (*fdatasync)(int fd);
	int (*fsync)(int fd);
	int (*create)(int dir_fd, const char *name);
	int (*allocate)(int fd, off_t octets);
};
extern const struct store_sys store_sys_real;

struct store_options {
	uint64_t segment_octets; /* a multiple of LOG_BLOCK */
	unsigned spares_most;    /* dead segments kept for use again */
	const struct store_sys *sys;
	struct store_handlers on;
	bool look_only;          /* read what is there; nothing can be added, nothing is changed */
};

/* What start-up found. */
struct store_report {
	unsigned segments, spares;
	uint64_t records, octets;     /* that count */
	uint64_t torn_octets;         /* of the batch that a crash cut off; never acknowledged */
	unsigned damaged;             /* other places that could not be read */
	struct store_damage {
		uint32_t seq, number;     /* of the segment; of its file */
		uint64_t offset, octets;
		char id[ID_LEN + 1]; /* "" when not known */
	} damage[16];                 /* the first of them */
	bool clean;                   /* the last record says that the program stopped in order */
};

struct store;
/* *OUT is set before the handler found is called, for store_live() and its like.
 * Open the folder DIR_FD (borrowed until store_close()), lock it, read all segments.  0; E_REFUSED: locked by another instance or
 * written by a later version; E_SYS. */
MUST_CHECK int store_open(struct store **out, int dir_fd, const struct store_options *o, struct store_report *report, struct err *e);
void store_close(struct store *s);

/* Can a message of so many octets be stored now, with the reserve for notes kept?  Prepares a segment when it must. 0, or E_SYS (.sys ENOSPC,
 * EDQUOT: full; 452). */
MUST_CHECK int store_room(struct store *s, uint64_t octets, struct err *e);
/* Add a group of N records.  DROPPABLE: it may be given up when the commit fails (handler dropped); all other groups are kept in memory and
 * written to the next segment.  0; E_SYS: a piece could not be read, nothing was added; E_TOO_LONG. */
MUST_CHECK int store_add(struct store *s, const struct store_record *group, size_t n, bool droppable, struct err *e);
/* Write and sync all that was added.  0: all is durable but for droppable groups that were dropped (handler).  E_SYS: the others are kept and
 * go with the next commit. */
MUST_CHECK int store_commit(struct store *s, struct err *e);
/* Octets and groups added since the last commit. */
size_t store_pending(const struct store *s);

/* Read one record back: header into H, then the payload in order.  E_NOT_FOUND: no such segment or record; E_SYS; at the end E_PEER
 * when the checksum is wrong. */
struct store_reader {
	struct store *s;
	struct record_header h;
	int fd;
	uint64_t at, left;
	uint32_t crc;
};
MUST_CHECK int store_read(struct store_reader *r, struct store *s, struct store_at at, struct err *e);
MUST_CHECK int store_read_next(struct store_reader *r, void *p, size_t n, struct err *e);
/* After the last octet: is the checksum right? */
MUST_CHECK int store_read_end(struct store_reader *r, struct err *e);

/* A message copy at AT with OCTETS of payload counts as live (start-up) or no longer does. */
void store_live(struct store *s, struct store_at at, uint32_t octets);
void store_dead(struct store *s, struct store_at at, uint32_t octets);

/* Start-up: the copy at AT was superseded by a later one, or is the one that did: both segments are to be evacuated. */
void store_superseded(struct store *s, struct store_at at);

/* Housekeeping, a slice of about a millisecond: prepares the next segment, frees dead ones, moves survivors.  Call it when nothing is
 * pending; it may commit.  True when there is more to do at once. */
bool store_tend(struct store *s, struct err *e);
struct store_space {
	unsigned segments, spares;
	uint64_t octets, live_octets;
};
void store_space(const struct store *s, struct store_space *space);
#endif
