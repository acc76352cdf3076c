/* Unit tests of directory/query.c: the codec, and the asking side against an answerer that dies, lies or is silent. */
#include "directory/query.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/netstring.h"

#define S(text) {text, sizeof text - 1}

static struct directory_entry sample(void)
{
	struct directory_entry e = {.uid = S("anna"), .mail = S("anna@campus.test"), .mail_host = S("mx2.campus.test"), .message_store = S("/m/a"),
		.home = S("/home/anna"), .uid_number = 1000, .gid_number = 100, .account_status = S("active"), .local = true, .forward = true,
		.reply_text = S("gr\xc3\xbc\xc3\x9f""e\n"), .quota_octets = 1, .quota_count = 2, .size_most = 3};
	e.forwards[e.forward_count++] = slice_str("a@b");
	e.forwards[e.forward_count++] = slice_str("c@d");
	e.alternates[e.alternate_count++] = slice_str("anna.b@campus.test");
	return e;
}

static bool lists_same(const struct directory_entry *a, const struct directory_entry *b)
{
	if (a->forward_count != b->forward_count || a->alternate_count != b->alternate_count)
		return false;
	for (size_t i = 0; i < a->forward_count; i++)
		if (!slice_eq(a->forwards[i], b->forwards[i]))
			return false;
	for (size_t i = 0; i < a->alternate_count; i++)
		if (!slice_eq(a->alternates[i], b->alternates[i]))
			return false;
	return true;
}

static bool entry_same(const struct directory_entry *a, const struct directory_entry *b)
{
	return slice_eq(a->uid, b->uid) && slice_eq(a->mail, b->mail) && slice_eq(a->mail_host, b->mail_host) && slice_eq(a->home, b->home)
		&& slice_eq(a->message_store, b->message_store) && a->uid_number == b->uid_number && a->gid_number == b->gid_number
		&& slice_eq(a->account_status, b->account_status) && a->local == b->local && a->forward == b->forward && a->reply == b->reply
		&& slice_eq(a->reply_text, b->reply_text) && a->quota_octets == b->quota_octets && a->quota_count == b->quota_count
		&& a->size_most == b->size_most && lists_same(a, b);
}

static const struct {
	const char *spec;
	enum directory_verdict verdict;
	bool entry;
	int want;
} answers[] = {
	{"yes with its entry", DIRECTORY_YES, true, 0},
	{"disabled with its entry", DIRECTORY_DISABLED, true, 0},
	{"disabled without", DIRECTORY_DISABLED, false, 0},
	{"no", DIRECTORY_NO, false, 0},
	{"no never has an entry", DIRECTORY_NO, true, 0},
	{"temporary", DIRECTORY_TEMPORARY, true, 0},
	{"yes without an entry", DIRECTORY_YES, false, E_PEER},
	{"an unknown verdict", (enum directory_verdict)'X', false, E_PEER},
};

START_TEST(answer_row)
{
	static struct directory_entry in, out;
	char text[DIRECTORY_TEXT_MAX];
	enum directory_verdict v = DIRECTORY_TEMPORARY;
	struct buf b = BUF_INIT(QUESTION_MAX);
	in = sample();
	directory_encode(&b, answers[_i].verdict, "why\nnot", answers[_i].entry ? &in : NULL);
	ck_assert_msg(directory_decode(&v, text, &out, buf_slice(&b)) == answers[_i].want, "%s", answers[_i].spec);
	if (answers[_i].want == 0) {
		ck_assert(v == answers[_i].verdict);
		ck_assert_str_eq(text, "why?not");
	}
	if (answers[_i].entry && (v == DIRECTORY_YES || v == DIRECTORY_DISABLED))
		ck_assert_msg(entry_same(&in, &out), "%s", answers[_i].spec);
	buf_free(&b);
}
END_TEST

/* Cut anywhere, or with an octet more, it is no answer (but for a DISABLED cut where its entry would begin). */
START_TEST(truncations)
{
	static struct directory_entry in, out;
	char text[DIRECTORY_TEXT_MAX];
	enum directory_verdict v;
	struct buf b = BUF_INIT(QUESTION_MAX);
	in = sample();
	directory_encode(&b, DIRECTORY_YES, "", &in);
	for (size_t n = 0; n < b.n; n++)
		ck_assert_int_eq(directory_decode(&v, text, &out, slice_upto(buf_slice(&b), n)), E_PEER);
	buf_add_char(&b, 'x');
	ck_assert_int_eq(directory_decode(&v, text, &out, buf_slice(&b)), E_PEER);
	buf_free(&b);
}
END_TEST

static int with_forwards(size_t count, size_t octets)
{
	static struct directory_entry in, out;
	static char address[1000];
	char text[DIRECTORY_TEXT_MAX];
	enum directory_verdict v;
	struct buf b = BUF_INIT(10 * QUESTION_MAX);
	in = sample();
	memset(address, 'a', sizeof address);
	for (in.forward_count = 0; in.forward_count < count; in.forward_count++)
		in.forwards[in.forward_count] = slice_make(address, octets);
	directory_encode(&b, DIRECTORY_YES, "", &in);
	int r = directory_decode(&v, text, &out, buf_slice(&b));
	ck_assert(r < 0 || (out.forward_count == count && lists_same(&in, &out)));
	buf_free(&b);
	return r;
}

