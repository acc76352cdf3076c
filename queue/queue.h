/* The running queue: what the modules of postern-queue share.  One process, one thread, one event loop; everything here belongs to it. */
#ifndef POSTERN_QUEUE_QUEUE_H
#define POSTERN_QUEUE_QUEUE_H
#include "deliver/delivery.h"
#include "lib/job.h"
#include "lib/program.h"
#include "lib/space.h"
#include "queue/channel.h"
#include "queue/index.h"
#include "queue/loop.h"
#include "queue/note.h"

#define BATCH_MOST 256            /* jobs taken in before a commit */
#define BATCH_OCTETS (8u << 20)   /* and their octets */
#define HAND_MOST 4000            /* messages kept in memory for the first delivery */
#define WORKS_MOST 8000           /* attempts going on at once; mass mail and retries leave a quarter of both to others' first attempts */
#define ASKS_MOST 96              /* route questions waiting for their answers: fewer than a socket holds */
#define CHANNELS 4                /* Maildirs, LMTP, SMTP, QMQP */
#define RESULT_MSEC 50            /* notes that nobody waits for are made durable after this */
#define UNREADABLE_MOST 16        /* messages remembered for status */
#define SOON_SEC 2                /* after what says nothing of the message */

/* One recipient in an attempt. */
enum rcpt_state {
	RCPT_OPEN,     /* to be routed */
	RCPT_ASKED,    /* route has the question */
	RCPT_EXPANDED, /* its expansion is being made durable */
	RCPT_READY,    /* in a unit that waits for its turn */
	RCPT_SENT,     /* an agent has it */
	RCPT_DONE, RCPT_OWED, RCPT_REPLACED, RCPT_DEFERRED, RCPT_FAILED, RCPT_UNKNOWN, /* decided; OWED: done in an earlier attempt, which a crash, a stop or want of memory kept from telling */
};
struct work_rcpt {
	uint32_t number, origin;
	enum rcpt_state state;
	bool doubt;
	bool group;       /* became several in this attempt, none of which is itself */
	bool remote;      /* waits for another host: the slower curve */
	bool unrouted;    /* this attempt: the directory, or route, gave no answer */
	unsigned char paused; /* this attempt: the side (pause.h) that it waits for, or 0 */
	enum note_kind owed; /* RCPT_OWED: what the sender is to be told */
	char enhanced[12];
	char *address;    /* of a member, owned; NULL: the envelope's of .origin */
	char *target;     /* one encoded target, owned, or NULL */
	uint32_t target_octets;
	bool target_holds; /* it holds for all attempts; else it says where the last one went */
	char *host, *text; /* of the last result, owned */
	enum delivery_relay relay; /* of a success */
};

/* A message while an attempt is made. */
struct work {
	struct message *m;
	struct message gone;    /* .m, where the message was deleted meanwhile */
	struct work *next;      /* in one list at a time */
	struct job job;         /* head (mapped, decoded) and body; reply only until it is answered */
	bool in_hand, answered, dropped;
	struct note_state state; /* hold fields borrow from .kept */
	char *kept;
	struct work_rcpt *rcpt;
	uint32_t rcpts, room;
	uint32_t next_number;
	uint32_t cursor;        /* recipients before it were asked */
	uint32_t window;        /* recipients before it are in units or decided */
	bool listed;            /* in .to_ask or .ended */
	uint32_t asking, sent;  /* recipients in that state */
	uint32_t units;         /* units that wait for their turn */
	bool expanded;          /* in the list of those that wait for a commit */
	bool cancelled;         /* deleted or held meanwhile: ends with what is under way */
	bool deleted, bounce_then;
	bool again;             /* its end could not be written the first time */
	char *because;          /* an operator's words, owned: hold_reason or, with .bounce_then, what the sender is told */
	uint32_t done_here;     /* delivered in this attempt */
	bool handed;            /* some agent had it in this attempt */
	bool bulk, counted;     /* mass mail; among .crowd of its sender (priority.h) */
	uint16_t crowd;
};
struct work_list {
	struct work *first, **last;
};
struct work_lists { /* priority.h */
	struct work_list persons, bulk;
	unsigned passed;
};
void work_push(struct work_list *l, struct work *w);
struct work *work_pop(struct work_list *l);

