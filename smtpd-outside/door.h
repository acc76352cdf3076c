/* postern-door inside: what its modules share.  One process, one thread, one epoll loop, nothing blocks.
 *
 *	accept ─▶ PROXY header? ─▶ its name? ─▶ rule, limits ─┬▶ greet delay beside DNS lists ─▶ ready ─▶ handed over to smtpd: a session
 *	                                                      ├▶ refused with one line and closed
 *	                                                      └▶ blocked: a small conversation that refuses everything (door_talk.c)
 *
 * A struct client lives from accept to the end of its session; while it waits it costs its own octets, one descriptor, and what the
 * kernel keeps of a socket. */
#ifndef POSTERN_SMTPD_DOOR_H
#define POSTERN_SMTPD_DOOR_H
#include "lib/command.h"
#include "lib/log.h"
#include "smtpd-outside/dns_edge.h"
#include "smtpd-outside/door_blocks.h"
#include "smtpd-outside/handover.h"
#include "smtpd-outside/limits.h"
#include "smtpd-outside/listen.h"
#include "smtpd-outside/rates.h"
#include "smtpd-outside/tcprules.h"

/* Every descriptor in the epoll set has one of these behind it, as the first member of what it belongs to. */
enum watch_kind { WATCH_CLIENT, WATCH_LISTEN, WATCH_SMTPD, WATCH_LIFELINE, WATCH_COMMAND, WATCH_CALLER, WATCH_DNS, WATCH_BLOCKS };
struct watch {
	enum watch_kind kind;
	int fd;
	bool added;          /* to the epoll set */
};

enum client_state {
	CLIENT_PROXY,    /* its PROXY header is awaited */
	CLIENT_NAME,     /* its name is awaited: rules go by names */
	CLIENT_GREET,    /* greet delay, and what DNS lists say is awaited */
	CLIENT_READY,    /* waits for a session, in the list of those ready */
	CLIENT_BLOCKED,  /* talks to the door, which refuses */
	CLIENT_LINGER,   /* was answered; what it still sends is read away, so that the answer is not lost to a reset */
	CLIENT_SESSION,  /* handed over: .fd is the door's end of the token */
};
struct client {
	struct watch watch;
	enum client_state state;
	bool counted;                /* in door->limits */
	bool local_known;            /* local address given by a PROXY header */
	bool tolerated;              /* may talk before the greeting */
	bool greeted;                /* the greet delay is over */
	bool asked, unsent;          /* postern-dns is asked; the question waits to be sent */
	bool answered;               /* what it said is in the next five */
	uint8_t want;                /* bits of dns_want */
	uint8_t failed;              /* lists that gave no answer */
	uint16_t grey_sec;           /* it should come back then; 0: not */
	uint16_t reply;              /* of the lists' refusal; 0: none */
	uint16_t client_port, local_port;
	unsigned listener;           /* number in door->listener */
	unsigned heap_at;            /* place in the timers, from 1; 0: no deadline */
	int64_t deadline;
	struct ip ip, local;
	struct client *prev, *next;  /* list of those ready; of questions unsent */
	int64_t came;
	int64_t question, dns_deadline;
	char *host;                  /* its name, NULL: none or not asked for */
	char *refusal;               /* the lists' text */
	struct talk *talk;           /* CLIENT_BLOCKED */
};

/* What control files say for the lane: tcp.smtp, or in the lane of submission tcp.submission; replaced as a whole on reload. */
struct door_settings {
	struct tcprules *rules; /* NULL: no such file */
	long long incoming, waiting, maxperip, maxpernet, greetdelay, dnsbltimeout;
	struct rate_limits rates;
	bool lists, failclosed, greylist; /* control/dnsbl is there; dnsblfailclosed; greylist is on */
	bool names;                       /* each client's name is wanted (dns_wanted.h) */
	char greeting[256];
};
/* Read them out of C.  0, or with OUT untouched E_SYNTAX naming file, line and reason; E_SYS. */
MUST_CHECK int door_settings_read(struct door_settings *out, const struct control *c, enum lane lane, struct err *e);
void door_settings_free(struct door_settings *s);

struct door_listener {
	struct watch watch;
	struct listen_line line;
};
struct door_asked {
	struct client *client; /* NULL: free */
	unsigned next_free;    /* number + 1 */
};
struct door_dns {
	struct watch watch;    /* the connection; .fd -1: none */
	int port;              /* PORT_DNS, -1: nobody to ask */
	struct door_asked *slot;
	unsigned room, free;   /* .free: number + 1 */
	int64_t serial;
	struct client *first, *last; /* questions unsent */
	bool readable;
	int64_t again, logged;
};
struct door {
	enum lane lane;
	int epoll_fd;
	int reserve_fd;              /* given up for a moment when descriptors run out, to answer and close one client */
	struct watch smtpd, lifeline, command;
	struct door_listener listener[LISTEN_MAX];
	size_t listeners;
	struct door_settings set;
	struct limits *limits;
	struct rates *rates;         /* NULL until there is a limit */
	struct door_dns dns;
	struct watch block_orders;   /* .fd -1: nobody sends any */
	struct door_blocks *blocks;
	unsigned waiting, sessions;  /* clients that are no session yet; sessions */
	unsigned clients_most;       /* both together, by the descriptors there are */
	struct client *first, *last; /* those ready */
	bool smtpd_full;
	int64_t smtpd_again;         /* try again then, whatever epoll says; DEADLINE_NEVER: no trouble */
	int64_t accept_again;        /* listening is suspended until then (no descriptors) */
	bool stopping;
	struct client **heap;        /* timers, from 1 */
	unsigned heap_count, heap_room;
	int64_t now;                 /* clock of this turn of the loop */
	int64_t log_second, full_logged, fault_logged;
	unsigned log_count, log_left_out;
};

