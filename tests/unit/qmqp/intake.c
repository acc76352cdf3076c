/* QMQP received in pieces of every size, and what the far side may answer. */
#include "qmqp/intake.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/io.h"
#include "qmqp/origin.h"
#include "qmqp/qmqpc.h"
#include "tests/unit/unit.h"

static void check_whole(struct qmqp_intake *q)
{
	char body[8];
	ck_assert(slice_eq_str(data_header_header(&q->header), "Subject: x\nTo: y\n\n"));
	ck_assert_uint_eq(q->body_octets, 8);
	ck_assert_int_eq(io_pread_all(q->body_fd, body, 8, 0, NULL), 0);
	ck_assert_mem_eq(body, "hello\n!\n", 8);
	ck_assert_uint_eq(q->count, 3);
	ck_assert(slice_eq_str(qmqp_intake_field(q, 0), "a@b") && slice_eq_str(qmqp_intake_field(q, 1), "u1@campus.tst"));
	ck_assert(slice_eq_str(qmqp_intake_field(q, 2), "u2@c.tst") && !qmqp_intake_refusal(q));
}

/* The sample; the outer length is counted. */
static void make(char out[128])
{
	char inner[100];
	int n = snprintf(inner, sizeof inner, "26:Subject: x\nTo: y\n\nhello\n!\n,3:a@b,13:u1@campus.tst,8:u2@c.tst,");
	snprintf(out, 128, "%d:%s,", n, inner);
}

START_TEST(every_split)
{
	char text[128];
	make(text);
	size_t n = strlen(text);
	for (size_t k = 0; k <= n; k++) {
		struct qmqp_intake q;
		struct err e = {0};
		qmqp_intake_begin(&q, memfd_make("t", NULL), 1000);
		int rc = qmqp_intake_feed(&q, text, k, &e);
		if (k < n) {
			ck_assert_msg(rc == 0, "%zu: %s", k, e.text);
			rc = qmqp_intake_feed(&q, text + k, n - k, &e);
		}
		ck_assert_msg(rc == 1, "%zu: %d %s", k, rc, e.text);
		check_whole(&q);
		close(q.body_fd);
		qmqp_intake_free(&q);
	}
}
END_TEST

static int feed(const char *text, size_t most)
{
	struct qmqp_intake q;
	struct err e;
	qmqp_intake_begin(&q, memfd_make("t", NULL), most);
	int rc = qmqp_intake_feed(&q, text, strlen(text), &e);
	close(q.body_fd);
	qmqp_intake_free(&q);
	return rc;
}

START_TEST(limits)
{
	ck_assert_int_eq(feed("20:5:hello,1:a,6:u@c.de,,", 5), E_SYNTAX); /* the outer length is one short */
	ck_assert_int_eq(feed("21:5:hello,1:a,6:u@c.de,,", 5), 1);
	ck_assert_msg(feed("21:5:hello,1:a,6:u@c.de,,", 4) == E_TOO_LONG, "one octet over databytes");
	ck_assert_int_eq(feed("22:5:hello,1:a,6:u@c.de,,", 5), E_SYNTAX);
	ck_assert_int_eq(feed("0:,", 5), E_SYNTAX);
	ck_assert_int_eq(feed("200000000:", 5), 0);
	ck_assert_int_eq(feed("200000001:", 5), E_TOO_LONG);
	ck_assert_int_eq(feed("1000:5:hello,320:", 5), 0);
	ck_assert_int_eq(feed("1000:5:hello,321:", 5), E_TOO_LONG);
}
END_TEST

static const struct {
	const char *answer, *text;
	char status; /* 0: not an answer */
} answers[] = {
	{"3:Kok,", "ok", 'K'}, {"1:K,", "", 'K'}, {"5:Zbusy,", "busy", 'Z'}, {"5:Zbusy", NULL, 0}, {"5:Zbus\n,", "bus?", 'Z'}, {"3:Dno,", "no", 'D'},
	{"3:Xno,", NULL, 0}, {"0:,", NULL, 0}, {"3:Kok,x", NULL, 0}, {"", NULL, 0}, {"03:Kok,", NULL, 0}, {"9999:K", NULL, 0},
};

START_TEST(answer)
{
	struct qmqp_fate f;
	bool good = qmqp_answer_parse(&f, slice_str(answers[_i].answer));
	ck_assert_int_eq(good, answers[_i].status != 0);
	if (good) {
		ck_assert_int_eq((char)f.status, answers[_i].status);
		ck_assert_str_eq(f.text, answers[_i].text);
	}
}
END_TEST

#define O "X-Postern-Origin: 0123456789abc"
static const struct {
	const char *header, *rest; /* NULL: no such field */
	bool again;
} origins[] = {
	{O "\nReceived: x\n\n", "Received: x\n\n", false}, {O " again\nReceived: x\n\n", "Received: x\n\n", true}, {O "\n", "", false},
	{.header = O}, {.header = O " again"}, {.header = O " agai\n"}, {.header = O " \n"}, {.header = O "d\n"}, {.header = "X-Postern-Origin: 0123456789ab\n"},
	{.header = "X-Postern-Origin: 0123456789ABC\n\n"}, {.header = "X-Postern-Origin:0123456789abc\n\n"}, {.header = O "\n folded\n\n"}, {.header = O "\n\tfolded\n\n"},
	{.header = "Received: x\n" O "\n\n"}, {.header = "X-Postern-Origin: ../../../x.y\n\n"}, {.header = ""}, {.header = "\n" O "\n"},
};

START_TEST(origin)
{
	struct slice id = {0}, header = slice_str(origins[_i].header);
	bool again = false, found = origin_take(&id, &again, &header);
	ck_assert_int_eq(found, origins[_i].rest != NULL);
	ck_assert(slice_eq_str(header, found ? origins[_i].rest : origins[_i].header));
	ck_assert(!found || (slice_eq_str(id, "0123456789abc") && again == origins[_i].again));
	struct buf b = BUF_INIT(100);
	origin_add(&b, "0123456789abc", again);
	ck_assert(!found || slice_eq(slice_upto(slice_str(origins[_i].header), b.n), buf_slice(&b)));
	buf_free(&b);
}
END_TEST

UNIT_MAIN("qmqp",
	tcase_add_test(t, every_split);
	tcase_add_test(t, limits);
	tcase_add_loop_test(t, answer, 0, sizeof answers / sizeof *answers);
	tcase_add_loop_test(t, origin, 0, sizeof origins / sizeof *origins);)
