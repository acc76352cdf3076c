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
	long long version; /* as read */
	long long attempts;
	long long next_sec;
	long long next_number; /* for the next recipient that comes by expansion */
	bool held;
	struct slice hold_reason, hold_owner;
	long long hold_until_sec;
	char hold_then; /* 'r', 'b', 'd' or 0 */
	bool told;     /* its sender heard that it waits */
	bool unrouted; /* it waits for nothing but an answer of the directory */
	unsigned char paused; /* the sides (pause.h) for which some recipient waits, or 0; with .next_sec 0 all do */
	long long open; /* recipients that are not done */
	long long owed; /* those that are, of which the sender is still to be told */
};
/* What a STATE says of a recipient. */
enum note_kind {
	NOTE_OPEN = 'o',      /* route is asked again; .target says where it went last */
	NOTE_HOLDS = 'h',     /* a member that goes to .target in all attempts */
	NOTE_DELIVERED = 'd', NOTE_RELAYED = 'r', NOTE_EXPANDED = 'e', /* done; the sender asked to be told (NOTIFY=SUCCESS) and has not been yet */
};
/* One recipient that is not done, or owed.  All others of the envelope are done; .open + .owed follow, in the order of their numbers. */
struct note_recipient {
	long long number;
	enum note_kind kind;
	long long origin;     /* the recipient in the envelope that it comes from: itself, unless by expansion */
	bool doubt;           /* an attempt may have got through */
	struct slice address; /* of a member; empty: the envelope's */
	struct slice target;  /* encoded, or empty */
	char enhanced[12];    /* of the last attempt, or "" */
	struct slice host, text;
};
void note_state_put(struct buf *b, const struct note_state *s);
void note_recipient_put(struct buf *b, const struct note_recipient *r);
/* 0 with F behind the first part, or E_SYNTAX; E_REFUSED: of a later version.  Slices borrow.  note_recipient_get() goes by S's version. */
MUST_CHECK int note_state_get(struct note_state *s, struct fields *f, struct slice payload);
MUST_CHECK int note_recipient_get(struct note_recipient *r, const struct note_state *s, struct fields *f);

/* RESULT: recipients that are done: their numbers, and where the sender is to be told, how. */
struct note_done {
	long long number;
	enum note_kind kind;  /* NOTE_DELIVERED, NOTE_RELAYED; 0: nobody is to be told */
	char enhanced[12];
	struct slice host, text;
};
void note_done_put(struct buf *b, const struct note_done *d);
MUST_CHECK int note_done_get(struct note_done *d, struct fields *f);
/* EXPAND: NUMBER of recipient ORIGIN became COUNT targets, numbered FIRST and up; KEPT (or -1) is the target that keeps NUMBER instead. */
struct note_expand {
	long long number, origin, first, count, kept;
};
void note_expand_put(struct buf *b, const struct note_expand *x);
/* 0 with F at the first of the encoded targets. */
MUST_CHECK int note_expand_get(struct note_expand *x, struct fields *f, struct slice payload);
#endif
