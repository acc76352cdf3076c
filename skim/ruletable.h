/* The rules: which there are, what each is worth, how fast it fades.  postern-skim(5) gives the reason of each. */
#ifndef POSTERN_SKIM_RULETABLE_H
#define POSTERN_SKIM_RULETABLE_H
#include "lib/slice.h"

/* Kinds of evidence that do not follow from one another; a lock needs two. */
enum family { FAMILY_LOGIN, FAMILY_SENDING, FAMILY_CONTENT, FAMILY_REPORT, FAMILY_COUNT };

/* R(identifier, name, family, points, half-life in hours, silent while learning, what) */
#define SKIM_RULES(R) \
	R(L1, "L1", LOGIN, 40, 24, 0, "travel faster than an aeroplane") \
	R(L2, "L2", LOGIN, 40, 24, 0, "many countries in a day") \
	R(L3, "L3", LOGIN, 30, 24, 0, "two countries within hours, the second one unusual") \
	R(L4, "L4", LOGIN, 30, 72, 1, "from a hosting provider never used before") \
	R(L5, "L5", LOGIN, 15, 72, 1, "from a country and network new for the user and for everybody") \
	R(L6, "L6", LOGIN, 30, 24, 0, "from an anonymous proxy or listed address") \
	R(L7, "L7", LOGIN, 20, 24, 0, "from very many networks or addresses in a day") \
	R(L8, "L8", LOGIN, 25, 24, 0, "many wrong passwords from several networks, then the right one") \
	R(L9, "L9", LOGIN, 35, 24, 0, "success from an address that tried many users") \
	R(L10, "L10", LOGIN, 15, 72, 1, "with a program never used before") \
	R(L11, "L11", LOGIN, 25, 24, 0, "used in two far places at once") \
	R(L12, "L12", LOGIN, 5, 12, 0, "at an hour never used before") \
	R(L13, "L13", LOGIN, 15, 72, 1, "from a country never used before") \
	R(S1, "S1", SENDING, 30, 12, 0, "many recipients outside within an hour") \
	R(S2, "S2", SENDING, 30, 12, 0, "many recipients within a day") \
	R(S3, "S3", SENDING, 20, 24, 0, "recipients that do not exist") \
	R(S4, "S4", SENDING, 30, 24, 0, "a large part of the recipients does not exist") \
	R(S5, "S5", SENDING, 25, 24, 1, "recipients never written to before") \
	R(S6, "S6", SENDING, 20, 24, 0, "recipients in the order of an address book") \
	R(S7, "S7", SENDING, 25, 12, 0, "one message to very many") \
	R(F1, "F1", CONTENT, 50, 24, 0, "sent under an address that is not the user's") \
	R(F2, "F2", CONTENT, 20, 24, 0, "answers go to a new address elsewhere") \
	R(F3, "F3", CONTENT, 15, 24, 0, "sent under a name that claims to be helpdesk, payroll or the like") \
	R(C1, "C1", CONTENT, 20, 12, 0, "the same text with a link to many") \
	R(C2, "C2", CONTENT, 15, 24, 0, "a link to a host new for everybody, or a listed one") \
	R(C3, "C3", CONTENT, 30, 24, 0, "what was sent is spam or has a virus") \
	R(X1, "X1", REPORT, 40, 72, 0, "people complain of the user's mail") \
	R(X4, "X4", REPORT, 40, 168, 0, "from an address that used a canary account") \
	/* the checks of qmail-skim.conf */ \
	R(PHISHHOOK, "phishhook", LOGIN, 40, 24, 0, "phishhook") \
	R(PHISHFROM, "phishfrom", CONTENT, 50, 24, 0, "phishfrom") \
	R(PHISHLIMIT, "phishlimit", SENDING, 40, 12, 0, "phishlimit") \
	R(RATELIMIT, "ratelimit", SENDING, 0, 1, 0, "ratelimit") \
	R(ENVELOPE, "envelope", CONTENT, 0, 1, 0, "envelope") \
	R(HEADERS, "headers", CONTENT, 0, 1, 0, "headers") \
	R(BODY, "body", CONTENT, 0, 1, 0, "body")

enum rule {
#define R(ident, name, family, points, hours, learns, what) R_##ident,
	SKIM_RULES(R)
#undef R
	R_COUNT
};
#define R_FIRST_CHECK R_PHISHHOOK

struct rule_info {
	const char *name;
	enum family family;
	int points, half_life_hours;
	bool learns; /* silent until a user is known */
	const char *what;
};
extern const struct rule_info rule_info[R_COUNT];
/* The rule of that name (case does not count), or R_COUNT. */
enum rule rule_find(struct slice name);
#endif
