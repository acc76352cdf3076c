/* control/skim: the settings of the detection of stolen accounts.  Sections [global], [phishhook], [phishfrom], [phishlimit],
 * [ratelimit], [envelope], [headers] and [body] are those of qmail-skim.conf; the others are Postern's.  postern-skim(5). */
#ifndef POSTERN_SKIM_CONFIG_H
#define POSTERN_SKIM_CONFIG_H
#include <stdint.h>

#include "lib/addr.h"
#include "lib/arena.h"
#include "lib/control.h"
#include "skim/match.h"
#include "skim/ruletable.h"

/* Two letters of a country as one number; 0: unknown. */
typedef uint16_t country;
static inline country country_code(char a, char b) { return (country)((unsigned char)a << 8 | (unsigned char)b); }

enum rule_mode { RULE_OFF, RULE_LOG, RULE_ON };

struct rule_setting {
	enum rule_mode mode;
	int points, half_life_hours;
};

/* Every numeric setting: S(identifier, section, key, default, least, most, what) */
#define SKIM_NUMBERS(S) \
	S(verbose, "global", "verbose", 0, 0, 4, "how much is logged") \
	S(webmail_aware, "global", "webmail_aware", 0, 0, 1, "believe the user and address that SquirrelMail puts into Received, from networks labelled webmail") \
	S(hook_interval, "phishhook", "interval", 28800, 1, 31536000, "seconds between two logins; also for rule L3") \
	S(hook_hop, "phishhook", "country_hop", 0, 0, 1, "check hops from a safe country to another") \
	S(hook_count, "phishhook", "country_count", 0, 0, 1000, "so many unsafe countries; below 3: off") \
	S(from_maxrcptto, "phishfrom", "maxrcptto", 30, 0, 1000000, "recipients; also for rule F1") \
	S(limit_interval, "phishlimit", "interval", 60, 1, 86400, "seconds") \
	S(limit_maxrcptto, "phishlimit", "maxrcptto", 100, 0, 1000000, "recipients") \
	S(rate_interval, "ratelimit", "interval", 500, 1, 86400, "seconds") \
	S(rate_maxrcptto, "ratelimit", "maxrcptto", 50, 0, 1000000, "recipients") \
	S(hold, "score", "hold", 40, 1, 10000, "points from which mail is held") \
	S(stop, "score", "stop", 70, 1, 10000, "points from which submission stops") \
	S(lock, "score", "lock", 100, 1, 10000, "points from which the account is locked") \
	S(families, "score", "families", 2, 1, 4, "kinds of evidence needed for a lock") \
	S(family_points, "score", "family_points", 25, 0, 10000, "points from which a kind of evidence counts") \
	S(login_most, "score", "login_most", 60, 1, 10000, "points that logins alone can reach") \
	S(maxlocks, "score", "maxlocks", 10, 0, 100000, "locks a day; what comes after is stopped only") \
	S(learn_days, "score", "learn_days", 14, 0, 3650, "days after which a user is known") \
	S(learn_logins, "score", "learn_logins", 10, 0, 10000, "logins after which a user is known") \
	S(users, "score", "users", 200000, 1000, 10000000, "users remembered") \
	S(remember, "score", "remember", 400, 15, 3650, "days after which a user without any event is forgotten") \
	S(speed_kmh, "limits", "speed_kmh", 900, 1, 100000, "L1: kilometres an hour") \
	S(distance_km, "limits", "distance_km", 500, 1, 20000, "L1, L11: kilometres, radii taken off") \
	S(countries, "limits", "countries", 4, 2, 100, "L2: countries a day, home not counted") \
	S(countries_many, "limits", "countries_many", 6, 2, 100, "L2: countries a day for 70 points") \
	S(networks_day, "limits", "networks_day", 10, 1, 100, "L7: networks a day (/24, /48)") \
	S(addresses_day, "limits", "addresses_day", 20, 1, 23, "L7: addresses a day for twice the points") \
	S(failures, "limits", "failures", 10, 1, 10000, "L8: wrong passwords in an hour") \
	S(failure_networks, "limits", "failure_networks", 3, 1, 4, "L8: from so many networks") \
	S(spray_users, "limits", "spray_users", 20, 2, 60, "L9: users tried from one address in an hour") \
	S(recipients_hour, "limits", "recipients_hour", 400, 1, 1000000, "S1: recipients outside an hour") \
	S(recipients_hard, "limits", "recipients_hard", 500, 1, 1000000, "S1: the same, for 50 points more") \
	S(recipients_day, "limits", "recipients_day", 1000, 1, 1000000, "S2: recipients a day") \
	S(unknown_warn, "limits", "unknown_warn", 20, 1, 100000, "S3: nonexistent recipients an hour, 20 points") \
	S(unknown_hold, "limits", "unknown_hold", 50, 1, 100000, "S3: the same, 50 points") \
	S(unknown_lock, "limits", "unknown_lock", 100, 1, 100000, "S3: the same, 80 points") \
	S(bounce_percent, "limits", "bounce_percent", 30, 1, 100, "S4: percent of a day's recipients that do not exist") \
	S(bounce_least, "limits", "bounce_least", 20, 1, 100000, "S4: recipients a day before it counts") \
	S(novel_percent, "limits", "novel_percent", 80, 1, 100, "S5: percent of a day's recipients that are new") \
	S(novel_least, "limits", "novel_least", 30, 1, 100000, "S5: recipients a day before it counts") \
	S(sweep_least, "limits", "sweep_least", 50, 5, 100000, "S6: recipients in alphabetical order") \
	S(message_recipients, "limits", "message_recipients", 100, 1, 100000, "S7: recipients of one message") \
	S(replyto_least, "limits", "replyto_least", 10, 1, 100000, "F2: recipients") \
	S(same_least, "limits", "same_least", 50, 1, 100000, "C1: recipients of the same text") \
	S(link_least, "limits", "link_least", 10, 1, 100000, "C2: recipients") \
	S(verdicts, "limits", "verdicts", 2, 1, 1000, "C3: bad messages an hour")