/* door.c: set up, the loop, stopping. */
MUST_CHECK int door_open(struct door *d, const struct control *c, enum lane lane, int smtpd_fd, int dns_fd, int command_fd, int lifeline_fd, int first_listen_fd,
	unsigned listen_count, struct err *e);
/* After door_open(): FD is where postern-respond says whom to turn away; -1: nowhere.  0 or E_SYS. */
MUST_CHECK int door_take_blocks(struct door *d, int fd, struct err *e);
void door_run(struct door *d);
/* 0 or E_SYS; EVENTS as for epoll_ctl. */
MUST_CHECK int door_watch(struct door *d, struct watch *w, uint32_t events);
void door_unwatch(struct door *d, struct watch *w);
/* May one more line about a refused client be logged in this second? */
bool door_may_log(struct door *d);

/* door_timer.c */
MUST_CHECK int door_timer_set(struct door *d, struct client *c, int64_t deadline);
void door_timer_clear(struct door *d, struct client *c);
/* The client whose deadline has passed, or NULL; its timer is cleared. */
struct client *door_timer_due(struct door *d);
int64_t door_timer_next(const struct door *d);

/* door_client.c: coming, waiting, refusing, going. */
struct client *door_client_new(struct door *d, int fd, unsigned listener);
void door_client_close(struct door *d, struct client *c);
/* The client of a listener where TLS comes first: it speaks first, and no clear line means anything to it. */
bool door_client_tls_first(const struct door *d, const struct client *c);
/* Send one line without waiting; false when it did not go out whole. */
bool door_say(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same as the last of all: it goes in one segment with the end of what is sent. */
void door_say_last(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Say it, then close. */
void door_client_refuse(struct door *d, struct client *c, const char *line);
/* Say it, read away what comes for a moment, then close. */
void door_client_linger(struct door *d, struct client *c, const char *line);
/* Go on waiting, until DEADLINE (the end of the greet delay, or of the patience with DNS); refused where there is no memory for that. */
void door_client_wait(struct door *d, struct client *c, int64_t deadline);
/* Log EVENT with its address and KEY (NULL: nothing more), unless this second had enough lines. */
void door_client_log(struct door *d, const struct client *c, enum log_event event, const char *key, const char *value);
/* Something happened on it, or its deadline passed. */
void door_client_event(struct door *d, struct client *c, uint32_t events);
void door_client_timeout(struct door *d, struct client *c);

/* door_admit.c: may it come in?  Each call may end it: C is not to be used after door_admit() and door_admit_answered(). */
/* Its address is known: rule, limits, delay. */
void door_admit(struct door *d, struct client *c);
/* postern-dns has answered, or not in time (A NULL). */
void door_admit_answered(struct door *d, struct client *c, const struct dns_answer *a);
/* It counts against no limit any more. */
void door_admit_uncount(struct door *d, struct client *c);
/* The rule that counts for it, as far as it is known by now. */
const struct tcprule *door_admit_rule(const struct door *d, const struct client *c);
/* The limits over time that count where RULE does; false: there are none.  D->rates is there then. */
bool door_admit_rates(struct rate_limits *out, struct door *d, const struct tcprule *rule);

/* door_accept.c */
void door_accept(struct door *d, struct door_listener *l);
void door_accept_resume(struct door *d);
void door_proxy_event(struct door *d, struct client *c, uint32_t events);

/* door_session.c: handing over, counting sessions. */
void door_ready(struct door *d, struct client *c);
void door_ready_remove(struct door *d, struct client *c);
void door_hand_over_ready(struct door *d);
/* The session is over: what it reported counts for its address and network; C is closed. */
void door_session_end(struct door *d, struct client *c);

/* door_talk.c: the conversation with a blocked client.  TEXT is RBLSMTPD's value; or REPLY (451, 5xx) and what is said behind it. */
void door_talk_begin(struct door *d, struct client *c, struct slice text);
void door_talk_refuse(struct door *d, struct client *c, int reply, struct slice text);
void door_talk_event(struct door *d, struct client *c);
void door_talk_end(struct door *d, struct client *c);

/* door_dns.c.  Ask about C (bits of dns_want); false: there is nobody to ask. */
bool door_dns_ask(struct door *d, struct client *c, unsigned want);
/* C waits for no answer any more. */
void door_dns_forget(struct door *d, struct client *c);
/* Send what waits; when to try that again; something happened on the connection. */
void door_dns_send(struct door *d);
int64_t door_dns_again(const struct door *d);
void door_dns_event(struct door *d);

/* door_command.c: `status` on STATE/run/door.sock. */
void door_command_accept(struct door *d);
void door_command_event(struct door *d, struct watch *w);
#endif
