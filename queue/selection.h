/* Which messages an operator means: ids, or conditions that must all apply, or all.  postern-queue(8), SELECTING. */
#ifndef POSTERN_QUEUE_SELECTION_H
#define POSTERN_QUEUE_SELECTION_H
#include "lib/command.h"
#include "queue/queue.h"

struct selection {
	struct condition {
		const struct selector *by;
		struct slice value;  /* borrows from the request */
		int64_t wall_sec;    /* older, newer: the moment that the age comes to */
	} condition[COMMAND_ARGS_MAX];
	size_t count;
	struct slice ids;        /* separated by commas, or .p NULL */
	bool all;
};
/* Take one argument: 1 taken, 0 it is none of a selection, E_SYNTAX with the reason. */
MUST_CHECK int selection_take(struct selection *s, struct slice arg, int64_t now_sec, struct err *e);
/* Something was given. */
bool selection_given(const struct selection *s);
/* False: M cannot match, as the index alone tells. */
bool selection_possible(const struct selection *s, const struct message *m);
/* It says itself that it means messages that are held: by id, hold=, owner= or state=held. */
bool selection_names_held(const struct selection *s);
/* The work has to be looked at to decide. */
bool selection_needs_work(const struct selection *s);
bool selection_matches(const struct selection *s, const struct work *w);
/* A span of time: "90" (seconds), "15m", "2h", "3d".  0 or E_SYNTAX. */
MUST_CHECK int selection_span(int64_t *sec, struct slice s);
/* The keys, for messages to people. */
extern const char selection_keys[];

/* What rows and conditions say of a message. */
const char *class_name(enum envelope_class class);
const char *message_state(const struct work *w, bool busy);
/* "smtp" and the like, and where to; NULL while route was not asked. */
const char *rcpt_way(struct slice *destination, const struct work_rcpt *r);
/* The last reason given for any recipient that is open, or empty. */
struct slice last_reason(const struct work *w);
#endif