START_TEST(limits)
{
	char buffer[QUESTION_MAX];
	struct directory_entry out;
	char text[DIRECTORY_TEXT_MAX];
	enum directory_verdict v;
	ck_assert_int_eq(with_forwards(0, 1), 0);
	ck_assert_int_eq(with_forwards(DIRECTORY_ADDRESSES_MAX, 320), 0);
	ck_assert_int_eq(with_forwards(1, 321), E_PEER);
	/* one more than the limit, by hand: 15 fields, then the count */
	const char *head = "1:Y,0:,1:u,0:,0:,0:,0:,2:-1,2:-1,0:,1:0,1:0,1:0,0:,1:0,1:0,1:0,";
	int n = snprintf(buffer, sizeof buffer, "%s3:257,", head);
	for (int i = 0; i < 257; i++, n += 4)
		memcpy(buffer + n, "1:a,", 4);
	n += snprintf(buffer + n, sizeof buffer - (size_t)n, "1:0,");
	ck_assert_int_eq(directory_decode(&v, text, &out, slice_make(buffer, (size_t)n)), E_PEER);
	n = snprintf(buffer, sizeof buffer, "%s1:0,1:0,", head);
	ck_assert_int_eq(directory_decode(&v, text, &out, slice_make(buffer, (size_t)n)), 0);
}
END_TEST

/* The answerers: each gets one question. */
static void answer_yes(struct question *q)
{
	static struct directory_entry e;
	struct buf b = BUF_INIT(QUESTION_MAX);
	bool rcpt = slice_starts(q->text, "4:rcpt,");
	struct asked asked;
	ck_assert_int_eq(directory_question_decode(&asked, q->text), 0);
	e = sample();
	if (asked.verb == ASKS_SALT)
		directory_salt_encode(&b, slice_str("r=x"), "0123456789012345678901234567890123456789");
	else
		directory_encode(&b, DIRECTORY_YES, "", rcpt ? NULL : &e);
	question_answer(q, buf_slice(&b), NULL, 0);
	buf_free(&b);
}

static void answer_rubbish(struct question *q)
{
	question_answer(q, slice_str("1:Y,0:,4:rubb"), NULL, 0);
}

static const struct {
	const char *spec;
	void (*answer)(struct question *q); /* NULL: nobody reads */
	enum directory_verdict want;
} answerers[] = {
	{"answered", answer_yes, DIRECTORY_YES},
	{"rubbish", answer_rubbish, DIRECTORY_TEMPORARY},
	{"died with the question in hand", question_drop, DIRECTORY_TEMPORARY},
	{"silent", NULL, DIRECTORY_TEMPORARY},
};

static void serve(int sock, void (*answer)(struct question *q))
{
	static char space[QUESTION_MAX];
	struct question q;
	struct err e;
	if (!answer)
		pause();
	if (question_receive(&q, sock, space, sizeof space, DEADLINE_NEVER, &e) == 0)
		answer(&q);
	_exit(0);
}

START_TEST(asking)
{
	static struct directory_entry entry;
	struct buf space = BUF_INIT(QUESTION_MAX);
	char text[DIRECTORY_TEXT_MAX] = "";
	struct directory_salt salt = {.server_first = "r=x"};
	struct directory_proof proof = {slice_str("anna"), slice_str("192.0.2.1"), &salt, slice_str("n=a,r=b"), slice_str("c=biws,r=x"), slice_str("p")};
	for (int which = 0; which < 5; which++) {
		int s[2];
		enum directory_verdict v;
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, s), 0);
		pid_t child = fork();
		if (child == 0)
			serve(s[1], answerers[_i].answer);
		int64_t deadline = deadline_in(answerers[_i].answer ? 5000 : 100);
		if (which == 0)
			v = directory_ask_recipient(text, s[0], slice_str("anna@campus.test"), deadline);
		else if (which == 1)
			v = directory_ask_route(&entry, &space, text, s[0], slice_str("anna@campus.test"), deadline);
		else if (which == 2)
			v = directory_ask_password(&entry, &space, text, s[0], slice_str("anna"), slice_str("pw"), slice_str("192.0.2.1"), deadline);
		else if (which == 3)
			v = directory_ask_proof(&entry, &space, text, s[0], &proof, deadline);
		else
			v = directory_ask_salt(&salt, text, s[0], slice_str("anna"), slice_str("nonce"), slice_str("192.0.2.1"), deadline);
		ck_assert_msg(v == answerers[_i].want, "%s: %c %s", answerers[_i].spec, v, text);
		ck_assert(v != DIRECTORY_YES || which == 0 || slice_eq_str(entry.uid, "anna"));
		kill(child, SIGKILL);
		close(s[0]);
		close(s[1]);
	}
	buf_free(&space);
}
END_TEST

