/* Questions to postern-directory and its answers: see query.h; postern-directory(8) is the grammar.
 *
 * Runs in the askers (smtpd, route, …) and in postern-directory.  An asker may have been taken over and so may the directory:
 * both decoders check every field.  Whatever goes wrong on the way is DIRECTORY_TEMPORARY. */
#include "directory/query.h"

#include <limits.h>
#include <stdio.h>

#include "lib/envelope.h"
#include "lib/fields.h"

#define ID_NUMBER_MOST 4294967294LL /* (uid_t)-1 is no user */
#define UID_MAX 256
#define PATH_OCTETS_MAX 4095
#define REPLY_TEXT_OCTETS_MAX 8192

static const char bad_grammar[] = "the directory's answer breaks its grammar";
static const char verdicts[] = {DIRECTORY_YES, DIRECTORY_NO, DIRECTORY_DISABLED, DIRECTORY_TEMPORARY, 0};

static void say(char text[DIRECTORY_TEXT_MAX], const char *why)
{
	size_t n = strlen(why);
	if (n >= DIRECTORY_TEXT_MAX)
		n = DIRECTORY_TEXT_MAX - 1;
	for (size_t i = 0; i < n; i++)
		text[i] = why[i] >= 0x20 && why[i] <= 0x7e ? why[i] : '?';
	text[n] = 0;
}

static void add_list(struct buf *b, const struct slice *list, size_t count)
{
	netstring_add_number(b, (long long)count);
	for (size_t i = 0; i < count; i++)
		netstring_add(b, list[i]);
}

static void take_list(struct fields *f, struct slice *list, size_t *count)
{
	size_t n = (size_t)fields_take_number(f, 0, DIRECTORY_ADDRESSES_MAX);
	for (*count = 0; !f->bad && *count < n; ++*count)
		list[*count] = fields_take(f, ADDRESS_MAX);
}

static void add_entry(struct buf *b, const struct directory_entry *a)
{
	netstring_add(b, a->uid);
	netstring_add(b, a->mail);
	netstring_add(b, a->mail_host);
	netstring_add(b, a->message_store);
	netstring_add(b, a->home);
	netstring_add_number(b, a->uid_number);
	netstring_add_number(b, a->gid_number);
	netstring_add(b, a->account_status);
	netstring_add_number(b, a->local);
	netstring_add_number(b, a->forward);
	netstring_add_number(b, a->reply);
	netstring_add(b, a->reply_text);
	netstring_add_number(b, a->quota_octets);
	netstring_add_number(b, a->quota_count);
	netstring_add_number(b, a->size_most);
	add_list(b, a->forwards, a->forward_count);
	add_list(b, a->alternates, a->alternate_count);
}

static void take_entry(struct directory_entry *a, struct fields *f)
{
	a->uid = fields_take(f, UID_MAX);
	a->mail = fields_take(f, ADDRESS_MAX);
	a->mail_host = fields_take_text(f, 255);
	a->message_store = fields_take(f, PATH_OCTETS_MAX);
	a->home = fields_take(f, PATH_OCTETS_MAX);
	a->uid_number = fields_take_number(f, -1, ID_NUMBER_MOST);
	a->gid_number = fields_take_number(f, -1, ID_NUMBER_MOST);
	a->account_status = fields_take_text(f, 32);
	a->local = fields_take_number(f, 0, 1);
	a->forward = fields_take_number(f, 0, 1);
	a->reply = fields_take_number(f, 0, 1);
	a->reply_text = fields_take(f, REPLY_TEXT_OCTETS_MAX);
	a->quota_octets = fields_take_number(f, 0, LLONG_MAX);
	a->quota_count = fields_take_number(f, 0, LLONG_MAX);
	a->size_most = fields_take_number(f, 0, LLONG_MAX);
	take_list(f, a->forwards, &a->forward_count);
	take_list(f, a->alternates, &a->alternate_count);
}

void directory_encode(struct buf *b, enum directory_verdict verdict, const char *text, const struct directory_entry *entry)
{
	char letter = (char)verdict, clean[DIRECTORY_TEXT_MAX];
	say(clean, text ? text : "");
	netstring_add(b, slice_make(&letter, 1));
	netstring_add_str(b, clean);
	if (entry && (verdict == DIRECTORY_YES || verdict == DIRECTORY_DISABLED))
		add_entry(b, entry);
}

/* An entry may follow YES and DISABLED; an asker that only wanted the verdict gets none. */
int directory_decode(enum directory_verdict *verdict, char text[DIRECTORY_TEXT_MAX], struct directory_entry *entry, struct slice answer)
{
	struct fields f = {.rest = answer};
	char letter = fields_take_letter(&f, verdicts);
	if (entry)
		*entry = (struct directory_entry){.uid_number = -1, .gid_number = -1};
	fields_take_copy(&f, text, DIRECTORY_TEXT_MAX);
	if (f.rest.n && entry && (letter == DIRECTORY_YES || letter == DIRECTORY_DISABLED))
		take_entry(entry, &f);
	else if (entry && letter == DIRECTORY_YES)
		f.bad = true;
	if (!fields_done(&f)) {
		say(text, bad_grammar);
		return E_PEER;
	}
	*verdict = (enum directory_verdict)letter;
	return 0;
}

