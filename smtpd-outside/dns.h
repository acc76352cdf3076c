/* postern-dns inside: what its modules share.  One process, one poll loop and libunbound's own thread; nothing blocks but a door that reads
 * none of its answers, for a second.
 *
 *	question ─▶ remembered? ─▶ all lists at once, client's name beside them ─▶ refused: one TXT record ─▶ answer
 *
 * Each question has one deadline for all that is asked for it; what came until then counts. */
#ifndef POSTERN_SMTPD_DNS_H
#define POSTERN_SMTPD_DNS_H
#include "deliver/resolve.h"
#include "lib/ask.h"
#include "lib/turns.h"
#include "smtpd-outside/dns_cache.h"
#include "smtpd-outside/dns_edge.h"
#include "smtpd-outside/dnsbl.h"
#include "smtpd-outside/greylist.h"

#define DNS_DOORS_MAX 8          /* connections of doors */
#define DNS_JOBS_MAX 50000       /* questions under way */
#define DNS_QUERIES_MAX 512      /* DNS questions under way; further ones wait their turn */
#define DNS_LEFT_MAX 256         /* that nobody waits for any more: with so many no name of a client is asked for */
#define DNS_SILENT_AFTER 20      /* a list that was silent so often in a row … */
#define DNS_SILENT_MSEC 30000    /* … is not waited for so long */
#define DNS_SENDERS_MAX 2048     /* questions of sessions under way */
#define DNS_SENDER_QUERIES_MAX 256 /* DNS questions under way for them, beside DNS_QUERIES_MAX */
#define DNS_SENDER_LEFT_MAX 512  /* with so many that nobody waits for any more the next domain waits */
#define DNS_SOCKETS 1792         /* of libunbound: as many as all these, and some to spare */
#define DNS_SENDER_MSEC 15000    /* for one of them */
#define DNS_SENDER_LEAST_MSEC 5000 /* with less left when its turn comes it is not asked any more */
#define DNS_NAMES_MAX 3          /* names of one client that are tried */

struct dns;
struct dns_ask;              /* dns_ask.c: a question to libunbound */
struct dns_asks {
	struct dns_ask *first;
	unsigned open, left;     /* somebody waits for the answer; nobody does, but libunbound has it still */
};
struct dns_job;
enum dns_kind { ASK_LIST, ASK_TEXT, ASK_PTR, ASK_FORWARD };
struct dns_query {
	struct dns_job *job;
	enum dns_kind kind;
	unsigned zone;
	struct dns_ask *ask;     /* NULL: not open */
};
struct dns_job {
	struct turn turn;        /* first: lib/turns.h */
	int door_fd;             /* -1: nobody waits any more */
	struct dns_question q;   /* without DNS_LISTS where what they said is remembered: .known_score */
	long long known_score;
	bool started, texted, naming;
	struct dnsbl_score score;
	int ttl_sec;             /* least of all list answers */
	unsigned open;           /* queries under way */
	char text[DNS_TEXT_MAX + 1];
	char *name[DNS_NAMES_MAX]; /* that the address claims to have */
	unsigned names, name_at;
	bool confirmed;          /* name[name_at] leads back to the address */
	struct dns_query text_query, host_query;
	struct dns_query list[]; /* of each zone */
};
struct dns_zone {
	unsigned silent;         /* in a row */
	int64_t skip_until;
};
struct dns_senders {
	struct turns turns;      /* of dns_sender.c */
	struct dns_asks asks;
};
struct dns {
	struct resolver resolver; /* .ctx NULL: not opened yet */
	struct dnsbl lists;
	struct dns_zone zone[DNSBL_ZONES_MAX];
	struct dns_cache *cache;
	int64_t timeout_msec;
	struct greylist *greylist; /* NULL: no file, nobody waits */
	unsigned grey_sec;       /* 0: off */
	int in_fd, feed_fd, lifeline_fd; /* doors; sessions */
	int door[DNS_DOORS_MAX];
	unsigned doors;
	struct turns jobs;       /* of dns_job.c */
	struct dns_asks asks;
	struct dns_senders senders;
	unsigned peak;           /* of .jobs.count, since memory was given back */
};

/* dns.c: settings out of C; then the loop until told to stop.  0, E_SYNTAX, E_SYS. */
MUST_CHECK int dns_open(struct dns *d, const struct control *c, struct greylist *greylist, int in_fd, int feed_fd, int lifeline_fd, struct err *e);
void dns_run(struct dns *d);
/* Send an answer to a door; one that does not read is closed. */
void dns_send(struct dns *d, int door_fd, const struct dns_answer *a);
void dns_close_door(struct dns *d, int door_fd);

/* dns_ask.c */
/* The answer to what was asked for ARG; R is NULL where there is none, and freed afterwards. */
typedef void dns_heard(struct dns *d, void *arg, const struct ub_result *r);
/* Ask; HEARD is called once, unless the question is left before.  NULL: it cannot be asked.  The ask is libunbound's until then. */
struct dns_ask *dns_ask(struct dns *d, struct dns_asks *of, const char *name, int type, dns_heard *heard, void *arg);
/* Nobody waits for A any more. */
void dns_leave(struct dns_ask *a);
/* The context is gone, and with it all that was asked. */
void dns_asks_free(struct dns_asks *of);

/* dns_job.c */
void dns_job_begin(struct dns *d, int door_fd, const struct dns_question *q);
/* Start what waits for its turn, end what is over its deadline. */
void dns_jobs_tick(struct dns *d, int64_t now);
/* That door is closed: nobody waits for what it asked. */
void dns_jobs_forget(struct dns *d, int door_fd);
/* All under way are answered with what is known. */
void dns_jobs_flush(struct dns *d);

/* dns_sender.c: the same for questions of sessions (dns_edge.h).  Q is taken. */
void dns_sender_begin(struct dns *d, struct question *q, struct slice domain);
void dns_senders_tick(struct dns *d, int64_t now);
int64_t dns_senders_next(const struct dns *d);
/* All under way are to be asked again: the resolver is about to be another. */
void dns_senders_again(struct dns *d);
#endif
