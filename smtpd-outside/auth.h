/* The exchange of AUTH as a table of states: PLAIN (RFC 4616), LOGIN (draft-murchison-sasl-login), SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802,
 * RFC 7677; bound by tls-exporter, RFC 9266), each with and without initial response (RFC 4954 4).  No input or output, no memory but its own.
 *
 *	state      input                          next       step
 *	-          PLAIN                          PLAIN      AUTH_ASK ""
 *	-          LOGIN                          USER       AUTH_ASK "Username:"
 *	-          SCRAM-SHA-256, …-PLUS          FIRST      AUTH_ASK ""
 *	-          any of them with a text or =   as if that had been the answer
 *	PLAIN      NUL user NUL password          DONE       AUTH_CHECK
 *	USER       user                           PASSWORD   AUTH_ASK "Password:"
 *	PASSWORD   password                       DONE       AUTH_CHECK
 *	FIRST      client-first-message           SALTING    AUTH_SALT
 *	SALTING    auth_salted()                  FINAL      AUTH_ASK server-first-message
 *	FINAL      client-final-message           PROVING    AUTH_PROVE
 *	PROVING    auth_proved()                  LAST       AUTH_ASK server-final-message
 *	LAST       nothing                        DONE       AUTH_CONFIRMED
 *	any        what nobody can log in with    DONE       AUTH_CHECK, with .impossible
 *	any        "*"                            DONE       AUTH_CANCELLED
 *	any        anything else                  DONE       a fault
 *
 * A further mechanism is a row of the table in auth.c, its states above, and its question to postern-directory (directory/query.h); postern-smtpd(8),
 * "Further mechanisms", follows OAUTHBEARER through all three. */
#ifndef POSTERN_SMTPD_AUTH_H
#define POSTERN_SMTPD_AUTH_H
#include "lib/buf.h"
#include "smtpd-outside/scram.h"

#define AUTH_LINE_MAX 12288 /* octets with CR LF, RFC 4954 4.3 */
#define AUTH_USER_MAX 320   /* an address at most */

/* Bits: what a site offers (control/authmechanisms). */
enum auth_mechanism { AUTH_PLAIN = 1, AUTH_LOGIN = 2, AUTH_SCRAM = 4, AUTH_SCRAM_PLUS = 8 };

enum auth_step {
	AUTH_ASK,          /* 334 with .challenge, in base64, and wait for a line */
	AUTH_SALT,         /* ask the directory for .salt, with .user and .first.nonce; then auth_salted() */
	AUTH_PROVE,        /* ask it about .final; if the proof is right, auth_proved() */
	/* the exchange is over: */
	AUTH_CHECK,        /* .user and .password are there */
	AUTH_CONFIRMED,    /* the proof was right, and the client believes the server's */
	AUTH_CANCELLED,
	AUTH_SYNTAX,       /* no mechanism, or words behind the initial response */
	AUTH_MECHANISM,    /* one that is not offered */
	AUTH_BASE64,       /* not base64, or not what the mechanism sends */
};

struct auth {
	enum { AUTH_DONE, AUTH_STATE_PLAIN, AUTH_USER, AUTH_PASSWORD, AUTH_FIRST, AUTH_SALTING, AUTH_FINAL, AUTH_PROVING, AUTH_LAST } state;
	const char *mechanism;        /* as the registry writes it */
	struct slice exporter;        /* set by the caller before auth_begin(): what -PLUS is bound to, in base64; empty: nothing, and it is not offered */
	unsigned offered, chosen;     /* mechanisms */
	struct slice user, password;  /* decoded; borrow from .text */
	const char *impossible;       /* AUTH_CHECK: nobody can log in with these, and why: refuse without asking; else NULL */
	struct slice challenge;
	struct scram_first first;     /* borrow from .text */
	struct scram_final final;
	struct directory_salt salt;   /* filled in by the caller */
	char server_final[DIRECTORY_TEXT_MAX];
	size_t used;
	char text[AUTH_LINE_MAX];
};
/* ARGUMENT is what follows AUTH; OFFERED bits of enum auth_mechanism.  AUTH_SCRAM_PLUS among them needs .exporter. */
enum auth_step auth_begin(struct auth *a, unsigned offered, struct slice argument);
/* LINE is the client's answer to a challenge, without CR LF. */
enum auth_step auth_line(struct auth *a, struct slice line);
/* .salt is there. */
enum auth_step auth_salted(struct auth *a);
/* The proof is right; SERVER_FINAL is what the directory said. */
enum auth_step auth_proved(struct auth *a, const char *server_final);
/* Forget it all; the password does not stay in memory. */
void auth_wipe(struct auth *a);

/* control/authmechanisms: names with blanks between them.  0, or E_SYNTAX with the reason: none, or one that is not known. */
MUST_CHECK int auth_mechanisms_parse(unsigned *offered, struct slice text, struct err *e);
/* " PLAIN LOGIN": the keyword's argument in EHLO. */
void auth_mechanisms_list(struct buf *b, unsigned offered);
#endif
