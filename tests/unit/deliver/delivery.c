/* Unit tests of deliver/delivery.c. */
#include "deliver/delivery.h"

#include <check.h>
#include <stdlib.h>

#define S(text) {text, sizeof text - 1}
#define ID "0123456789abc"

static const struct target local = {.agent = AGENT_LOCAL, .address = S("anna@campus.test"), .destination = S("anna"),
	.maildir = S("/srv/mail/anna/Maildir"), .uid_number = 1000, .gid_number = 1001, .quota_octets = 5000000000, .quota_count = 7, .size_most = 9};
static const struct target none = {.agent = AGENT_NONE, .address = S("x@campus.test"), .uid_number = -1, .gid_number = -1,
	.status = DELIVERY_FAILED, .enhanced = "5.1.1", .text = S("no such mailbox")};

static bool target_same(const struct target *a, const struct target *b)
{
	return a->agent == b->agent && slice_eq(a->address, b->address) && slice_eq(a->destination, b->destination) && slice_eq(a->maildir, b->maildir)
		&& a->uid_number == b->uid_number && a->gid_number == b->gid_number && a->quota_octets == b->quota_octets
		&& a->quota_count == b->quota_count && a->size_most == b->size_most && a->status == b->status
		&& !strcmp(a->enhanced, b->enhanced) && slice_eq(a->text, b->text);
}

/* Each row is one change of a good target; spec says what must become of it. */
static const struct {
	const char *spec;
	struct target t;
	int want;
} targets[] = {
	{"a mailbox", {.agent = AGENT_LOCAL, .address = S("a@b"), .destination = S("a"), .maildir = S("/m"), .uid_number = -1, .gid_number = -1}, 0},
	{"remote", {.agent = AGENT_REMOTE, .address = S("a@b"), .destination = S("b"), .uid_number = -1, .gid_number = -1}, 0},
	{"a cluster host", {.agent = AGENT_QMQP, .address = S("a@b"), .destination = S("mx2.b"), .uid_number = -1, .gid_number = -1}, 0},
	{"LMTP", {.agent = AGENT_LMTP, .address = S("a@b"), .destination = S("h:24"), .uid_number = -1, .gid_number = -1}, 0},
	{"deferred", {.agent = AGENT_NONE, .address = S("a@b"), .status = DELIVERY_DEFERRED, .enhanced = "4.4.3", .text = S("later")}, 0},
	{"failed without text", {.agent = AGENT_NONE, .address = S("a@b"), .status = DELIVERY_FAILED, .enhanced = "5.999.999"}, 0},
	{"no address", {.agent = AGENT_REMOTE, .destination = S("b")}, E_PEER},
	{"NUL in address", {.agent = AGENT_REMOTE, .address = S("a\0@b"), .destination = S("b")}, E_PEER},
	{"NUL in maildir", {.agent = AGENT_LOCAL, .address = S("a@b"), .destination = S("a"), .maildir = S("/m\0n")}, E_PEER},
	{"relative maildir", {.agent = AGENT_LOCAL, .address = S("a@b"), .destination = S("a"), .maildir = S("m")}, E_PEER},
	{"local without maildir", {.agent = AGENT_LOCAL, .address = S("a@b"), .destination = S("a")}, E_PEER},
	{"no destination", {.agent = AGENT_REMOTE, .address = S("a@b")}, E_PEER},
	{"control octet in destination", {.agent = AGENT_REMOTE, .address = S("a@b"), .destination = S("b\n")}, E_PEER},
	{"unknown agent", {.agent = (enum agent)'z', .address = S("a@b"), .destination = S("b")}, E_PEER},
	{"user number 2^32-2", {.agent = AGENT_LOCAL, .address = S("a@b"), .destination = S("a"), .maildir = S("/m"), .uid_number = 4294967294}, 0},
	{"user number 2^32-1 is nobody's", {.agent = AGENT_LOCAL, .address = S("a@b"), .destination = S("a"), .maildir = S("/m"), .uid_number = 4294967295}, E_PEER},
	{"user number -2", {.agent = AGENT_LOCAL, .address = S("a@b"), .destination = S("a"), .maildir = S("/m"), .uid_number = -2}, E_PEER},
	{"negative quota", {.agent = AGENT_LOCAL, .address = S("a@b"), .destination = S("a"), .maildir = S("/m"), .quota_octets = -1}, E_PEER},
	{"none without status", {.agent = AGENT_NONE, .address = S("a@b"), .enhanced = "5.1.1"}, E_PEER},
	{"none, delivered", {.agent = AGENT_NONE, .address = S("a@b"), .status = DELIVERY_DONE, .enhanced = "2.0.0"}, E_PEER},
	{"failed with a 4", {.agent = AGENT_NONE, .address = S("a@b"), .status = DELIVERY_FAILED, .enhanced = "4.4.3"}, E_PEER},
	{"two parts", {.agent = AGENT_NONE, .address = S("a@b"), .status = DELIVERY_FAILED, .enhanced = "5.1"}, E_PEER},
	{"four parts", {.agent = AGENT_NONE, .address = S("a@b"), .status = DELIVERY_FAILED, .enhanced = "5.1.1.1"}, E_PEER},
	{"four digits", {.agent = AGENT_NONE, .address = S("a@b"), .status = DELIVERY_FAILED, .enhanced = "5.1.1000"}, E_PEER},
	{"class of two digits", {.agent = AGENT_NONE, .address = S("a@b"), .status = DELIVERY_FAILED, .enhanced = "50.1.1"}, E_PEER},
};

