/* Unit tests of skim/respond_order.c. */
#include "skim/respond.h"

#include <check.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/netstring.h"

static struct respond_order sample(size_t addresses)
{
	struct respond_order o = {.user = slice_str("anna"), .code = slice_str("WJW-MWX"), .state = RESPOND_LOCKED, .since = 1795000000, .score = 123,
		.rules = slice_str("L3,S1"), .why = slice_str("in Lagos 2 h after Potsdam; gr\xc3\xbc\xc3\x9f""e"), .addresses = addresses};
	for (size_t i = 0; i < addresses; i++) {
		o.address[i].a[10] = o.address[i].a[11] = 0xff;
		o.address[i].a[12] = 192, o.address[i].a[15] = (unsigned char)i;
	}
	return o;
}

static bool same(const struct respond_order *a, const struct respond_order *b)
{
	return slice_eq(a->user, b->user) && slice_eq(a->code, b->code) && a->state == b->state && a->since == b->since && a->score == b->score &&
		slice_eq(a->rules, b->rules) && slice_eq(a->why, b->why) && a->addresses == b->addresses &&
		memcmp(a->address, b->address, a->addresses * sizeof a->address[0]) == 0;
}

START_TEST(test_round)
{
	struct respond_order o = sample((size_t)_i), back;
	struct buf b = BUF_INIT(RESPOND_ORDER_MAX);
	o.state = (enum respond_state)(_i % RESPOND_STATES);
	respond_order_encode(&b, &o);
	ck_assert(!b.overflow);
	ck_assert_int_eq(respond_order_decode(&back, buf_slice(&b), NULL), 0);
	ck_assert(same(&o, &back));
	for (size_t n = 0; n < b.n; n++)
		ck_assert_int_eq(respond_order_decode(&back, slice_upto(buf_slice(&b), n), NULL), E_PEER);
	buf_free(&b);
}
END_TEST

static const struct row {
	const char *spec;
	const char *user, *code, *since, *score, *state, *rules, *count, *address;
	int want;
} rows[] = {
	{"as it should be", "anna", "WJW-MWX", "1", "2", "h", "", "1", "::1", 0},
	{"no user", "", "A", "1", "2", "h", "", "1", "::1", E_PEER},
	{"a line end in the user", "an\nna", "A", "1", "2", "h", "", "1", "::1", E_PEER},
	{"no code", "anna", "", "1", "2", "h", "", "1", "::1", E_PEER},
	{"a blank in the code", "anna", "A B", "1", "2", "h", "", "1", "::1", E_PEER},
	{"a code that is too long", "anna", "ABCDEFGHIJ", "1", "2", "h", "", "1", "::1", E_PEER},
	{"no such state", "anna", "A", "1", "2", "x", "", "1", "::1", E_PEER},
	{"before 1970", "anna", "A", "-1", "2", "h", "", "1", "::1", E_PEER},
	{"rules with control characters", "anna", "A", "1", "2", "h", "L1\x1b", "1", "::1", E_PEER},
	{"not an address", "anna", "A", "1", "2", "h", "", "1", "1.2.3", E_PEER},
	{"more addresses than said", "anna", "A", "1", "2", "h", "", "0", "::1", E_PEER},
	{"fewer addresses than said", "anna", "A", "1", "2", "h", "", "2", "::1", E_PEER},
	{"more than there may be", "anna", "A", "1", "2", "h", "", "25", "::1", E_PEER},
};

START_TEST(test_refused)
{
	const struct row *r = &rows[_i];
	const char *fields[] = {r->user, r->code, r->state, r->since, r->score, r->rules, "because", r->count, r->address};
	struct buf b = BUF_INIT(RESPOND_ORDER_MAX);
	struct respond_order out;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		netstring_add_str(&b, fields[i]);
	ck_assert_msg(respond_order_decode(&out, buf_slice(&b), NULL) == r->want, "%s", r->spec);
	buf_free(&b);
}
END_TEST

START_TEST(test_send)
{
	struct respond_order o = sample(RESPOND_ADDRESSES_MAX);
	char why[RESPOND_WHY_MAX + 2], rules[RESPOND_RULES_MAX + 1], user[ADDRESS_MAX];
	struct err e;
	int pair[2], sent = 0, rc;
	ck_assert_int_eq(respond_send(-1, &o, &e), E_NOT_FOUND);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	memset(why, 'w', sizeof why);
	memset(rules, 'r', sizeof rules);
	memset(user, 'u', sizeof user);
	o.rules = slice_make(rules, RESPOND_RULES_MAX), o.user = slice_make(user, sizeof user), o.why = slice_make(why, RESPOND_WHY_MAX + 1);
	ck_assert_int_eq(respond_send(pair[1], &o, &e), E_PEER);
	o.why = slice_make(why, RESPOND_WHY_MAX);
	ck_assert_int_eq(respond_send(pair[1], &o, &e), 0);
	while ((rc = respond_send(pair[1], &o, &e)) == 0 && sent < 100000) /* nobody reads: it must not wait */
		sent++;
	ck_assert_int_eq(rc, E_TIMEOUT);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("respond_order");
	TCase *t = tcase_create("order");
	tcase_add_loop_test(t, test_round, 0, RESPOND_ADDRESSES_MAX + 1);
	tcase_add_loop_test(t, test_refused, 0, sizeof rows / sizeof *rows);
	tcase_add_test(t, test_send);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
