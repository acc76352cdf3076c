/* One operator's command under way, and the verbs.  A verb answers at once, or leaves .more, which is called in every round of the event loop in which
 * the caller can take a row and works for SLICE_MSEC at most, so that neither a million messages nor a caller that does not read holds up the mail. */
#ifndef POSTERN_QUEUE_CALLER_H
#define POSTERN_QUEUE_CALLER_H
#include "queue/selection.h"

#define SLICE_MSEC 3
#define PROGRESS_MSEC 250

struct act; /* what hold, release and their like do to one message (verbs.c) */
struct top; /* sums for each sender, user, destination or domain (top.c) */

struct caller {
	struct watch watch;
	struct queue *q;
	struct command cmd;
	void (*more)(struct caller *c);
	int64_t slice_end;       /* .more works until then */
	bool ended;              /* the caller is gone, to be freed by commands.c */
	struct buf late;         /* rows that it could not take yet, each a netstring, from .late_at on */
	size_t late_at;
	bool ending;             /* the end was sent or is the last of them */
	/* Walking over the messages of a selection */
	struct selection sel;
	uint32_t cursor, limit;  /* of the index, or of the ids given */
	struct slice ids_left;
	uint32_t matched, done, unknown, passed; /* passed over: in no state for the verb */
	int64_t progress_at;
	/* verbs.c */
	const struct act *act;
	bool dry_run;
	struct slice because;
	int64_t until_sec;
	char then;
	/* listing.c */
	bool every_rcpt;
	bool unreadable;         /* walk_next() also finds what cannot be read, where the index alone decides: then *W is NULL, and this the reason */
	struct err why;
	/* top.c */
	struct top *top;
	/* export_verb.c */
	struct export *export;
};

/* The end of the command: exit code and a text for people. */
void caller_end(struct caller *c, int code, const char *text);
/* The caller is gone or does not read. */
void caller_cut_off(struct caller *c);
/* One row, and B is empty again; never waits.  What the caller cannot take is kept until it can, LATE_MOST octets.  False: cut off already. */
bool caller_row(struct caller *c, struct buf *b);
/* Go on with MORE when the caller can take a row. */
void caller_later(struct caller *c, void (*more)(struct caller *c));
/* A row can be sent at once; one that has several to send asks before the first of them. */
bool caller_can_take(const struct caller *c);
void pair(struct buf *b, const char *key, struct slice value);
void pair_number(struct buf *b, const char *key, long long value);

/* walk.c: take ARG[1] and up as selection, and as whatever EXTRA (may be NULL) takes: 1 taken, 0 not, E_SYNTAX.  False: the command has ended. */
bool walk_arguments(struct caller *c, int (*extra)(struct caller *c, struct slice arg, struct err *e));
/* Begin with the first message. */
void walk_begin(struct caller *c);
/* The next message that is selected, for as long as the slice lasts; NULL: slice over (*END false) or no more.  *W is the message as it is now where the
 * selection or WORK asks for it, else NULL; *OWN: it was read for this alone, and goes back with work_free(). */
struct message *walk_next(struct caller *c, bool work, struct work **w, bool *own, bool *end);
/* A row kind=progress now and then. */
void walk_progress(struct caller *c);

/* The verbs. */
void verb_list(struct caller *c);
void verb_show(struct caller *c);
void verb_act(struct caller *c);  /* retry, hold, release, bounce, delete */
void verb_status(struct caller *c);
void verb_top(struct caller *c);
void top_free(struct top *t);
#endif