START_TEST(target_row)
{
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct target got;
	target_encode(&b, &targets[_i].t);
	ck_assert(!b.overflow);
	struct slice rest = buf_slice(&b);
	ck_assert_msg(target_decode(&got, &rest) == targets[_i].want, "%s", targets[_i].spec);
	if (targets[_i].want == 0) {
		ck_assert_msg(target_same(&got, &targets[_i].t), "%s", targets[_i].spec);
		ck_assert_int_eq(target_decode(&got, &rest), E_EOF);
	}
	buf_free(&b);
}
END_TEST

static int target_with_address(size_t n)
{
	static char text[1000];
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct target got, t = {.agent = AGENT_REMOTE, .destination = S("b")};
	memset(text, 'a', sizeof text);
	t.address = slice_make(text, n);
	target_encode(&b, &t);
	struct slice rest = buf_slice(&b);
	int r = target_decode(&got, &rest);
	buf_free(&b);
	return r;
}

START_TEST(target_limits)
{
	ck_assert_int_eq(target_with_address(320), 0);
	ck_assert_int_eq(target_with_address(321), E_PEER);
}
END_TEST

START_TEST(text_is_made_printable_and_cut)
{
	char text[500];
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct delivery_result got, r = {.status = DELIVERY_DEFERRED, .enhanced = "4.2.0", .host = S("h\n"), .text = {text, sizeof text}};
	memset(text, '\r', sizeof text);
	result_encode(&b, &r);
	struct slice rest = buf_slice(&b);
	ck_assert_int_eq(result_decode(&got, &rest), 0);
	ck_assert_uint_eq(got.text.n, DELIVERY_TEXT_MAX);
	ck_assert(got.text.p[0] == '?' && slice_eq_str(got.host, "h?"));
	buf_free(&b);
}
END_TEST

START_TEST(questions)
{
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct slice id, sender, address;
	route_question(&b, slice_str(ID), slice_str(""), slice_str("anna@campus.test"));
	ck_assert_int_eq(route_question_decode(&id, &sender, &address, buf_slice(&b)), 0);
	ck_assert(slice_eq_str(id, ID) && sender.n == 0 && slice_eq_str(address, "anna@campus.test"));
	for (size_t n = 0; n < b.n; n++)
		ck_assert_int_eq(route_question_decode(&id, &sender, &address, slice_upto(buf_slice(&b), n)), E_PEER);
	buf_add_char(&b, 'x');
	ck_assert_int_eq(route_question_decode(&id, &sender, &address, buf_slice(&b)), E_PEER);
	buf_reset(&b);
	route_question(&b, slice_str(ID), slice_str("s@x"), slice_str(""));
	ck_assert_int_eq(route_question_decode(&id, &sender, &address, buf_slice(&b)), E_PEER);
	buf_reset(&b);
	route_question(&b, slice_str("short"), slice_str("s@x"), slice_str("a@b"));
	ck_assert_int_eq(route_question_decode(&id, &sender, &address, buf_slice(&b)), E_PEER);
	buf_free(&b);
}
END_TEST

static void make_delivery(struct delivery *d, size_t count)
{
	*d = (struct delivery){.id = ID, .sender = S("s@far.test"), .attempt = 3, .doubt = true, .size_octets = 1234, .smtputf8 = true, .ret = 'H',
		.envid = S("QQ+3D1"), .count = count};
	for (size_t i = 0; i < count && i < DELIVERY_RECIPIENTS_MAX; i++) {
		d->rcpt[i].number = (long long)i * 7;
		d->rcpt[i].target = local;
		d->rcpt[i].original = slice_str("a.b@old.test");
		memcpy(d->rcpt[i].notify, "SF", 3);
		d->rcpt[i].orcpt = slice_str("rfc822;a.b+40old.test");
	}
}

