/* What postern-door says to postern-smtpd when it hands over a connection: one datagram on PORT_SESSION with two descriptors,
 * the client's socket and the session's token.  postern-door(8) has the wire form.
 *
 * The token is the writing end of a pipe (O_NONBLOCK).  The session holds it for its whole life and the door counts the session for as
 * long as it is open, so that a session which dies in whatever way is counted no longer.  When the door is gone the session goes on as
 * before.  At its end the session may report through it what it saw (handover_report()).  A pipe, since each Unix socket that is closed
 * while another is under way in a message makes the kernel look for garbage. */
#ifndef POSTERN_SMTPD_HANDOVER_H
#define POSTERN_SMTPD_HANDOVER_H
#include "lib/buf.h"
#include "lib/io.h"

#define HANDOVER_MAX 8192        /* octets of the datagram */
#define HANDOVER_VARS_MAX 64     /* variables of one rule */
#define HANDOVER_NAME_MAX 64     /* octets of a variable's name, [A-Z0-9_] */
#define HANDOVER_VALUE_MAX 1024  /* octets of its value, printable or UTF-8, no control characters */

struct handover_pair {
	struct slice name, value;
};
struct handover {
	struct slice listener;            /* name in control/listen: "smtp", … */
	struct slice client_ip, local_ip; /* textual addresses that ip_parse() takes */
	long long client_port, local_port;
	struct handover_pair var[HANDOVER_VARS_MAX]; /* what the matching line of tcp.smtp says */
	size_t vars;
};

/* Append H to B.  The caller checks B->overflow. */
void handover_encode(struct buf *b, const struct handover *h);
/* The whole of TEXT.  0, or E_PEER (not of this form, or over a limit).  H borrows from TEXT. */
MUST_CHECK int handover_decode(struct handover *h, struct slice text, struct err *e);
/* Is the variable NAME set?  Its value is put into *VALUE (may be NULL).  Set and empty (RELAYCLIENT="") is true. */
bool handover_var(const struct handover *h, const char *name, struct slice *value);
/* True for a name and a value that a rule may have. */
bool handover_name_valid(struct slice name);
bool handover_value_valid(struct slice value);

/* Wait for the next connection on SOCK; SPACE has HANDOVER_MAX octets and H borrows from it.  The descriptors are the caller's.
 * 0, or with nothing kept: E_EOF (stop), E_TIMEOUT, E_PEER (log and go on), E_SYS. */
MUST_CHECK int handover_receive(struct handover *h, int *client_fd, int *token_fd, char *space, int sock, int64_t deadline,
	struct err *e);

/* What a session reports, once and in one write: "KIND COUNT" of each kind of which there are some, with blanks between. */
enum handover_report {
	REPORT_BADRCPT,  /* recipients that do not exist */
	REPORT_ERRORS,   /* commands that were wrong, and recipients refused for other reasons */
	REPORT_AUTHFAIL, /* passwords refused */
	REPORT_MESSAGES, /* messages accepted */
	REPORT_RECIPIENTS, /* recipients accepted */
	REPORT_COUNT
};
#define REPORT_OCTETS 128   /* the longest report, with room */
#define REPORTED_MOST 1000000
/* COUNTS over REPORTED_MOST are cut to it.  Never fails: a report that does not fit, or that nobody hears, is lost (SIGPIPE is ignored).  Nothing is written where all are 0. */
void handover_report(int token_fd, const unsigned counts[REPORT_COUNT]);
/* A report as it came.  0; E_PEER with COUNTS untouched: not of this form, a kind twice, a count not 1..REPORTED_MOST. */
MUST_CHECK int handover_report_decode(unsigned counts[REPORT_COUNT], struct slice text);
#endif
