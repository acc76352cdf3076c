/* Notes on a message: the payloads of STATE, RESULT and EXPAND records.  postern-queue(5) is the grammar: netstrings in a fixed order. */
#ifndef POSTERN_QUEUE_NOTE_H
#define POSTERN_QUEUE_NOTE_H
#include "deliver/delivery.h"
#include "lib/envelope.h"
#include "lib/fields.h"

#define HOLD_REASON_MAX 200
#define NUMBERS_MAX 10000000 /* recipients that one message may come to by expansion */

/* The first part of a STATE. */
struct note_state {
	long long attempts;
	long long next_sec;
	long long next_number; /* for the next recipient that comes by expansion */
	bool held;
	struct slice hold_reason, hold_owner;
	long long hold_until_sec;
	char hold_then; /* 'r', 'b', 'd' or 0 */
	bool told;     /* its sender heard that it waits */
	long long open; /* recipients that follow */
};
/* One recipient that is not done.  Those of the envelope that no STATE names are. */
struct note_recipient {
	long long number;
	long long origin;     /* the recipient in the envelope that it comes from: itself, unless by expansion */
	bool doubt;           /* an attempt may have got through */
	struct slice address; /* of a member; empty: the envelope's */
	struct slice target;  /* of a member: encoded target that holds; empty: ask route */
	char enhanced[12];    /* of the last attempt, or "" */
	struct slice host, text;
};
void note_state_put(struct buf *b, const struct note_state *s);
void note_recipient_put(struct buf *b, const struct note_recipient *r);
/* 0 with F behind the first part, or E_SYNTAX; E_REFUSED: of a later version.  Slices borrow. */
MUST_CHECK int note_state_get(struct note_state *s, struct fields *f, struct slice payload);
MUST_CHECK int note_recipient_get(struct note_recipient *r, struct fields *f);

/* RESULT: numbers of recipients that are done. */
void note_result_put(struct buf *b, long long number);
/* EXPAND: NUMBER of recipient ORIGIN became COUNT targets, numbered FIRST and up; KEPT (or -1) is the target that keeps NUMBER instead. */
struct note_expand {
	long long number, origin, first, count, kept;
};
void note_expand_put(struct buf *b, const struct note_expand *x);
/* 0 with F at the first of the encoded targets. */
MUST_CHECK int note_expand_get(struct note_expand *x, struct fields *f, struct slice payload);
#endif