START_TEST(delivery_round_trip)
{
	static struct delivery d, got;
	struct slice rest;
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct err e;
	make_delivery(&d, DELIVERY_RECIPIENTS_MAX);
	delivery_encode(&b, &d);
	ck_assert(!b.overflow);
	ck_assert_int_eq(delivery_decode(&got, &rest, buf_slice(&b), &e), 0);
	ck_assert_uint_eq(rest.n, 0);
	ck_assert(!strcmp(got.id, ID) && slice_eq_str(got.sender, "s@far.test") && got.attempt == 3 && got.doubt && got.size_octets == 1234);
	ck_assert(got.smtputf8 && !got.requiretls && got.ret == 'H' && slice_eq_str(got.envid, "QQ+3D1"));
	ck_assert(!strcmp(got.rcpt[99].notify, "SF") && slice_eq_str(got.rcpt[99].orcpt, "rfc822;a.b+40old.test"));
	ck_assert_uint_eq(got.count, DELIVERY_RECIPIENTS_MAX);
	for (size_t i = 0; i < got.count; i++)
		ck_assert(got.rcpt[i].number == (long long)i * 7 && target_same(&got.rcpt[i].target, &local) && slice_eq_str(got.rcpt[i].original, "a.b@old.test"));
	for (size_t n = 0; n < b.n; n += 7)
		ck_assert_int_eq(delivery_decode(&got, &rest, slice_upto(buf_slice(&b), n), &e), E_PEER);
	buf_add_str(&b, "1:h,1:b,");
	ck_assert_int_eq(delivery_decode(&got, &rest, buf_slice(&b), &e), 0);
	ck_assert_msg(slice_eq_str(rest, "1:h,1:b,"), "what follows is the message's");
	buf_free(&b);
}
END_TEST

static void set_count_0(struct delivery *d) { d->count = 0; }
static void set_attempt_0(struct delivery *d) { d->attempt = 0; }
static void set_bad_id(struct delivery *d) { d->id[0] = '*'; }
static void set_no_agent(struct delivery *d) { d->rcpt[0].target = none; }
static void set_negative_number(struct delivery *d) { d->rcpt[0].number = -1; }
static void set_nul_sender(struct delivery *d) { d->sender = slice_make("a\0b", 3); }

static void set_bad_ret(struct delivery *d) { d->ret = 'X'; }
static void set_bad_notify(struct delivery *d) { memcpy(d->rcpt[0].notify, "FX", 3); }
static void set_long_orcpt(struct delivery *d)
{
	static char text[ORCPT_MAX + 1];
	memset(text, 'a', sizeof text);
	d->rcpt[0].orcpt = slice_make(text, sizeof text);
}
static void set_control_envid(struct delivery *d) { d->envid = slice_str("a\n"); }

static const struct {
	const char *spec;
	void (*change)(struct delivery *d);
} bad_deliveries[] = {
	{"no recipients", set_count_0}, {"attempt 0", set_attempt_0}, {"id of other octets", set_bad_id},
	{"a recipient without agent", set_no_agent}, {"a negative number", set_negative_number}, {"NUL in sender", set_nul_sender},
	{"RET=X", set_bad_ret}, {"NOTIFY with X", set_bad_notify}, {"ORCPT of 501 octets", set_long_orcpt}, {"a line end in ENVID", set_control_envid},
};

START_TEST(delivery_bad)
{
	static struct delivery d, got;
	struct slice rest;
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct err e;
	make_delivery(&d, 1);
	bad_deliveries[_i].change(&d);
	delivery_encode(&b, &d);
	ck_assert_msg(delivery_decode(&got, &rest, buf_slice(&b), &e) == E_PEER, "%s", bad_deliveries[_i].spec);
	buf_free(&b);
}
END_TEST

/* One recipient more than the limit, put together by hand. */
START_TEST(delivery_one_too_many)
{
	static struct delivery d, got;
	struct slice rest;
	struct buf b = BUF_INIT(QUESTION_MAX), t = BUF_INIT(QUESTION_MAX);
	struct err e;
	make_delivery(&d, DELIVERY_RECIPIENTS_MAX);
	delivery_encode(&b, &d);
	struct slice whole = buf_slice(&b);
	const char *at = memmem(whole.p, whole.n, "3:100,", 6);
	ck_assert_ptr_nonnull(at);
	buf_add(&t, whole.p, (size_t)(at - whole.p));
	buf_add_str(&t, "3:101,");
	buf_add(&t, at + 6, whole.n - (size_t)(at - whole.p) - 6);
	buf_add_str(&t, "1:1,");
	target_encode(&t, &local);
	buf_add_str(&t, "1:o,0:,0:,");
	ck_assert_int_eq(delivery_decode(&got, &rest, buf_slice(&t), &e), E_PEER);
	buf_free(&b);
	buf_free(&t);
}
END_TEST

