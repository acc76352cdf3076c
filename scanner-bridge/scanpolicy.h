/* control/scanpolicy: what becomes of a message, by what the scanners say.  postern-scanpolicy(5).
 *	virus ACTION | banned ACTION | malformed ACTION | error ACTION | spam>=SCORE ACTION
 *	ACTION: pass tag quarantine discard reject tempfail
 * A kind without a line keeps its default:
 *	virus reject, banned reject, malformed tag, error tempfail, spam>=15 reject, spam>=5 tag
 * (one spam line replaces both spam defaults).  Among spam lines the highest score reached counts. */
#ifndef POSTERN_SCAN_SCANPOLICY_H
#define POSTERN_SCAN_SCANPOLICY_H
#include "lib/control.h"

#define SCANPOLICY_SPAM_MAX 16

/* In order of strength: where several lines apply, the strongest action is taken. */
enum action { ACTION_PASS, ACTION_TAG, ACTION_QUARANTINE, ACTION_TEMPFAIL, ACTION_DISCARD, ACTION_REJECT, ACTION_COUNT };
extern const char *const action_names[ACTION_COUNT];

enum cause { CAUSE_NONE, CAUSE_VIRUS, CAUSE_BANNED, CAUSE_MALFORMED, CAUSE_ERROR, CAUSE_SPAM, CAUSE_COUNT };
extern const char *const cause_names[CAUSE_COUNT];

struct scanpolicy_rule {
	enum action action;
	int line;        /* in control/scanpolicy; 0: default */
	long long milli; /* spam: score in thousandths */
};
struct scanpolicy {
	struct scanpolicy_rule rule[CAUSE_SPAM]; /* by cause, but for spam */
	struct scanpolicy_rule spam[SCANPOLICY_SPAM_MAX];
	size_t spam_count;
};
/* 0, or E_SYNTAX with "scanpolicy:LINE: reason". */
MUST_CHECK int scanpolicy_parse(struct scanpolicy *out, const struct control *c, struct err *e);
/* Is there a line with the action quarantine? */
bool scanpolicy_quarantines(const struct control *c);
/* The rule for a spam score; NULL: below all. */
const struct scanpolicy_rule *scanpolicy_spam(const struct scanpolicy *p, long long milli);
/* The whole of S as a decimal number with at most three places, in thousandths: "-2.5" is -2500.  At most MOST either way (not in
 * thousandths).  0 or -1. */
MUST_CHECK int milli_parse(long long *out, struct slice s, long long most);
#endif
