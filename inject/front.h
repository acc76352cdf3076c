/* The front ends: sendmail, qmail-queue, qmail-inject, mailq, qmail-qstat, qmail-qread.  Each runs as whoever calls it, with no rights of its own. */
#ifndef POSTERN_INJECT_FRONT_H
#define POSTERN_INJECT_FRONT_H
#include "inject/client.h"
#include "inject/complete.h"

/* Each returns its exit code. */
int front_sendmail(int argc, char **argv);
int front_qmail_queue(int argc, char **argv);
int front_qmail_inject(int argc, char **argv);
int front_mailq(int argc, char **argv);
int front_qstat(int argc, char **argv);
int front_qread(int argc, char **argv);

/* A message on its way from the caller's standard input to postern-inject. */
struct draft {
	struct buf text;           /* as read, line ends LF */
	struct slice header, body; /* of .text; header without its blank line may lack it */
	char space[REQUEST_PACKET_MAX];
	struct names names;        /* borrows from .space */
	struct recipients to;
	struct buf sender;         /* completed; empty: null sender */
};
/* Read FD to its end (or, with DOT, to a line that is a dot alone).  0; E_SYS, E_TOO_LONG. */
MUST_CHECK int front_read(struct buf *b, int fd, bool dot, struct err *e);
/* CR LF becomes LF, a first line "From somebody date" (mbox) is dropped; .header and .body are found. */
void front_split(struct draft *d);
/* Standard input read and split, the names asked for.  0, E_SYS, E_TOO_LONG or as client_names(). */
MUST_CHECK int front_begin(struct draft *d, bool dot, struct err *e);
/* The one address in TEXT, completed, as sender; "" and "<>" are the null sender.  0 or E_SYNTAX. */
MUST_CHECK int front_sender(struct draft *d, const char *text, struct err *e);
/* Recipients from words of the command line, as many as there are. */
MUST_CHECK int front_arguments(struct draft *d, char **argv, struct err *e);
/* Complete the header as A says and hand all over. */
void front_send(struct outcome *o, const struct draft *d, const struct author *a);
void front_free(struct draft *d);
/* Who calls: the login name of the user id, into SPACE; "anonymous" where it has none.  FULL_NAME (may be NULL) from the same entry. */
struct slice front_login(char space[256], struct buf *full_name);
/* "NAME: text" on standard error; returns CODE. */
int front_fail(const char *name, int code, const char *text);
#endif
