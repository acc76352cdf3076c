/* The exchange of AUTH as a table of states: PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login), each with and without initial response
 * (RFC 4954 4).  No input or output, no memory but its own.
 *
 *	state      input                          next       step
 *	-          PLAIN                          PLAIN      AUTH_ASK
 *	-          PLAIN text, PLAIN =            DONE       as in PLAIN
 *	-          LOGIN                          USER       AUTH_ASK_USER
 *	-          LOGIN text, LOGIN =            PASSWORD   AUTH_ASK_PASSWORD
 *	PLAIN      NUL user NUL password          DONE       AUTH_CHECK
 *	USER       user                           PASSWORD   AUTH_ASK_PASSWORD
 *	PASSWORD   password                       DONE       AUTH_CHECK
 *	any        "*"                            DONE       AUTH_CANCELLED
 *	any        anything else                  DONE       a fault
 */
#ifndef POSTERN_SMTPD_AUTH_H
#define POSTERN_SMTPD_AUTH_H
#include "lib/slice.h"

#define AUTH_LINE_MAX 12288 /* octets with CR LF, RFC 4954 4.3 */
#define AUTH_USER_MAX 320   /* an address at most */

enum auth_step {
	AUTH_ASK,          /* 334 and wait for a line */
	AUTH_ASK_USER,
	AUTH_ASK_PASSWORD,
	AUTH_CHECK,        /* .user and .password are there */
	/* the exchange is over: */
	AUTH_CANCELLED,
	AUTH_SYNTAX,       /* no mechanism, or words behind the initial response */
	AUTH_MECHANISM,    /* neither PLAIN nor LOGIN */
	AUTH_BASE64,       /* not base64, or not what the mechanism sends */
};

struct auth {
	enum { AUTH_DONE, AUTH_PLAIN, AUTH_USER, AUTH_PASSWORD } state;
	const char *mechanism;        /* "PLAIN", "LOGIN" */
	struct slice user, password;  /* decoded; borrow from .text */
	bool impossible;              /* AUTH_CHECK: nobody can have these: refuse without asking (empty, with NUL, for somebody else, too long) */
	size_t used;
	char text[AUTH_LINE_MAX];
};
/* ARGUMENT is what follows AUTH. */
enum auth_step auth_begin(struct auth *a, struct slice argument);
/* LINE is the client's answer to a challenge, without CR LF. */
enum auth_step auth_line(struct auth *a, struct slice line);
/* Forget it all; the password does not stay in memory. */
void auth_wipe(struct auth *a);
#endif
