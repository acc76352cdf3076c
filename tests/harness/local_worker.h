/* A worker of postern-local in a process of its own, deliveries over a socket pair as from the queue, real Maildirs in a temporary folder.  As root the worker runs as uid
 * MAIL with the capabilities that postern-local keeps, so that delivery as people's uids is tried too; as another user those tests pass without it.
 *
 * What goes wrong here ends the test. */
#ifndef POSTERN_TESTS_HARNESS_LOCAL_WORKER_H
#define POSTERN_TESTS_HARNESS_LOCAL_WORKER_H
#include <string.h>

#include "deliver/local.h"

#define MAIL 54321
#define PERSON 54322
/* The message, and its id at the host of the cluster that it came from. */
#define ID "0123456789abc"
#define ORIGIN "0fdxkwb3m2q7a"
#define HEADER "Subject: x\n\n"
#define BODY "hello\n"
#define TRACE "Return-Path: <from@a.test>\nDelivered-To: to@b.test\n"

extern char top[64], base[96]; /* the temporary folder; top/mail, where Maildirs may be made */
extern int port;               /* deliveries are sent here */
extern pid_t worker;
bool root(void);

/* Folder and worker, before each test and after it. */
void setup(void);
void teardown(void);

/* One delivery, with defaults for what a test does not say. */
struct order {
	const char *maildir, *address, *header, *body;
	long long uid, size_most, quota_octets, quota_count, number;
	bool doubt;
	bool files;       /* header and body as files, however short */
	const char *peer; /* sent by this host of the cluster, where it has the id ORIGIN */
	bool again;
	long long attempt;
	size_t count; /* recipients, numbered on */
};

/* As the queue says it, until the next call. */
const struct delivery *delivery_of(const struct order *o);
/* Send it; the socket of its answer. */
int post(const struct order *o);
/* Take the answer: its first result, whose texts stay until the next call, and how many there are in COUNT, which may be NULL. */
struct delivery_result take(int reply, size_t *count);
/* Both. */
struct delivery_result deliver(const struct order *o);
/* The text of a result, until the next call. */
const char *text_of(const struct delivery_result *r);

/* Result R has status S, the enhanced CODE, and PART in its text. */
#define WANT(r, s, code, part) do { \
	ck_assert_msg((r).status == (s) && strcmp((r).enhanced, code) == 0 && strstr(text_of(&(r)), part), "%c %s %s", (r).status, (r).enhanced, text_of(&(r))); \
} while (0)

/* base/USER/Maildir, which is box until the next call. */
const char *maildir(const char *user);
extern char box[160];
/* Print into SPACE, which must be long enough. */
void join(char *space, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* MAILDIR/SUB in SPACE, which has 300 octets. */
char *in(char *space, const char *maildir, const char *sub);
/* How many names are in MAILDIR/SUB, and the path of ONE of them, or NULL. */
int names(const char *maildir, const char *sub, char one[300]);
/* The file PATH holds WANT and nothing else. */
void holds(const char *path, const char *want);
#endif
