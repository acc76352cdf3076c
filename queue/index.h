/* The index: what the queue keeps in memory of every message, waiting or not.  The envelope stays on disk.
 *
 * 64 octets a message in blocks that never move, 8 to 16 for the table of ids, 4 to 8 for the heap of times: under 90 in all. */
#ifndef POSTERN_QUEUE_INDEX_H
#define POSTERN_QUEUE_INDEX_H
#include "lib/id.h"
#include "queue/store.h"

enum message_flag {
	MESSAGE_PENDING = 1,     /* added, not yet durable */
	MESSAGE_HELD = 2,        /* not delivered until released; .next_sec is the deadline or 0 */
	MESSAGE_DOUBT = 4,       /* an attempt may have got through without its record (restart) */
	MESSAGE_LAST_BOUNCE = 8, /* if it fails, nobody is told */
	MESSAGE_NOTES = 16,      /* start-up: results after the last STATE */
	MESSAGE_UNPLACED = 32,   /* a STATE was added that is not durable yet: .state is that before */
	MESSAGE_UNROUTED = 64,   /* it waits for nothing but an answer of the directory */
	MESSAGE_PAUSED = 128,    /* some recipient waits for the end of a pause (pause.h) */
};

struct work;
struct replay;
struct message {
	char id[ID_LEN];
	unsigned char flags;
	unsigned short attempts;
	struct store_at at;       /* the message */
	uint32_t octets;          /* payload of its record */
	struct store_at state;    /* its last STATE, or seq 0 */
	uint32_t next_sec;        /* wall clock, when the heap has it; the sides that a message waits for whose recipients all wait for the end of a pause */
	uint32_t heap_at;         /* 1 and up; 0: not in the heap */
	uint32_t open;            /* recipients not done; not exact before the first attempt after a restart */
	uint32_t self;            /* number in the arena */
	uint32_t grace_sec;       /* of the clock since boot: not too old before (age.h); 0: was not released in this run */
	union {
		struct work *work;     /* while an attempt goes on */
		struct replay *replay; /* during start-up: notes after the last STATE */
	};
};

struct index {
	struct message **block;   /* of INDEX_BLOCK each */
	uint32_t blocks, used, count;
	uint32_t *free;           /* numbers given back */
	uint32_t free_count, free_room;
	uint32_t *table;          /* number + 1, open addressing */
	uint32_t table_room;      /* a power of two */
	uint32_t *heap;
	uint32_t heap_count, heap_room;
};
#define INDEX_BLOCK 4096u

/* A new entry, or NULL: no memory.  The id must not be there. */
struct message *index_add(struct index *x, const char *id);
struct message *index_find(const struct index *x, const char *id);
void index_remove(struct index *x, struct message *m);
/* Entry number N of all numbers below x->used, or NULL where none is. */
struct message *index_nth(const struct index *x, uint32_t n);
/* Wait until NEXT_SEC; again for another time.  Cannot fail: index_add() made the room. */
void index_wait(struct index *x, struct message *m, uint32_t next_sec);
void index_stop_waiting(struct index *x, struct message *m);
/* The one that waits for the earliest time, in the same second the oldest, or NULL. */
struct message *index_first(const struct index *x);
void index_free(struct index *x);
/* Octets that the index takes. */
size_t index_octets(const struct index *x);
#endif
