/* One question on its way through postern-directory: what answer.c (addresses) and answer_login.c (passwords, SCRAM) share. */
#ifndef POSTERN_DIRECTORY_REQUEST_H
#define POSTERN_DIRECTORY_REQUEST_H
#include "directory/backend.h"
#include "directory/candidates.h"
#include "lib/control.h"
#include "lib/turns.h"
#include "skim/feed.h"

#define LOGIN_MAX 512

/* What postern-skim is told of a checked password, beside the outcome. */
struct told {
	bool exists, shut;
	char ip[FEED_TEXT_MAX + 1], class[33];
	char user[ADDRESS_MAX + 1]; /* the account's uid; of nobody: what was given */
};

struct request {
	struct lookup lookup;    /* first: .done gets it back */
	struct turn turn;        /* among those that are not answered yet */
	bool late;               /* was answered at its deadline: what comes of it still counts, but nobody hears it */
	struct check check;
	struct question question;
	enum question_verb verb;
	struct candidates keys;
	size_t at;               /* the key being looked up */
	struct buf login;        /* of a login: the key */
	struct buf answer;       /* of a login: what YES will say */
	struct told told;        /* of a login: what skim is told */
	struct buf text;         /* of SCRAM: the question, for .asked borrows from it */
	struct asked asked;
};

/* Answer R, unless it was late, and forget it. */
void request_end(struct request *r, struct slice answer);
void request_end_with(struct request *r, enum directory_verdict verdict, const char *text, const struct directory_entry *entry);
bool answer_domain_is_local(struct slice domain);

/* answer_login.c.  0, or E_SYNTAX, E_SYS. */
MUST_CHECK int login_start(const struct control *c, const struct backend *b, struct err *e);
/* Begin with a question of one of the verbs ASKS_PASSWORD, ASKS_SALT, ASKS_PROOF; Q's slices are good for the call. */
void login_begin(struct request *r, const struct asked *q);
#endif