enum skim_number {
#define S(ident, section, key, def, least, most, what) N_##ident,
	SKIM_NUMBERS(S)
#undef S
	N_COUNT
};
struct number_info {
	const char *section, *key;
	long def, least, most;
	const char *what;
};
extern const struct number_info number_info[N_COUNT];

#define CLASSES_MAX 32
#define CLASS_NAME_MAX 32
struct userclass {
	char name[CLASS_NAME_MAX + 1];
	long recipients_hour, recipients_day; /* 0: without limit */
	long message_recipients;
	int64_t until; /* seconds since 1970; afterwards the class counts as any other; INT64_MAX: for ever */
};

/* Plain limits of sending (skim/sendlimit.h).  [sendlimit] is for everybody, [sendlimit class NAME] and [sendlimit user NAME] for some. */
enum send_counter { SEND_MESSAGES_HOUR, SEND_RECIPIENTS_HOUR, SEND_MESSAGES_DAY, SEND_RECIPIENTS_DAY, SEND_COUNTERS };
struct sendlimit {
	long most[SEND_COUNTERS]; /* 0: no limit; in a list, -1: as for everybody */
};
#define SENDLIMITS_MAX 1000
struct sendlimit_for {
	bool user;          /* else a class */
	struct slice name;
	struct sendlimit limit;
	int64_t until;      /* as of a class */
};

enum net_kind { NET_TRUSTED, NET_WEBMAIL, NET_HOSTING, NET_MOBILE, NET_ANONYMOUS };
struct net {
	struct ip ip;
	unsigned bits; /* of 128 */
	enum net_kind kind;
};
struct asn {
	uint32_t number;
	enum net_kind kind;
};
#define TRAVEL_COUNTRIES_MAX 16
struct travel {
	struct slice user;
	country to[TRAVEL_COUNTRIES_MAX];
	int64_t until; /* seconds since 1970, end of that day UTC */
};
struct authorised {
	struct slice user, address; /* or @domain */
};
/* A growing list of the configuration; at most CONFIG_LIST_MAX entries each. */
#define CONFIG_LIST_MAX 100000
#define CONFIG_LIST(type) struct { type *at; size_t n, size; }

struct skim_config {
	long number[N_COUNT];
	struct rule_setting rule[R_COUNT];
	CONFIG_LIST(country) safe;              /* safe_countries; A1 and A2 (anonymous proxy, satellite) are never safe */
	CONFIG_LIST(struct slice) safe_users;
	struct slice test_user;
	CONFIG_LIST(struct pattern) patterns;   /* [envelope], [headers], [body] */
	CONFIG_LIST(struct userclass) classes;
	struct sendlimit sendlimit;             /* of everybody */
	CONFIG_LIST(struct sendlimit_for) sendlimits;
	CONFIG_LIST(struct net) nets;
	CONFIG_LIST(struct asn) asns;
	CONFIG_LIST(struct travel) travels;
	CONFIG_LIST(struct slice) bad_hosts;
	CONFIG_LIST(struct authorised) authorised;
	CONFIG_LIST(struct slice) canaries;     /* accounts that nobody owns; whoever logs in there is a thief */
	const struct control *control;          /* locals, me */
	struct arena memory;
};

/* Read control/skim (absent: the defaults alone) of C, which must outlive OUT.  0; E_SYNTAX or E_TOO_LONG with "DIR/skim:LINE: reason";
 * E_SYS.  With anything but 0 nothing is to be freed. */
MUST_CHECK int config_read(struct skim_config *out, const struct control *c, struct err *e);
void config_free(struct skim_config *cfg);
/* For the lint: read and free. */
MUST_CHECK int skim_check(const struct control *c, struct err *e);

static inline long config_number(const struct skim_config *c, enum skim_number n) { return c->number[n]; }
/* The settings of class NAME at time NOW; never NULL. */
const struct userclass *config_class(const struct skim_config *c, struct slice name, int64_t now);
/* What USER, of class CLASS, may send at NOW: what is said of the user, else of the class, else of everybody, for each counter apart. */
struct sendlimit config_sendlimit(const struct skim_config *c, struct slice user, struct slice class, int64_t now);
bool config_safe_country(const struct skim_config *c, country cc);
bool config_safe_user(const struct skim_config *c, struct slice user);
/* Is USER said to be in CC at NOW, by control/skim? */
bool config_travels(const struct skim_config *c, struct slice user, country cc, int64_t now);
/* Bits of 1 << net_kind for an address or the number of a network (0: unknown). */
unsigned config_net(const struct skim_config *c, const struct ip *ip, uint32_t asn);
bool config_canary(const struct skim_config *c, struct slice user);
bool config_bad_host(const struct skim_config *c, struct slice host);
bool config_authorised(const struct skim_config *c, struct slice user, struct slice address);
/* DOMAIN is one of this site's (locals; without that file the domain in me). */
bool config_local_domain(const struct skim_config *c, struct slice domain);
#endif