/* ---- questions ---- */

static const struct {
	const char *verb;
	enum question_field field[FIELD_COUNT];
	size_t count;
} questions[] = {
	[ASKS_RECIPIENT] = {"rcpt", {FIELD_NAME}, 1},
	[ASKS_ROUTE] = {"route", {FIELD_NAME}, 1},
	[ASKS_GROUP] = {"group", {FIELD_NAME}, 1},
	[ASKS_PASSWORD] = {"auth", {FIELD_NAME, FIELD_PASSWORD, FIELD_IP}, 3},
	[ASKS_SALT] = {"salt", {FIELD_NAME, FIELD_IP, FIELD_NONCE}, 3},
	[ASKS_PROOF] = {"proof", {FIELD_NAME, FIELD_IP, FIELD_TICKET, FIELD_SERVER_FIRST, FIELD_BARE, FIELD_WITHOUT_PROOF, FIELD_PROOF}, 7},
};
#define VERB_OCTETS_MAX 5

static const struct {
	size_t most;
	bool text; /* printable ASCII */
} field_limits[FIELD_COUNT] = {
	[FIELD_NAME] = {QUESTION_MAX, false}, [FIELD_PASSWORD] = {QUESTION_MAX, false}, [FIELD_IP] = {64, true},
	[FIELD_NONCE] = {DIRECTORY_NONCE_MAX, true}, [FIELD_TICKET] = {DIRECTORY_TICKET_OCTETS, false},
	[FIELD_SERVER_FIRST] = {DIRECTORY_SERVER_FIRST_MAX, true}, [FIELD_BARE] = {QUESTION_MAX, false},
	[FIELD_WITHOUT_PROOF] = {QUESTION_MAX, false}, [FIELD_PROOF] = {DIRECTORY_PROOF_OCTETS, false},
};

void directory_question_encode(struct buf *b, const struct asked *q)
{
	netstring_add_str(b, questions[q->verb].verb);
	for (size_t i = 0; i < questions[q->verb].count; i++)
		netstring_add(b, q->field[questions[q->verb].field[i]]);
}

int directory_question_decode(struct asked *q, struct slice text)
{
	struct fields f = {.rest = text};
	struct slice verb = fields_take(&f, VERB_OCTETS_MAX);
	size_t v = 0;
	while (v < sizeof questions / sizeof *questions && !slice_eq_str(verb, questions[v].verb))
		v++;
	if (f.bad || v == sizeof questions / sizeof *questions)
		return E_PEER;
	*q = (struct asked){.verb = (enum question_verb)v};
	for (size_t i = 0; i < FIELD_COUNT; i++)
		q->field[i] = slice_make("", 0);
	for (size_t i = 0; i < questions[v].count; i++) {
		enum question_field at = questions[v].field[i];
		q->field[at] = field_limits[at].text ? fields_take_text(&f, field_limits[at].most) : fields_take(&f, field_limits[at].most);
	}
	return fields_done(&f) ? 0 : E_PEER;
}

void directory_salt_encode(struct buf *b, struct slice server_first, const char ticket[DIRECTORY_TICKET_OCTETS])
{
	directory_encode(b, DIRECTORY_YES, "", NULL);
	netstring_add(b, server_first);
	netstring_add(b, slice_make(ticket, DIRECTORY_TICKET_OCTETS));
}

int directory_salt_decode(enum directory_verdict *verdict, char text[DIRECTORY_TEXT_MAX], struct directory_salt *out, struct slice answer)
{
	struct fields f = {.rest = answer};
	char letter = fields_take_letter(&f, (const char[]){DIRECTORY_YES, DIRECTORY_TEMPORARY, 0});
	fields_take_copy(&f, text, DIRECTORY_TEXT_MAX);
	if (letter == DIRECTORY_YES) {
		fields_take_copy(&f, out->server_first, sizeof out->server_first);
		struct slice ticket = fields_take(&f, sizeof out->ticket);
		if (ticket.n == sizeof out->ticket)
			memcpy(out->ticket, ticket.p, sizeof out->ticket);
		else
			f.bad = true;
	}
	if (!fields_done(&f)) {
		say(text, bad_grammar);
		return E_PEER;
	}
	*verdict = (enum directory_verdict)letter;
	return 0;
}

/* ---- asking ---- */