struct queue {
	struct index index;
	struct store *store;
	int dir_fd;
	struct loop loop;
	struct settings {
		int64_t lifetime_sec;
		uint64_t reserve, memory;
		size_t bounce_octets;
		int64_t delay_sec;      /* a sender is told that it waits, after so long; 0: never */
		uint32_t bounce_rate;   /* to one domain an hour; 0: no limit */
		char me[256], bounce_from[ADDRESS_MAX + 1], double_to[ADDRESS_MAX + 1];
	} set;
	/* intake */
	struct work_list batch;      /* added, not yet durable */
	struct work_lists fresh;     /* durable, with their octets, to be started */
	unsigned bulk;               /* mass mail among what is in hand (priority.h) */
	unsigned hands, works;
	uint64_t hand_octets;
	struct space {
		int64_t checked_msec;
		bool full;
		uint64_t room;          /* octets that may be taken until the next look */
		uint64_t free_octets, free_inodes;
		struct space_page *page; /* where sessions read it */
	} space;
	/* delivery: queue/channel.h */
	struct work_lists to_ask;    /* have recipients to be routed; take turns */
	struct work_list expanded;   /* wait for a commit */
	struct work_list ended;      /* all recipients decided */
	struct work_list again;      /* the same, where the record that ends the attempt could not be made or added: tried again */
	int64_t again_at, again_msec; /* when, and how long after the last try */
	unsigned asks;
	struct channel channel[CHANNELS];
	struct watch in, lifeline, command;
	struct comeback {            /* comeback.h */
		bool any;               /* some message may wait for the directory alone */
		bool lap, again;        /* none was found since the index was at its end; some came meanwhile */
		uint32_t cursor;
		unsigned rate;          /* messages a second; 0: one now and then */
		unsigned left;          /* to be found now */
		unsigned out;           /* let go and without an answer yet */
		unsigned routed, stuck, silent; /* answers since the last look; looks without any */
		int64_t next_msec, looked_msec, probe_msec;
	} comeback;
	int64_t commit_at;           /* notes are pending since; 0: none */
	bool urgent;                 /* somebody waits for the commit */
	bool in_closed, stopping;
	struct counts {
		uint64_t accepted, refused, delivered, deferred, bounced, commits, alarms;
		unsigned damaged;       /* places of the log that the start could not read */
	} counts;
	char unreadable[UNREADABLE_MOST][ID_LEN]; /* the first of those that could not be read in this run */
	unsigned unreadables;
};

int64_t queue_now_sec(void);

/* The store's system calls; tests that kill or fail at the Nth of them put their own here before queue_run(). */
extern const struct store_sys *queue_sys;
/* recover.c: the handlers of the store; start-up. */
void recover_handlers(struct store_handlers *on, struct queue *q);
MUST_CHECK int recover_open(struct queue *q, uint64_t segment_octets, struct err *e);
/* intake.c */
void intake_ready(struct watch *watch);
/* After a commit: answer those who wait. */
void intake_answer(struct queue *q);
/* space.c: look at the file system when it is time; is there space for OCTETS more?  What is promised is counted until the next look. */
void space_tend(struct queue *q);
bool space_take(struct queue *q, uint64_t octets, struct err *e);
/* work.c */
/* A work for M from the store: head and (BODY) body, recipients as its STATE says.  NULL with *E. */
struct work *work_load(struct queue *q, struct message *m, bool body, struct err *e);
/* The recipients of a message that was just taken in; what a STATE says of them; what a RESULT or an EXPAND says besides; X with its targets.  0, E_SYS: no memory,
 * E_PEER: it breaks its grammar, or does not fit W.  W copies what it keeps. */
MUST_CHECK int work_recipients(struct work *w, struct err *e);
MUST_CHECK int work_apply_state(struct work *w, struct slice payload, struct err *e);
MUST_CHECK int work_apply_note(struct work *w, enum record_kind kind, struct slice payload, struct err *e);
/* state.c: the STATE that describes it now, into B, of at most STORE_NOTE_MAX; where that is not enough, without reasons and ways, which the next attempt finds out
 * anew.  TOLD: the report on its recipients that are done or have failed is in the same group; else those who failed are open in it, as nobody was told of them.
 * 0; logged: E_SYS no memory, E_TOO_LONG; the one before must count, never part of this one. */
