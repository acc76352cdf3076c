/* Questions to postern-directory: may this recipient get mail, is this password right, where does this address go, who belongs to this
 * group, and the two of SCRAM.
 * postern-directory(8) has the wire form (lib/ask.h, netstrings); the table in query.c is the grammar of questions.
 * An answer begins with a verdict; what the directory cannot find out is always DIRECTORY_TEMPORARY, never "no". */
#ifndef POSTERN_DIRECTORY_QUERY_H
#define POSTERN_DIRECTORY_QUERY_H
#include "lib/ask.h"
#include "lib/buf.h"

/* Who waits how long, so that the directory's own words come before its askers give up: postern-directory answers what it has read within control/ldaptimeout, at
 * worst with DIRECTORY_TEMPORARY; that is at most DIRECTORY_SECONDS_MOST (control/files.def, compared by tests/unit/control/files.c); and whoever asks one question
 * waits DIRECTORY_ASK_MSEC, which is less than what an SMTP client waits (RFC 5321 4.5.3.2: 5 minutes). */
#define DIRECTORY_SECONDS_MOST 60
#define DIRECTORY_ASK_MSEC ((DIRECTORY_SECONDS_MOST + 15) * 1000)

enum directory_verdict {
	DIRECTORY_YES = 'Y',
	DIRECTORY_NO = 'N',        /* no such address, or wrong password */
	DIRECTORY_DISABLED = 'D',  /* accountStatus says so */
	DIRECTORY_TEMPORARY = 'T', /* ask again later */
};

#define DIRECTORY_ADDRESSES_MAX 256 /* of one kind, of one entry */

/* One account.  Slices borrow from the answer's buffer. */
struct directory_entry {
	struct slice uid;            /* login name; never empty for an account */
	struct slice mail;           /* primary address */
	struct slice mail_host;      /* empty: this host */
	struct slice message_store;  /* the Maildir, absolute; empty: STATE/mail/UID/Maildir */
	struct slice home;           /* homeDirectory or empty */
	long long uid_number, gid_number; /* -1: not given; deliver as the mail user */
	struct slice account_status; /* "active", "noaccess", … in lower case; empty: active */
	bool local, forward, reply;  /* what deliveryMode and the attributes come to: deliver here; use .forwards; send .reply_text */
	struct slice reply_text;
	long long quota_octets, quota_count; /* 0: unlimited */
	long long size_most;         /* mailSizeMax, 0: unlimited */
	struct slice forwards[DIRECTORY_ADDRESSES_MAX];
	size_t forward_count;
	struct slice alternates[DIRECTORY_ADDRESSES_MAX];
	size_t alternate_count;
	/* within postern-directory; not part of an answer */
	char user_class[33];         /* userClass, for postern-skim */
	bool group;
};

/* Each asks on SOCK and waits until DEADLINE: DIRECTORY_ASK_MSEC from now, or what is left for several questions.  TEXT (NUL-ended, printable) says why for D and T.  A failure to ask is
 * DIRECTORY_TEMPORARY.  Never fails otherwise. */
#define DIRECTORY_TEXT_MAX 200
enum directory_verdict directory_ask_recipient(char text[DIRECTORY_TEXT_MAX], int sock, struct slice address, int64_t deadline);
/* ENTRY is filled for YES and DISABLED; its slices borrow from SPACE (max QUESTION_MAX). */
enum directory_verdict directory_ask_route(struct directory_entry *entry, struct buf *space, char text[DIRECTORY_TEXT_MAX],
	int sock, struct slice address, int64_t deadline);
/* Who belongs to the group with this very address (no extensions, no catchall): .forwards are its members' addresses, as delivery has them; a group with rules about
 * who may write to it has its members all the same.  NO: there is no such group, or it is disabled. */
enum directory_verdict directory_ask_group(struct directory_entry *entry, struct buf *space, char text[DIRECTORY_TEXT_MAX],
	int sock, struct slice address, int64_t deadline);
/* The password of USER (uid or an address of the account); an empty password is NO without asking. */
enum directory_verdict directory_ask_password(struct directory_entry *entry, struct buf *space, char text[DIRECTORY_TEXT_MAX],
	int sock, struct slice user, struct slice password, struct slice client_ip, int64_t deadline);

/* SCRAM-SHA-256 (RFC 5802): salted and stored keys stay in the directory.  First, with what USER and NONCE (the client's) are answered: the
 * server-first-message, and a ticket that says that this directory made it, for this user and client, a short time ago.  Nothing is remembered between
 * the two questions.  Who does not exist or has no such secret gets a salt all the same. */
#define DIRECTORY_NONCE_MAX 256        /* octets of a client's nonce */
#define DIRECTORY_SERVER_FIRST_MAX 512 /* of server-first-message */
#define DIRECTORY_TICKET_OCTETS 40
#define DIRECTORY_PROOF_OCTETS 32
struct directory_salt {
	char server_first[DIRECTORY_SERVER_FIRST_MAX + 1];
	char ticket[DIRECTORY_TICKET_OCTETS];
};
/* YES with OUT, or TEMPORARY. */
enum directory_verdict directory_ask_salt(struct directory_salt *out, char text[DIRECTORY_TEXT_MAX], int sock, struct slice user, struct slice nonce,
	struct slice client_ip, int64_t deadline);
struct directory_proof {
	struct slice user, client_ip;       /* as in the first question */
	const struct directory_salt *salt;  /* its answer */
	struct slice bare, without_proof;   /* client-first-message-bare, client-final-message-without-proof */
	struct slice proof;                 /* DIRECTORY_PROOF_OCTETS */
};
/* Is the proof right?  With YES, TEXT is the server-final-message. */
enum directory_verdict directory_ask_proof(struct directory_entry *entry, struct buf *space, char text[DIRECTORY_TEXT_MAX], int sock,
	const struct directory_proof *p, int64_t deadline);

/* The answering side. */
enum question_verb { ASKS_RECIPIENT, ASKS_ROUTE, ASKS_GROUP, ASKS_PASSWORD, ASKS_SALT, ASKS_PROOF };
enum question_field { FIELD_NAME, FIELD_PASSWORD, FIELD_IP, FIELD_NONCE, FIELD_TICKET, FIELD_SERVER_FIRST, FIELD_BARE, FIELD_WITHOUT_PROOF, FIELD_PROOF, FIELD_COUNT };
struct asked {
	enum question_verb verb;
	struct slice field[FIELD_COUNT]; /* those of the verb; the others are empty */
};
void directory_question_encode(struct buf *b, const struct asked *q);
/* 0, or E_PEER: not one of the questions.  Q borrows from TEXT. */
MUST_CHECK int directory_question_decode(struct asked *q, struct slice text);
void directory_salt_encode(struct buf *b, struct slice server_first, const char ticket[DIRECTORY_TICKET_OCTETS]);
MUST_CHECK int directory_salt_decode(enum directory_verdict *verdict, char text[DIRECTORY_TEXT_MAX], struct directory_salt *out, struct slice answer);
void directory_encode(struct buf *b, enum directory_verdict verdict, const char *text, const struct directory_entry *entry);
MUST_CHECK int directory_decode(enum directory_verdict *verdict, char text[DIRECTORY_TEXT_MAX], struct directory_entry *entry, struct slice answer);
#endif
