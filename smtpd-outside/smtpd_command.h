/* SMTP command lines: verbs, paths and parameters.  RFC 5321 4.1.1, 4.1.2; RFC 1870 (SIZE); RFC 6152 (BODY). */
#ifndef POSTERN_SMTPD_COMMAND_H
#define POSTERN_SMTPD_COMMAND_H
#include "lib/addr.h"

#define COMMAND_LINE_MAX 1000 /* octets with CR LF: RFC 5321 4.5.3.1.4 and room for all parameters */

enum verb {
	VERB_EHLO, VERB_HELO, VERB_MAIL, VERB_RCPT, VERB_DATA, VERB_RSET, VERB_NOOP, VERB_VRFY, VERB_HELP, VERB_QUIT, VERB_STARTTLS, VERB_AUTH,
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
	long long size;  /* SIZE; -1: not given; LLONG_MAX: more than fits */
	bool eightbit;   /* BODY=8BITMIME */
	bool auth;       /* AUTH=, RFC 4954 5: where AUTH is offered, taken and of no effect */
};
enum path_fault {
	PATH_OK,
	PATH_NO_KEYWORD,      /* FROM: or TO: is missing                          501 5.5.4 */
	PATH_SYNTAX,          /* the path breaks the grammar                      501 5.1.7, 5.1.3 */
	PATH_TOO_LONG,        /* over a limit of RFC 5321 4.5.3.1                 501 5.1.7, 5.1.3 */
	PATH_PARAMETER,       /* a parameter is malformed or given twice          501 5.5.4 */
	PATH_UNKNOWN,         /* a parameter that EHLO did not offer              555 5.5.4 */
};
/* ARGUMENT of MAIL or RCPT (VERB says which parameters are known).  OUT is filled only for PATH_OK. */
MUST_CHECK enum path_fault smtpd_path_parse(struct smtpd_path *out, enum verb verb, struct slice argument);
/* What HELO or EHLO gave as a name: 1 to 255 printable octets without blank. */
bool smtpd_helo_valid(struct slice name);
#endif
