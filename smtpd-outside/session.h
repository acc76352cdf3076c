/* One SMTP session: the state between commands, and what its modules say to each other.  Sequential, with absolute deadlines; memory
 * is bounded whatever the client sends. */
#ifndef POSTERN_SMTPD_SESSION_H
#define POSTERN_SMTPD_SESSION_H
#include "lib/content.h"
#include "smtpd-outside/handover.h"
#include "smtpd-outside/replies.h"
#include "smtpd-outside/smtpd_command.h"
#include "smtpd-outside/smtpd_settings.h"
#include "smtpd-outside/smtpd_slots.h"
#include "smtpd-outside/tls_client.h"

#define SESSION_ERRORS_MAX 20  /* then 421 */
#define SESSION_TARPIT_ERRORS 10 /* from here on each waits for tarpitdelay */
#define SESSION_JUNK_MAX 100   /* NOOP, RSET, VRFY, HELP, EHLO without a message between them; each further one is an error */
#define SESSION_IN_OCTETS (128 * 1024) /* pages that are not used cost nothing */
#define SESSION_OUT_OCTETS 2048
#define SESSION_REPLY_OCTETS 1024 /* the longest reply, with room */
#define SESSION_READ_OCTETS 4096       /* commands are read in this many at once */
#define SESSION_WRITE_MSEC 60000       /* for a client that does not read; or timeoutsmtpd, where that is less */
#define SESSION_SKIP_MAX (1 << 20)     /* octets of an overlong command line that are skipped */

enum session_state { /* bits, for the command table */
	STATE_NEW = 1,   /* no EHLO yet (or again, after STARTTLS) */
	STATE_IDLE = 2,
	STATE_MAIL = 4,  /* MAIL was accepted, no recipient yet */
	STATE_RCPT = 8,
	STATE_BDAT = 16, /* a chunk was taken: more of them, until LAST or RSET */
};

struct message; /* message.h */

/* A recipient's texts lie in .rcpt_text, behind those of the one before: address, ORCPT. */
struct session_recipient {
	uint32_t address_end, orcpt_end;
	char notify[4];
};

/* The client's connection with both its buffers. */
struct session_io {
	int fd;
	int64_t session_end; /* no deadline is later */
	long wait_msec;      /* for a command: control/timeoutsmtpd */
	int64_t write_msec;  /* for one buffer of replies */
	size_t start, end;   /* unread input */
	size_t out_n;
	size_t line_max;     /* octets of a command line with CR LF */
	bool dead;           /* the client is gone: write no more */
	char *in;            /* SESSION_IN_OCTETS */
	char out[SESSION_OUT_OCTETS];
};

/* Which addresses of the message in hand are not those of the account that logged in.  All false without one. */
struct session_claims {
	bool sender; /* of the envelope; the null sender is everybody's */
	bool from;   /* the From field has such an address, or cannot be read */
	bool unknown; /* whether it has depends on a group, and the directory does not answer */
};

struct session {
	struct smtpd_settings set;
	int next_port, directory_port, tls_port, skim_port, dns_port, token_fd; /* owned by the process */
	const struct space_page *space; /* lib/space.h; NULL: not known */
	struct slots_shared *slots;
	int slot;
	bool holds;                 /* octets are counted in the slot */
	/* the client */
	char client_ip[48], client_host[256], helo[256], tls[96], tls_exporter[TLS_EXPORTER_MAX + 1];
	struct ip local_ip;
	bool esmtp;
	/* submission */
	bool submission, tls_first; /* which listener: 587 or 465; 465 */
	unsigned auth_failures;
	char *user;                 /* who logged in; NULL: nobody */
	struct buf own;             /* the account's addresses, each with a LF behind it */
	char *member;               /* 'Y' or 'N' for each line of .set.sendas->group that was asked about, else 0; NULL: none was */
	struct slice auth_argument; /* of AUTH: kept out of .command, which is logged */
	/* the transaction */
	enum session_state state;
	char id[ID_LEN + 1];        /* "" outside a transaction */
	char sender[ADDRESS_MAX + 1];
	char envid[ENVID_MAX + 1], ret; /* RFC 3461, as in struct envelope */
	bool eightbit, smtputf8, require_tls;
	struct session_claims claims;
	struct message *message;    /* of which a chunk came */
	struct message *message_space; /* for it */
	struct buf rcpt_text;
	struct session_recipient *rcpt;
	size_t rcpts, rcpts_room;
	char sender_domain;         /* enum sender_domain; 0: not asked */
	bool refused_any;
	unsigned rcpts_named;       /* RCPT commands of this transaction */
	/* the command in hand */
	struct smtpd_command command;
	struct smtpd_path path;     /* of RCPT */
	/* counts */
	bool harvest;               /* too many unknown recipients: nothing more is told */
	unsigned commands, errors, junk, unknown, unknown_told, accepted, mails, messages;
	unsigned searches;          /* unknown recipients that are errors besides */
	unsigned long long octets;
	const char *why;            /* the session is to end, and why; NULL: it goes on */
	struct session_io io;       /* last, as few replies need the end of its buffer: a session without a message then has all else on one page */
};

