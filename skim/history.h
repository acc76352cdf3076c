/* What is remembered of each user, in memory: recent addresses and places, what was sent, what has been usual, points that fade.  All of it is bounded
 * (about 1 KiB a user, 6 KiB at most); where room is short the oldest goes. */
#ifndef POSTERN_SKIM_HISTORY_H
#define POSTERN_SKIM_HISTORY_H
#include "skim/event.h"
#include "skim/geo.h"

#define LOGINS_MAX 24   /* addresses of a user */
#define SENDS_MAX 160   /* entries of what a user sent; older ones are joined */
#define PLACES_MAX 12   /* usual countries and networks */
#define CLIENTS_MAX 8
#define FROMS_MAX 8
#define TEXTS_MAX 8
#define HOSTS_MAX 8
#define REPLIES_MAX 4
#define DAY 86400
#define USUAL_DAYS 3    /* a place used on so many days before is usual */

struct login {
	int64_t time, first; /* last and first use */
	struct ip ip;
	country country;
	uint16_t radius_km;
	int16_t latitude, longitude;
	uint32_t asn;
	bool located;
	unsigned char kinds;
};
struct known_place {
	country country;
	uint16_t days, last_day; /* on so many days, the last of them (since 1970) */
	uint32_t asn;
};
struct known { /* a text, by its hash */
	uint32_t hash;
	uint16_t days, last_day;
};
struct sent {
	int64_t time;
	uint32_t recipients, external, unknown, fresh; /* fresh: never written to before */
	uint16_t bad; /* messages with a bad verdict */
};
struct text_seen { /* one body or subject */
	int64_t time;
	uint64_t hash;
	uint32_t recipients;
};
/* One rule that was hit: its points then, and what to tell people. */
struct hit {
	int64_t time;
	int points;
	long a, b;
	country from, to;
	char text[CITY_MAX];
};
struct hits {
	struct hit of[R_COUNT];
};
/* What an operator said of a user: stays until it is taken back. */
#define MARK_WHY_MAX 200
struct mark {
	int64_t time;
	uint32_t uid;
	char why[MARK_WHY_MAX + 1];
};
/* What a user sent, for the plain limits (skim/sendlimit.h): of step S (time / seconds of a step) at [S % steps], messages and recipients apart. */
#define HOUR_STEPS 13
#define DAY_STEPS 25
struct send_counts {
	int64_t last[2]; /* the newest step, of hour and day; 0: none */
	uint32_t hour[2][HOUR_STEPS], day[2][DAY_STEPS];
};
enum user_state { USER_FREE, USER_FLAGGED, USER_HELD, USER_STOPPED, USER_LOCKED, USER_RECOVERING };

struct user {
	int64_t first, last;    /* first and last event */
	uint32_t logins_total;
	uint32_t hash;
	uint32_t dirty;         /* place + 1 among those to be kept */
	/* failures since .failing */
	int64_t failing;
	uint32_t failures, failure_nets[4];
	/* flag */
	enum user_state state;
	int64_t since;          /* of the state */
	int64_t recovering_until;
	char code[10];          /* of the incident */
	bool given_back;        /* that incident is over: the next one is another */
	/* usual */
	struct known_place place[PLACES_MAX];
	struct known client[CLIENTS_MAX], from[FROMS_MAX], host[HOSTS_MAX], reply_to[REPLIES_MAX];
	uint16_t hours[24];
	uint32_t usual_day[2];  /* the two largest days of recipients before today, fading */
	uint32_t today, today_day;
	/* reports of others about the user's mail, since .reported */
	int64_t reported;
	uint32_t reports;
	char class[CLASS_NAME_MAX + 1]; /* as the directory says; "" unknown */
	/* declared by postern skim travel */
	country travel[TRAVEL_COUNTRIES_MAX];
	int64_t travel_until;
	/* grown as needed */
	struct login *login;
	struct sent *sent;
	struct text_seen *text;
	struct hits *hits;      /* NULL: none */
	struct send_counts *counts; /* NULL: none, or nothing limits the user */
	struct mark *mark;      /* NULL: none; else mail is held whatever the score */
	uint16_t logins, logins_room, sents, sents_room, texts;
	uint16_t name_n;
	char name[];            /* in lower case, no NUL at the end */
};

struct history;
/* For at most USERS_MOST users.  NULL without memory. */
struct history *history_make(size_t users_most);
void history_free(struct history *h);
/* The user of that name (ASCII case does not count), made if MAKE; NULL: not known, no name, longer than ADDRESS_MAX, no memory.  When the table is full the
 * user with the oldest event among some without points goes. */
