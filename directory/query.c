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
		say(text, "the directory's answer breaks its grammar");
		return E_PEER;
	}
	*verdict = (enum directory_verdict)letter;
	return 0;
}

/* Send QUESTION and read the answer; ENTRY may be NULL. */
static enum directory_verdict ask_and_decode(struct directory_entry *entry, struct buf *space, char text[DIRECTORY_TEXT_MAX],
	int sock, const struct buf *question, int64_t deadline)
{
	struct err e;
	enum directory_verdict verdict;
	if (question->overflow) {
		say(text, "the question is too long");
		return DIRECTORY_TEMPORARY;
	}
	buf_reset(space);
	if (ask(space, sock, buf_slice(question), deadline, &e) < 0) {
		snprintf(text, DIRECTORY_TEXT_MAX, "no answer from the directory: %.150s", e.text);
		return DIRECTORY_TEMPORARY;
	}
	return directory_decode(&verdict, text, entry, buf_slice(space)) < 0 ? DIRECTORY_TEMPORARY : verdict;
}

enum directory_verdict directory_ask_recipient(char text[DIRECTORY_TEXT_MAX], int sock, struct slice address, int64_t deadline)
{
	struct buf question = BUF_INIT(QUESTION_MAX), answer = BUF_INIT(QUESTION_MAX);
	netstring_add_str(&question, "rcpt");
	netstring_add(&question, address);
	enum directory_verdict v = ask_and_decode(NULL, &answer, text, sock, &question, deadline);
	buf_free(&question);
	buf_free(&answer);
	return v;
}

enum directory_verdict directory_ask_route(struct directory_entry *entry, struct buf *space, char text[DIRECTORY_TEXT_MAX],
	int sock, struct slice address, int64_t deadline)
{
	struct buf question = BUF_INIT(QUESTION_MAX);
	netstring_add_str(&question, "route");
	netstring_add(&question, address);
	enum directory_verdict v = ask_and_decode(entry, space, text, sock, &question, deadline);
	buf_free(&question);
	return v;
}

enum directory_verdict directory_ask_password(struct directory_entry *entry, struct buf *space, char text[DIRECTORY_TEXT_MAX],
	int sock, struct slice user, struct slice password, struct slice client_ip, int64_t deadline)
{
	struct buf question = BUF_INIT(QUESTION_MAX);
	if (user.n == 0 || password.n == 0) { /* RFC 4513 5.1.2: a bind with an empty password proves nothing */
		say(text, "empty name or password");
		return DIRECTORY_NO;
	}
	(void)buf_room(&question, user.n + password.n + client_ip.n + 64); /* at once: a buffer that grows leaves copies behind */
	netstring_add_str(&question, "auth");
	netstring_add(&question, user);
	netstring_add(&question, password);
	netstring_add(&question, client_ip);
	enum directory_verdict v = ask_and_decode(entry, space, text, sock, &question, deadline);
	if (question.p)
		explicit_bzero(question.p, question.n);
	buf_free(&question);
	return v;
}
