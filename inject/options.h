/* The command lines of sendmail and qmail-inject, by tables; sendmail(8) names every option. */
#ifndef POSTERN_INJECT_OPTIONS_H
#define POSTERN_INJECT_OPTIONS_H
#include "lib/err.h"

enum sendmail_mode { SENDMAIL_SEND, SENDMAIL_LIST, SENDMAIL_NOTHING };

struct sendmail_options {
	enum sendmail_mode mode;
	bool from_header;   /* -t */
	bool ignore_dots;   /* -i */
	const char *sender; /* -f; NULL: not given */
	const char *full_name;
	int first;          /* the first recipient in argv */
};
/* 0; E_SYNTAX (wrong usage) or E_REFUSED (what is not done here), the text says what. */
MUST_CHECK int sendmail_options(struct sendmail_options *o, int argc, char **argv, struct err *e);

enum recipients_from { FROM_EITHER, FROM_ARGUMENTS, FROM_HEADER, FROM_BOTH };

struct qmail_inject_options {
	enum recipients_from from;
	bool print; /* -n: show the message, send nothing */
	bool verp; /* r: each recipient gets a sender of its own, where none was given */
	bool drop_from, drop_message_id, ignore_return_path;
	const char *sender;
	int first;
};
/* LETTERS is QMAILINJECT of the environment, or NULL.  As above. */
MUST_CHECK int qmail_inject_options(struct qmail_inject_options *o, const char *letters, int argc, char **argv, struct err *e);
#endif