struct user *history_user(struct history *h, struct slice name, bool make);
/* U is in use and stays, whoever is made; NULL: nobody. */
void history_pin(struct history *h, const struct user *u);
size_t history_count(const struct history *h);
/* Walk over all, from *AT = 0. */
struct user *history_each(const struct history *h, size_t *at);
/* Put a user as read from a snapshot; takes it over.  False: no room, or the name is there. */
bool history_put(struct history *h, struct user *u);
void history_user_free(struct user *u);

/* Things used by everybody: hosts in links, countries and networks, addresses from which passwords are tried. */
bool history_host_known(struct history *h, struct slice host, const struct user *u, int64_t now); /* by 2 others before; notes it */
bool history_place_common(struct history *h, country cc, uint32_t asn, const struct user *u);     /* by 5 others; notes it */
country history_home(struct history *h, country cc); /* counts one login from CC (0: none); the country of most logins */
/* Notes a failed (or successful) login; how many users were tried and failed from there in the hour. */
unsigned history_spray(struct history *h, const struct ip *ip, const struct user *u, struct slice name, bool failed, int64_t now);

/* A canary account was used from IP; true: not within the hour before. */
bool history_canary_note(struct history *h, const struct ip *ip, int64_t now);
bool history_canary_used(struct history *h, const struct ip *ip, int64_t since);

/* Notes that U wrote to ADDRESS; was it the first time?  A table of so many pairs for all users; what falls out of it is new again. */
bool history_new_recipient(struct history *h, const struct user *u, struct slice address);
/* Keeping: what was changed since it was taken the last time (skim/skimdb.h). */
#define HISTORY_PAGE 1024 /* octets; of what all users share */
struct history_misc {
	uint64_t key;            /* of the tables' hashes */
	int64_t clock, lock_day, locks, pruned; /* of the engine; the day of the last pruning */
	country home;
};
/* Where a process gets what it has not read yet; NULL: all there is was read at start. */
struct history_source {
	struct user *(*user)(void *arg, struct slice name);                                          /* fresh; NULL: none */
	void (*page)(void *arg, struct history *h, const char *region, long long number);            /* calls history_page_put() where there is one */
	void *arg;
};
void history_keep(struct history *h, const struct history_source *source);
void history_touch(struct history *h, struct user *u);     /* U was changed */
struct user *history_take_touched(struct history *h);      /* one of them; NULL: none left */
struct buf *history_gone(struct history *h);               /* names of those that went, as netstrings; the caller empties it */
bool history_take_page(struct history *h, const char **region, long long *number, struct slice *data);
bool history_changed(const struct history *h);
bool history_page_put(struct history *h, struct slice region, long long number, struct slice data); /* false: not of this build's layout */
struct history_misc *history_misc(struct history *h, bool changing);
/* Users whose last event was before then, and who are free, go; how many. */
size_t history_forget(struct history *h, int64_t before);

uint32_t history_hash(struct slice s); /* lower-case ASCII */
uint64_t history_hash64(struct slice s);

/* Notes an address; the entry of it. */
struct login *user_note_login(struct user *u, const struct ip *ip, const struct place *p, int64_t now);
/* The latest use of another address than IP before now; NULL: none. */
const struct login *user_last_login(const struct user *u, const struct ip *ip, int64_t now);
/* On how many days was this place used, today not counted. */
unsigned user_place_days(const struct user *u, country cc, uint32_t asn, int64_t now);
void user_note_place(struct user *u, country cc, uint32_t asn, int64_t now);
bool user_knows_country(const struct user *u, country cc, int64_t now); /* before today */
bool user_knows_asn(const struct user *u, uint32_t asn, int64_t now);
unsigned user_known_days(const struct known *list, size_t n, uint32_t hash, int64_t now);
void user_note_known(struct known *list, size_t n, uint32_t hash, int64_t now);
void user_note_sent(struct user *u, const struct sent *s);
/* Sum of what was sent after NOW - SECONDS. */
struct sent user_sent(const struct user *u, int64_t now, int64_t seconds);
uint32_t user_note_text(struct user *u, uint64_t hash, uint32_t recipients, int64_t now); /* recipients of that text within a day */
/* The user's points at NOW: all, and by family; rules by RULES (may be NULL: those of the table). */
double user_score(const struct user *u, const struct rule_setting *rules, int64_t now, double by_family[FAMILY_COUNT]);
double hit_points(const struct hit *hit, const struct rule_setting *rule, int64_t now);
#endif
