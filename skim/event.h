/* Events that the detection judges (a login, a message sent) and its decisions; both also as JSON lines: `postern skim replay`,
 * postern-skim(5). */
#ifndef POSTERN_SKIM_EVENT_H
#define POSTERN_SKIM_EVENT_H
#include <stdint.h>

#include "lib/buf.h"
#include "lib/envelope.h"
#include "lib/err.h"

#define EVENT_LINE_MAX 65536
#define EVENT_FIELD_MAX 1024 /* octets of one text that is looked at; user and addresses: ADDRESS_MAX */
#define EVENT_NONE (-1L)     /* a number that is not known */

struct skim_event {
	struct slice id;      /* as in the JSON text, quotes included; empty: none */
	struct slice time_text;
	int64_t time;         /* seconds since 1970; INT64_MIN: not given */
	bool send;            /* else a login */
	bool success;         /* of a login; true when not given */
	bool exists;          /* of a login that failed: the account is known to exist */
	bool own_sender, own_from; /* the directory says that the address is the user's, in envelope and From */
	struct slice user, class, ip, service, client, mail_from, header_from, reply_to, subject_hash, body_hash, url_host, peer, verdict;
	long recipients, external, unknown_recipients, new_recipients, size; /* EVENT_NONE: not given */
	long swept;           /* recipients of our own domains in alphabetical order, in a row; EVENT_NONE: not known */
	/* the message itself, where there is one */
	struct slice header, body;
	const struct recipient *rcpt;
	size_t rcpts;
};

/* Decode one line, which is overwritten: strings are unescaped in place.  Unknown keys are passed over, of a key that stands twice the last counts.
 * 0; E_SYNTAX, E_TOO_LONG with the reason.  OUT borrows from LINE. */
MUST_CHECK int event_parse(struct skim_event *out, char *line, size_t n, struct err *e);
/* RFC 3339 5.6.  0 or E_SYNTAX. */
MUST_CHECK int event_time(int64_t *out, struct slice text);

enum skim_action { ACTION_PASS, ACTION_LOG, ACTION_HOLD, ACTION_STOP, ACTION_LOCK };
const char *action_name(enum skim_action a);

/* S as the inside of a JSON string (RFC 8259 7), octets that are not UTF-8 as U+FFFD. */
void json_escape(struct buf *b, struct slice s);
#endif