/* Nobody is asked: the socket is no socket. */
START_TEST(empty_password_is_no)
{
	struct directory_entry entry;
	struct buf space = BUF_INIT(QUESTION_MAX);
	char text[DIRECTORY_TEXT_MAX];
	ck_assert_int_eq(directory_ask_password(&entry, &space, text, -1, slice_str("anna"), slice_str(""), slice_str(""), 0), DIRECTORY_NO);
	ck_assert_int_eq(directory_ask_password(&entry, &space, text, -1, slice_str(""), slice_str("x"), slice_str(""), 0), DIRECTORY_NO);
}
END_TEST

#define TICKET "0123456789012345678901234567890123456789"
static const struct {
	const char *spec;
	struct slice text;
	int want;
} salts[] = {
	{"yes", S("1:Y,0:,3:r=x,40:" TICKET ","), 0},
	{"temporary", S("1:T,3:why,"), 0},
	{"no is no answer to it", S("1:N,0:,"), E_PEER},
	{"nor is disabled", S("1:D,0:,"), E_PEER},
	{"a short ticket", S("1:Y,0:,3:r=x,39:012345678901234567890123456789012345678,"), E_PEER},
	{"no ticket", S("1:Y,0:,3:r=x,"), E_PEER},
	{"no message", S("1:Y,0:,"), E_PEER},
	{"a control character", S("1:Y,0:,3:r=\n,40:" TICKET ","), E_PEER},
	{"more behind it", S("1:Y,0:,3:r=x,40:" TICKET ",1:x,"), E_PEER},
	{"more behind temporary", S("1:T,0:,3:r=x,"), E_PEER},
};

START_TEST(salt_row)
{
	struct directory_salt out;
	char text[DIRECTORY_TEXT_MAX];
	enum directory_verdict v = DIRECTORY_NO;
	ck_assert_msg(directory_salt_decode(&v, text, &out, salts[_i].text) == salts[_i].want, "%s", salts[_i].spec);
	if (salts[_i].want == 0 && v == DIRECTORY_YES)
		ck_assert(!strcmp(out.server_first, "r=x") && !memcmp(out.ticket, TICKET, sizeof out.ticket));
}
END_TEST

static const struct {
	const char *spec;
	struct slice text;
	int want; /* verb, or E_PEER */
} questions[] = {
	{"rcpt", S("4:rcpt,1:a,"), ASKS_RECIPIENT},
	{"route", S("5:route,1:a,"), ASKS_ROUTE},
	{"group", S("5:group,1:a,"), ASKS_GROUP},
	{"auth", S("4:auth,1:a,1:b,0:,"), ASKS_PASSWORD},
	{"salt", S("4:salt,1:a,0:,1:n,"), ASKS_SALT},
	{"proof", S("5:proof,1:a,0:,1:t,1:s,1:b,1:w,1:p,"), ASKS_PROOF},
	{"no verb", S("4:prof,1:a,"), E_PEER},
	{"a verb too long", S("6:proofs,1:a,"), E_PEER},
	{"nothing", S(""), E_PEER},
	{"no name", S("4:rcpt,"), E_PEER},
	{"one more", S("4:rcpt,1:a,1:b,"), E_PEER},
	{"proof without proof", S("5:proof,1:a,0:,1:t,1:s,1:b,1:w,"), E_PEER},
	{"proof too long", S("5:proof,1:a,0:,1:t,1:s,1:b,1:w,33:012345678901234567890123456789012,"), E_PEER},
	{"ticket too long", S("5:proof,1:a,0:,41:" TICKET "x,1:s,1:b,1:w,1:p,"), E_PEER},
	{"a line feed in the nonce", S("4:salt,1:a,0:,1:\n,"), E_PEER},
	{"a line feed in the address", S("4:auth,1:a,1:b,1:\n,"), E_PEER},
};

START_TEST(question_row)
{
	struct asked q;
	struct buf b = BUF_INIT(QUESTION_MAX);
	int r = directory_question_decode(&q, questions[_i].text);
	ck_assert_msg((r < 0 ? r : (int)q.verb) == questions[_i].want, "%s", questions[_i].spec);
	if (r == 0) {
		directory_question_encode(&b, &q);
		ck_assert_msg(slice_eq(buf_slice(&b), questions[_i].text), "%s", questions[_i].spec);
	}
	buf_free(&b);
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof table[0])

int main(void)
{
	Suite *s = suite_create("query");
	TCase *c = tcase_create("query");
	tcase_add_loop_test(c, answer_row, 0, ROWS(answers));
	tcase_add_loop_test(c, salt_row, 0, ROWS(salts));
	tcase_add_loop_test(c, question_row, 0, ROWS(questions));
	tcase_add_test(c, truncations);
	tcase_add_test(c, limits);
	tcase_add_loop_test(c, asking, 0, ROWS(answerers));
	tcase_add_test(c, empty_password_is_no);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
