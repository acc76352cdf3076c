/* The octets of the log: segment headers and record headers.  postern-queue(5) is the description for people.
 *
 * A segment file is a block of 4096 octets with two copies of the segment header, then records.  A record is a header of 56 octets,
 * its payload and zeros up to a multiple of 8.  All that one commit writes (a batch) begins at a multiple of 4096 and ends with zeros up to
 * the next one, so that no block that was ever made durable is written again.  Numbers are little-endian. */
#ifndef POSTERN_QUEUE_RECORD_H
#define POSTERN_QUEUE_RECORD_H
#include <stdint.h>

#include "lib/err.h"
#include "lib/id.h"

#define LOG_BLOCK 4096u
#define LOG_VERSION 1u
#define RECORD_HEADER 56u
#define SEGMENT_HEADER 64u
#define SEGMENT_COPY_AT 2048u /* where the second copy of the segment header stands */
#define RECORD_OCTETS_MAX 0xc0000000u /* of a payload: BODY_MAX + HEAD_MAX fits */

enum record_kind {
	RECORD_MESSAGE = 'M', /* prologue (struct prologue), head, body */
	RECORD_STATE = 'S',   /* all that is known of a waiting message; replaces every note on it before */
	RECORD_RESULT = 'R',  /* recipients that are done, while others of the same attempt are not */
	RECORD_EXPAND = 'X',  /* a recipient became several */
	RECORD_FINISH = 'F',  /* the message is dead: its copies before the place in the payload (sequence, offset: 8 octets) */
	RECORD_CLEAN = 'C',   /* orderly stop: no delivery was in hand */
	RECORD_VOID = 'V',    /* nothing that speaks of a message; with a payload the seal of the segment before (log.h) */
};

#define RECORD_MORE 1 /* flag: the next record belongs to this one, and neither counts without the other */
#define RECORD_LAST_BOUNCE 2 /* flag of a message: a double bounce; if it fails, nobody is told */

struct record_header {
	uint64_t key;    /* of the segment: random for each use of the file, so that no message can contain a record */
	uint64_t seq;    /* of the segment */
	uint64_t target; /* note: sequence of the segment that holds the message; message: 0 */
	uint32_t octets; /* of the payload */
	uint32_t batch;  /* counts the commits in this segment, from 1 */
	char id[ID_LEN];
	unsigned char kind, flags;
	uint32_t payload_crc;
};
void record_header_put(unsigned char p[RECORD_HEADER], const struct record_header *h);
/* 0, or E_SYNTAX: checksum wrong, or a value out of its range. */
MUST_CHECK int record_header_get(struct record_header *h, const unsigned char p[RECORD_HEADER]);
/* Octets that a record with this payload takes in the file. */
static inline uint64_t record_size(uint64_t octets) { return (RECORD_HEADER + octets + 7) & ~7ull; }
static inline uint64_t block_up(uint64_t at) { return (at + LOG_BLOCK - 1) & ~(uint64_t)(LOG_BLOCK - 1); }

struct segment_header {
	uint64_t seq; /* 0: a spare, nothing in it counts */
	uint64_t key;
	uint64_t size; /* of the file */
	uint32_t version; /* as read; segment_header_put() writes LOG_VERSION */
};
void segment_header_put(unsigned char block[LOG_BLOCK], const struct segment_header *h);
/* From whichever copy is whole.  0; E_SYNTAX: neither; E_REFUSED: of another version than this one, which then stands alone in H. */
MUST_CHECK int segment_header_get(struct segment_header *h, const unsigned char block[LOG_BLOCK]);
/* From one of the copies. */
MUST_CHECK int segment_copy_get(struct segment_header *h, const unsigned char p[SEGMENT_HEADER]);

/* The first octets of a message's payload: what start-up needs without reading the envelope. */
#define PROLOGUE 32u
struct prologue {
	uint64_t body_octets;
	int64_t hold_until_sec;
	uint32_t head_octets;
	uint32_t rcpts;
	bool held;
};
void prologue_put(unsigned char p[PROLOGUE], const struct prologue *m);
MUST_CHECK int prologue_get(struct prologue *m, struct slice payload);

/* Little-endian numbers in unaligned octets. */
void put32(unsigned char *p, uint32_t v);
void put64(unsigned char *p, uint64_t v);
uint32_t get32(const unsigned char *p);
uint64_t get64(const unsigned char *p);
#endif
