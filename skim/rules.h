/* The judgement: one event in, one decision out; the memory is kept up to date on the way. */
#ifndef POSTERN_SKIM_RULES_H
#define POSTERN_SKIM_RULES_H
#include "skim/charges.h"

struct engine {
	const struct skim_config *cfg;
	const struct geo *geo;     /* NULL: no places are known */
	struct history *history;
	int64_t clock;             /* the latest time seen */
	int64_t lock_day;          /* days since 1970 */
	long locks;                /* on that day */
	struct charges *charges;   /* NULL: what is refused later stays counted */
};

#define WHY_MAX 1000
struct decision {
	enum skim_action action;
	int score;
	uint64_t rules;            /* bits of the rules that speak against the user now */
	uint64_t hit;              /* of those, the ones that this event hit */
	char why[WHY_MAX + 1];     /* for the helpdesk; printable UTF-8 */
	struct user *user;         /* NULL: the event names none */
	bool changed;              /* the user's state is another than before */
};

/* Judge EV.  Never fails: what is not known counts for nobody and against nobody. */
void engine_judge(struct decision *out, struct engine *g, const struct skim_event *ev);
/* Judge what became known of a user's mail after (or without) its sending. */
enum skim_fact {
	FACT_REFUSED, /* so many recipients were refused at RCPT because they do not exist */
	FACT_BOUNCED, /* so many recipients turned out not to exist */
	FACT_BAD,     /* so many messages were found to be spam or to have a virus */
	FACT_REPORT,  /* so many people complained */
};
#define FACT_COUNT_MAX 100000
/* OUT as from engine_judge(); .user NULL: nothing is known of USER, and the fact is left out (a report makes the user). */
void engine_fact(struct decision *out, struct engine *g, enum skim_fact fact, struct slice user, long count, int64_t now);
/* The decision as one JSON object with its line end: id, time, user, action, score, rules, why. */
void decision_json(struct buf *b, const struct decision *d, const struct skim_event *ev);
/* Let time do its work on U's state: recovering ends, a flag without points goes. */
void engine_settle(const struct engine *g, struct user *u, int64_t now);
/* Take away all that speaks against U; the state is then that of a free user unless LOCKED or recovering. */
void engine_forget(struct user *u);
/* The letters by which an incident is named on the telephone. */
void engine_code(struct user *u, int64_t now);
/* Is U said to be in CC, by control/skim or by `postern skim travel`? */
bool engine_travels(const struct engine *g, const struct user *u, country cc, int64_t now);
/* The user's score and state as they are at NOW (points fade). */
int engine_score(const struct engine *g, const struct user *u, int64_t now, int *families);
/* Plain words for what speaks against U; rules in FIRST (bits) first. */
void why_text(char out[WHY_MAX + 1], const struct user *u, const struct skim_config *cfg, uint64_t first, int64_t now);
/* The words of one rule alone. */
void why_rule(char out[WHY_MAX + 1], const struct user *u, enum rule r, int64_t now);
const char *state_name(enum user_state s); /* "flagged", … */

/* Between skim/rules*.c: the event being judged. */
struct judging {
	struct engine *g;
	const struct skim_event *ev;
	struct user *u;
	int64_t now;
	bool has_ip, learned, declared, trusted;
	struct ip ip;              /* IPv6: the /64 */
	struct place place;
	uint64_t hit;              /* rules that count */
	uint64_t noted;            /* rules set to log, dry runs */
	enum skim_action floor;    /* of the checks of qmail-skim.conf */
	struct sent hour, day;     /* sent, this message with it */
	long recipients;
};
void judging_start(struct judging *j, struct engine *g, const struct skim_event *ev);
void judging_decide(struct decision *d, struct judging *j);
void judge_nonexistent(struct judging *j); /* S3, S4 */
/* Rule R speaks against the user.  POINTS 0: those of the settings.  TEXT may be NULL. */
void judging_hit(struct judging *j, enum rule r, int points, const struct hit *what);
void judge_failure(struct judging *j);
void judge_login(struct judging *j);
void judge_send(struct judging *j);
void judge_canary(struct judging *j);  /* X4 */
void judge_checks(struct judging *j); /* qmail-skim.conf */
void note_login(struct judging *j, bool good);
void note_send(struct judging *j, bool good);
/* ADDRESS is one that the user may send as: the user's own name at one of our domains, said in [authorised], or used on earlier days. */
bool sender_is_user(const struct judging *j, struct slice address);
/* Is the sender in envelope or From somebody else's address? */
bool sends_as_other(const struct judging *j);
struct slice address_of(struct slice field); /* "Name <a@b>" gives "a@b" */
#endif