static const struct {
	const char *spec;
	struct delivery_result r;
	int want;
} results[] = {
	{"delivered", {.number = 0, .status = DELIVERY_DONE, .enhanced = "2.1.5", .text = S("stored")}, 0},
	{"deferred by a host", {.number = 19999, .status = DELIVERY_DEFERRED, .enhanced = "4.2.2", .host = S("mx.far.test"), .text = S("full")}, 0},
	{"failed", {.number = 1, .status = DELIVERY_FAILED, .enhanced = "5.1.1"}, 0},
	{"relayed", {.number = 1, .status = DELIVERY_DONE, .enhanced = "2.0.0", .relay = RELAY_PLAIN}, 0},
	{"deferred and relayed", {.number = 1, .status = DELIVERY_DEFERRED, .enhanced = "4.0.0", .relay = RELAY_PLAIN}, E_PEER},
	{"deferred in doubt", {.number = 1, .status = DELIVERY_DEFERRED, .enhanced = "4.4.2", .relay = RELAY_DOUBT}, 0},
	{"delivered in doubt", {.number = 1, .status = DELIVERY_DONE, .enhanced = "2.0.0", .relay = RELAY_DOUBT}, E_PEER},
	{"failed in doubt", {.number = 1, .status = DELIVERY_FAILED, .enhanced = "5.0.0", .relay = RELAY_DOUBT}, E_PEER},
	{"unknown relay", {.number = 1, .status = DELIVERY_DONE, .enhanced = "2.0.0", .relay = (enum delivery_relay)'x'}, E_PEER},
	{"unknown status", {.status = (enum delivery_status)'Q', .enhanced = "5.1.1"}, E_PEER},
	{"delivered with a 5", {.status = DELIVERY_DONE, .enhanced = "5.1.1"}, E_PEER},
	{"no enhanced code", {.status = DELIVERY_DONE, .enhanced = ""}, E_PEER},
	{"negative number", {.number = -1, .status = DELIVERY_DONE, .enhanced = "2.0.0"}, E_PEER},
};

START_TEST(result_row)
{
	struct buf b = BUF_INIT(QUESTION_MAX);
	struct delivery_result got;
	result_encode(&b, &results[_i].r);
	struct slice rest = buf_slice(&b);
	ck_assert_msg(result_decode(&got, &rest) == results[_i].want, "%s", results[_i].spec);
	if (results[_i].want == 0) {
		ck_assert(got.number == results[_i].r.number && got.status == results[_i].r.status && slice_eq(got.host, results[_i].r.host));
		ck_assert(slice_eq(got.text, results[_i].r.text) && !strcmp(got.enhanced, results[_i].r.enhanced));
		ck_assert_int_eq(result_decode(&got, &rest), E_EOF);
	}
	for (size_t n = 1; n < b.n; n++) {
		rest = slice_upto(buf_slice(&b), n);
		ck_assert_int_eq(result_decode(&got, &rest), E_PEER);
	}
	buf_free(&b);
}
END_TEST

START_TEST(marks)
{
	static const enum delivery_mark all[] = {MARK_CONNECTED, MARK_READY, MARK_BUSY};
	static const char *const wrong[] = {"", "1:X,", "1:R", "1:R,1:R,", "2:RR,", "0:,,", "1:R,x"};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct buf b = BUF_INIT(100);
		mark_encode(&b, all[i]);
		struct slice rest = buf_slice(&b);
		ck_assert_int_eq(mark_decode(&rest), all[i]);
		ck_assert_uint_eq(rest.n, 0);
		buf_free(&b);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct slice rest = slice_str(wrong[i]);
		ck_assert_int_eq(mark_decode(&rest), MARK_NONE);
		ck_assert_uint_eq(rest.n, strlen(wrong[i]));
	}
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof table[0])

int main(void)
{
	Suite *s = suite_create("delivery");
	TCase *c = tcase_create("delivery");
	tcase_add_loop_test(c, target_row, 0, ROWS(targets));
	tcase_add_test(c, target_limits);
	tcase_add_test(c, text_is_made_printable_and_cut);
	tcase_add_test(c, questions);
	tcase_add_test(c, delivery_round_trip);
	tcase_add_loop_test(c, delivery_bad, 0, ROWS(bad_deliveries));
	tcase_add_test(c, delivery_one_too_many);
	tcase_add_test(c, marks);
	tcase_add_loop_test(c, result_row, 0, ROWS(results));
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