MUST_CHECK int work_state(struct buf *b, const struct work *w, int64_t next_sec, bool told);
/* Neither done nor failed. */
bool work_is_open(const struct work_rcpt *r);
/* Recipient number RCPT becomes the targets of X.  As above; where it fails W is as it was. */
MUST_CHECK int work_expand(struct work *w, uint32_t rcpt, struct slice targets, const struct note_expand *x, struct err *e);
struct work_rcpt *work_find(struct work *w, long long number);
void work_free(struct queue *q, struct work *w);
struct slice work_address(const struct work *w, const struct work_rcpt *r);
void rcpt_result(struct work_rcpt *r, enum rcpt_state state, const char *enhanced, struct slice host, struct slice text);
void rcpt_text(struct work_rcpt *r, enum rcpt_state state, const char *enhanced, const char *text);
/* attempt.c, ending.c: starts what is due, ends what is decided.  What cannot be written of an end keeps its work, which knows it all, until it can. */
void attempt_start(struct queue *q, struct work *w);
/* M cannot be read: it stays, says so, and is looked at again, soon where descriptors or memory were short, else in an hour: the disk may answer better, and an
 * operator is called. */
void attempt_unreadable(struct queue *q, struct message *m, const struct err *e);
/* The same where M is only looked at: said once for each. */
void attempt_not_seen(struct queue *q, const struct message *m, const struct err *e);
/* There is room for a message that has to be read back; else the next ends first. */
bool attempt_may_load(const struct queue *q);
void attempt_due(struct queue *q);
void attempt_end_all(struct queue *q);
/* Give the message up now: STATE as it is, or nothing left. */
void attempt_stop_all(struct queue *q);
/* dispatch.c, routing.c: routing and deliveries (dispatch.h). */
void dispatch(struct queue *q);
/* The channels' ports and, at a start and after a reload, their limits. */
void dispatch_ports(struct queue *q);
void dispatch_limits(struct queue *q);
/* Deliveries under way. */
unsigned dispatch_in_flight(const struct queue *q);
/* When a channel goes on that found its socket full, or looks for places; 0: none waits. */
int64_t dispatch_pause(const struct queue *q);
/* An operator says try now: no destination counts as failing. */
void dispatch_open(struct queue *q);
/* After a commit: expansions are durable. */
void dispatch_expanded(struct queue *q);
/* The work has nothing under way: the next window of recipients, or its end. */
void dispatch_next(struct queue *q, struct work *w);
/* notes.c: records to the store.  False, which is logged: nothing was added, for want of memory or because more waits for a disk than memory may hold, even
 * after a commit of what waits. */
/* A group of N that begins with a note on M, whose .target is filled in. */
MUST_CHECK bool queue_add(struct queue *q, struct message *m, struct store_record *group, size_t n, bool urgent);
MUST_CHECK bool queue_note(struct queue *q, struct message *m, enum record_kind kind, struct slice payload, bool urgent);
/* Forget M: FINISH; its space is dead.  False: M is as it was. */
MUST_CHECK bool queue_finish(struct queue *q, struct message *m, bool urgent);
/* The same after its FINISH was added in a group. */
void queue_forget(struct queue *q, struct message *m);
/* Something was added to the store; urgent: somebody waits for the commit. */
void queue_added(struct queue *q, bool urgent);
/* False, which is logged: what was added is not on the disk yet. */
bool queue_commit(struct queue *q);
/* commands.c */
void commands_ready(struct watch *watch);
/* run.c: the whole program. */
int queue_run(int argc, char **argv);
/* hold.c */
void hold_due(struct queue *q, struct message *m);
/* A STATE with what W's hold is now.  False: there is none. */
MUST_CHECK bool hold_write(struct queue *q, struct work *w);
/* Bounce what is open of W, now or when what is under way has ended; REASON is what the sender reads.  W is taken over.  False: W has something under way, the
 * decision could not be noted, and nothing was done. */
MUST_CHECK bool hold_give_up(struct queue *q, struct work *w, struct slice reason);
/* W's next STATE has it as held and overdue, with what the sender is to be told: who begins it again, after a crash too, bounces it and delivers nothing. */
void hold_keep_given_up(struct work *w);
/* The same in S alone. */
void hold_as_given_up(struct note_state *s, const struct work *w);
/* The end of an attempt at W, which was given up: what is not decided has failed. */
void hold_fail_open(struct work *w);
#endif