/* session.c: the whole session, up to closing.  The caller fills in all up to .local_ip, .io.fd, .io.in and .message_space. */
void session_run(struct session *s);
/* A reply.  DETAIL is what stands for the table's "*". */
void session_reply(struct session *s, enum reply which, struct slice detail);
/* A reply that refuses: it is logged, and a code from 500 on counts as an error. */
void session_refuse(struct session *s, enum reply which, struct slice detail);
/* The same without counting an error. */
void session_decline(struct session *s, enum reply which, struct slice detail);
/* The same; the log, not the client, is told a REASON besides. */
void session_decline_because(struct session *s, enum reply which, struct slice detail, const char *reason);
/* End the session when the command in hand is done. */
void session_stop(struct session *s, const char *why);
/* Forget the transaction; the state is IDLE (or NEW, before EHLO). */
void session_reset(struct session *s);
/* The session holds OCTETS of a message now, and its recipients.  False: all sessions together would hold more than inflightbytes. */
MUST_CHECK bool session_hold(struct session *s, int64_t octets);
static inline struct slice session_sender(const struct session *s) { return slice_str(s->sender); }
struct slice session_rcpt(const struct session *s, size_t number);
struct slice session_orcpt(const struct session *s, size_t number);

/* session_io.c.  Deadlines are capped by session_end. */
/* FD, blocking, is the client's connection from now on; .wait_msec is set. */
void session_adopt(struct session_io *io, int fd);
/* Send all replies that wait. */
void session_flush(struct session_io *io);
void session_write(struct session_io *io, struct slice text);
/* An empty buffer over the space for replies, at least SESSION_REPLY_OCTETS; what was put there counts with .out_n += b.n. */
struct buf session_room(struct session_io *io);
/* The next command line, without CR LF; borrows from the buffer until the next call.  Waiting replies are sent before it waits.
 * 0; E_SYNTAX (line taken, has forbidden octets); E_TOO_LONG (skipped; over SESSION_SKIP_MAX .dead is not set but the rest is
 * unread: close); E_TIMEOUT; E_EOF (the client is gone); E_REFUSED (told to stop). */
MUST_CHECK int session_line(struct session_io *io, struct slice *line, int64_t deadline);
/* Read what comes, at most ROOM octets, to P; waiting replies are sent before it waits.  The count, 0 at end of file, E_TIMEOUT or E_EOF. */
ssize_t session_read(struct session_io *io, char *p, size_t room, int64_t deadline);
/* Has the client sent more than was read? */
bool session_input_waits(const struct session_io *io);
/* Close so that the client still gets the replies: stop sending, and swallow what is under way. */
void session_hang_up(struct session_io *io, bool input_left);

/* The commands, each called in a state that its row in session.c allows. */
void session_ehlo(struct session *s);    /* session_greet.c; HELO too */
void session_noop(struct session *s);
void session_help(struct session *s);
void session_vrfy(struct session *s);
void session_expn(struct session *s);
void session_rset(struct session *s);
void session_quit(struct session *s);
void session_starttls(struct session *s);
void session_foreign(struct session *s);
void session_unknown(struct session *s);
void session_mail(struct session *s);    /* session_mail.c */
void session_rcpt_to(struct session *s); /* session_rcpt.c */
void session_data(struct session *s);    /* session_data.c */
void session_bdat(struct session *s);
void session_auth(struct session *s);    /* session_auth.c */
/* Tell skim of recipients that do not exist, as far as it has not been told. */
void session_tell_unknown(struct session *s);
bool session_offers_auth(const struct session *s);
/* Bits of enum auth_mechanism: what this session offers. */
unsigned session_mechanisms(const struct session *s);
/* Hand the client's socket to postern-tls and go on inside TLS; on failure the session is stopped and nothing more is written. */
void session_inside_tls(struct session *s);
/* message.c: forget what came of a message. */
void session_drop_message(struct session *s);
/* session_mail.c: the reply for a path of MAIL or RCPT that is not taken. */
void session_refuse_path(struct session *s, enum path_fault fault);
/* <postmaster> and postmaster@me are postmaster of this site; [ip] of the socket that the client came to is this site (control_home()). */
void session_complete(struct session *s, struct addr *a);
/* session.c: no line came, or one that was too long (answered with WHICH). */
void session_no_line(struct session *s, int r);
void session_line_too_long(struct session *s, enum reply which);

/* session_sender.c: what the sender's domain is refused with, for any recipient; REPLY_COUNT: it is not.  May ask postern-dns, once for a message. */
enum reply session_sender_refusal(struct session *s);

/* session_claims.c: may who logged in use ADDRESS as its own?  May ask the directory about groups, each once in a session. */
enum owns { OWNS_NO, OWNS_YES, OWNS_UNKNOWN /* the directory does not answer */ };
enum owns session_owns(struct session *s, struct slice address);
/* Fills and logs .claims from the envelope and HEADER.  Who is not known to be foreign is not called so. */
void session_compare(struct session *s, struct slice header);

/* session_job.c: HEADER (with its blank line) and BODY (taken) go to the next stage; the client gets its
 * answer.  OCTETS is the message's size as received. */
void session_job(struct session *s, struct slice header, struct content *body, unsigned long long octets);
/* The Received field (RFC 5321 4.4) for the message in hand. */
void session_received(struct buf *b, const struct session *s, int64_t wall_usec);
#endif
