/* SMTP command lines: verbs, paths and parameters.  RFC 5321 4.1.1, 4.1.2; RFC 1870 (SIZE), 3030 (BDAT), 3461 (RET, ENVID, NOTIFY, ORCPT), 6152
 * (BODY), 6531 (SMTPUTF8), 8689 (REQUIRETLS). */
#ifndef POSTERN_SMTPD_COMMAND_H
#define POSTERN_SMTPD_COMMAND_H
#include "lib/addr.h"

#define COMMAND_LINE_MAX 2048 /* octets with CR LF: RFC 5321 4.5.3.1.4 and room for all parameters (AUTH and ORCPT have 500 each) */
#define ENVID_MAX 100         /* RFC 3461 4.4 */
#define ORCPT_MAX 500         /* RFC 3461 4.2 */
#define BDAT_OCTETS_MAX (1ll << 62)

enum verb {
	VERB_EHLO, VERB_HELO, VERB_MAIL, VERB_RCPT, VERB_DATA, VERB_RSET, VERB_NOOP, VERB_VRFY, VERB_HELP, VERB_QUIT, VERB_STARTTLS, VERB_AUTH,
	VERB_BDAT, VERB_EXPN,
	VERB_FOREIGN, /* a word of another protocol: somebody makes a browser talk to us */
	VERB_UNKNOWN,
	VERB_COUNT,
};

struct smtpd_command {
	enum verb verb;
	struct slice word;     /* as given */
	struct slice argument; /* without blanks at both ends */
};
/* LINE is without CR LF.  Never fails: what is no verb is VERB_UNKNOWN. */
void smtpd_command_parse(struct smtpd_command *out, struct slice line);
const char *smtpd_command_name(enum verb verb);

/* What MAIL and RCPT say.  Slices borrow from the line. */
struct smtpd_path {
	struct addr addr;
	long long size;    /* SIZE; -1: not given; LLONG_MAX: more than fits */
	bool eightbit;     /* BODY=8BITMIME */
	bool auth;         /* AUTH=, RFC 4954 5: where AUTH is offered, taken and of no effect */
	bool smtputf8;     /* the path, and all of the transaction, may be UTF-8 */
	bool require_tls;
	char ret;          /* RET: 'F', 'H' or 0 */
	struct slice envid, orcpt; /* xtext as given, ORCPT with its type; or empty */
	char notify[4];    /* NOTIFY as in struct recipient; "" when not given */
};
enum path_fault {
	PATH_OK,
	PATH_NO_KEYWORD,      /* FROM: or TO: is missing                          501 5.5.4 */
	PATH_SYNTAX,          /* the path breaks the grammar                      501 5.1.7, 5.1.3 */
	PATH_TOO_LONG,        /* over a limit of RFC 5321 4.5.3.1                 501 5.1.7, 5.1.3 */
	PATH_PARAMETER,       /* a parameter is malformed or given twice          501 5.5.4 */
	PATH_UNKNOWN,         /* a parameter that EHLO did not offer              555 5.5.4 */
	PATH_WIDE,            /* UTF-8 without SMTPUTF8                           553 5.6.7 */
};
/* ARGUMENT of MAIL or RCPT (VERB says which parameters are known); UTF8: MAIL of this transaction said SMTPUTF8.  OUT is filled only for PATH_OK. */
MUST_CHECK enum path_fault smtpd_path_parse(struct smtpd_path *out, enum verb verb, struct slice argument, bool utf8);
/* xtext (RFC 3461 4) whose octets, decoded, are printable ASCII. */
bool smtpd_xtext_valid(struct slice text);
/* ARGUMENT of BDAT: the chunk's octets, and LAST.  False: not of this form; how much follows is then unknown. */
bool smtpd_bdat_parse(long long *octets, bool *last, struct slice argument);
/* What HELO or EHLO gave as a name: 1 to 255 printable octets without blank. */
bool smtpd_helo_valid(struct slice name);
#endif