/* Send Q and read the answer into SPACE; false with TEXT: there is none.  No copy of the question stays: it may hold a password. */
static bool answered(struct buf *space, char text[DIRECTORY_TEXT_MAX], int sock, const struct asked *q, int64_t deadline)
{
	struct buf question = BUF_INIT(QUESTION_MAX);
	struct err e;
	size_t n = 64;
	int rc = E_SYS;
	for (size_t i = 0; i < FIELD_COUNT; i++)
		n += q->field[i].n + 8;
	(void)buf_room(&question, n); /* at once: a buffer that grows leaves copies behind */
	directory_question_encode(&question, q);
	buf_reset(space);
	if (question.overflow)
		say(text, "the question is too long");
	else if ((rc = ask(space, sock, buf_slice(&question), deadline, &e)) < 0)
		snprintf(text, DIRECTORY_TEXT_MAX, "no answer from the directory: %.150s", e.text);
	if (question.p)
		explicit_bzero(question.p, question.n);
	buf_free(&question);
	return rc == 0;
}

/* ENTRY may be NULL. */
static enum directory_verdict ask_and_decode(struct directory_entry *entry, struct buf *space, char text[DIRECTORY_TEXT_MAX],
	int sock, const struct asked *q, int64_t deadline)
{
	enum directory_verdict verdict;
	if (!answered(space, text, sock, q, deadline))
		return DIRECTORY_TEMPORARY;
	return directory_decode(&verdict, text, entry, buf_slice(space)) < 0 ? DIRECTORY_TEMPORARY : verdict;
}

enum directory_verdict directory_ask_recipient(char text[DIRECTORY_TEXT_MAX], int sock, struct slice address, int64_t deadline)
{
	struct buf answer = BUF_INIT(QUESTION_MAX);
	struct asked q = {.verb = ASKS_RECIPIENT, .field[FIELD_NAME] = address};
	enum directory_verdict v = ask_and_decode(NULL, &answer, text, sock, &q, deadline);
	buf_free(&answer);
	return v;
}

enum directory_verdict directory_ask_route(struct directory_entry *entry, struct buf *space, char text[DIRECTORY_TEXT_MAX],
	int sock, struct slice address, int64_t deadline)
{
	struct asked q = {.verb = ASKS_ROUTE, .field[FIELD_NAME] = address};
	return ask_and_decode(entry, space, text, sock, &q, deadline);
}

enum directory_verdict directory_ask_group(struct directory_entry *entry, struct buf *space, char text[DIRECTORY_TEXT_MAX],
	int sock, struct slice address, int64_t deadline)
{
	struct asked q = {.verb = ASKS_GROUP, .field[FIELD_NAME] = address};
	return ask_and_decode(entry, space, text, sock, &q, deadline);
}

enum directory_verdict directory_ask_password(struct directory_entry *entry, struct buf *space, char text[DIRECTORY_TEXT_MAX],
	int sock, struct slice user, struct slice password, struct slice client_ip, int64_t deadline)
{
	struct asked q = {.verb = ASKS_PASSWORD, .field[FIELD_NAME] = user, .field[FIELD_PASSWORD] = password, .field[FIELD_IP] = client_ip};
	if (user.n == 0 || password.n == 0) { /* RFC 4513 5.1.2: a bind with an empty password proves nothing */
		say(text, "empty name or password");
		return DIRECTORY_NO;
	}
	return ask_and_decode(entry, space, text, sock, &q, deadline);
}

enum directory_verdict directory_ask_salt(struct directory_salt *out, char text[DIRECTORY_TEXT_MAX], int sock, struct slice user, struct slice nonce,
	struct slice client_ip, int64_t deadline)
{
	struct buf space = BUF_INIT(QUESTION_MAX);
	struct asked q = {.verb = ASKS_SALT, .field[FIELD_NAME] = user, .field[FIELD_NONCE] = nonce, .field[FIELD_IP] = client_ip};
	enum directory_verdict verdict = DIRECTORY_TEMPORARY;
	if (answered(&space, text, sock, &q, deadline) && directory_salt_decode(&verdict, text, out, buf_slice(&space)) < 0)
		verdict = DIRECTORY_TEMPORARY;
	buf_free(&space);
	return verdict;
}

enum directory_verdict directory_ask_proof(struct directory_entry *entry, struct buf *space, char text[DIRECTORY_TEXT_MAX], int sock,
	const struct directory_proof *p, int64_t deadline)
{
	struct asked q = {.verb = ASKS_PROOF, .field = {
		[FIELD_NAME] = p->user, [FIELD_IP] = p->client_ip, [FIELD_BARE] = p->bare, [FIELD_WITHOUT_PROOF] = p->without_proof, [FIELD_PROOF] = p->proof,
		[FIELD_TICKET] = slice_make(p->salt->ticket, sizeof p->salt->ticket), [FIELD_SERVER_FIRST] = slice_str(p->salt->server_first)}};
	return ask_and_decode(entry, space, text, sock, &q, deadline);
}
