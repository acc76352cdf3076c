/* smtpd-outside/rates and allowance: the form of limits, buckets over time, networks, a table that does not grow; what a session is told. */
#include "smtpd-outside/rates.h"

#include <stdio.h>

#include "smtpd-outside/allowance.h"
#include "tests/unit/unit.h"

static const struct {
	const char *text;
	uint32_t most, sec;
	int rc;
	const char *spec;
} forms[] = {
	{"100/3600", 100, 3600, 0, "a limit"},
	{"1/1", 1, 1, 0, "the least"},
	{"1000000/86400", 1000000, 86400, 0, "the most"},
	{"0", 0, 0, 0, "none"},
	{"", 0, 0, E_SYNTAX, "nothing"},
	{"100", 0, 0, E_SYNTAX, "no time"},
	{"100/", 0, 0, E_SYNTAX, "no time"},
	{"/60", 0, 0, E_SYNTAX, "no number"},
	{"0/60", 0, 0, E_SYNTAX, "never"},
	{"100/0", 0, 0, E_SYNTAX, "no time at all"},
	{"1000001/60", 0, 0, E_SYNTAX, "one past"},
	{"100/86401", 0, 0, E_SYNTAX, "one past"},
	{"100/60/2", 0, 0, E_SYNTAX, "more"},
	{"-1/60", 0, 0, E_SYNTAX, "a sign"},
	{"100/1m", 0, 0, E_SYNTAX, "a unit"},
};

START_TEST(form)
{
	struct rate_limit l = {7, 7};
	struct err e = {0};
	ck_assert_msg(rate_parse(&l, slice_str(forms[_i].text), &e) == forms[_i].rc, "%s", forms[_i].spec);
	if (forms[_i].rc == 0)
		ck_assert_msg(l.most == forms[_i].most && l.sec == forms[_i].sec, "%s", forms[_i].spec);
	else
		ck_assert(e.text[0] && l.most == 7);
}
END_TEST

static struct ip address(const char *text)
{
	struct ip ip;
	ck_assert_int_eq(ip_parse(&ip, slice_str(text)), 0);
	return ip;
}

static struct rate_limits limits(enum rate_scope s, enum rate_counter k, uint32_t most, uint32_t sec)
{
	struct rate_limits l = {0};
	l.limit[s][k] = (struct rate_limit){most, sec};
	return l;
}

/* Three connections in 60 s: at once, then one every 20 s. */
START_TEST(bucket)
{
	struct rates *r = rates_make();
	struct rate_limits l = limits(RATE_ADDRESS, RATE_CONNECTIONS, 3, 60);
	struct ip ip = address("192.0.2.7"), other = address("192.0.2.8");
	struct err e;
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(rates_check(r, &l, &ip, 1000, &e), 0);
		rates_add(r, &l, &ip, RATE_CONNECTIONS, 1, 1000);
	}
	ck_assert_int_eq(rates_check(r, &l, &ip, 1000, &e), E_REFUSED);
	ck_assert_str_eq(e.text, "connectionsperip 4 of 3 in 60 s, again in 21 s");
	ck_assert_int_eq(rates_check(r, &l, &other, 1000, &e), 0);
	ck_assert_int_eq(rates_check(r, &l, &ip, 20900, &e), E_REFUSED);
	ck_assert_str_eq(e.text, "connectionsperip 4 of 3 in 60 s, again in 1 s");
	ck_assert_int_eq(rates_check(r, &l, &ip, 21000, &e), 0);
	rates_add(r, &l, &ip, RATE_CONNECTIONS, 1, 21000);
	ck_assert_int_eq(rates_check(r, &l, &ip, 40000, &e), E_REFUSED);
	ck_assert_int_eq(rates_check(r, &l, &ip, 41000, &e), 0);
	ck_assert_int_eq(rates_check(r, &l, &ip, 500, &e), E_REFUSED); /* a clock that stands still gives nothing back */
	rates_free(r);
}
END_TEST

static const struct {
	const char *first, *second;
	bool together;
	const char *spec;
} nets[] = {
	{"192.0.2.1", "192.0.2.254", true, "one /24"},
	{"192.0.2.1", "192.0.3.1", false, "two"},
	{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true, "one /64"},
	{"2001:db8::1", "2001:db8:0:1::1", false, "two"},
	{"192.0.2.0", "::192.0.2.0", false, "IPv4 and IPv6 are apart"},
};

START_TEST(network)
{
	struct rates *r = rates_make();
	struct rate_limits l = limits(RATE_NETWORK, RATE_RECIPIENTS, 10, 100);
	struct ip first = address(nets[_i].first), second = address(nets[_i].second);
	enum rate_scope scope;
	struct err e;
	ck_assert_int_eq(rates_left(&scope, r, &l, &first, RATE_RECIPIENTS, 1), 10);
	rates_add(r, &l, &first, RATE_RECIPIENTS, 10, 1);
	ck_assert_msg(rates_check(r, &l, &second, 1, &e) == (nets[_i].together ? E_REFUSED : 0), "%s", nets[_i].spec);
	ck_assert_msg(rates_left(&scope, r, &l, &second, RATE_RECIPIENTS, 1) == (nets[_i].together ? 0 : 10) && scope == RATE_NETWORK, "%s", nets[_i].spec);
	ck_assert_int_eq(rates_left(&scope, r, &l, &second, RATE_MESSAGES, 1), -1);
	if (nets[_i].together)
		ck_assert_str_eq(e.text, "recipientspernet 10 of 10 in 100 s, again in 11 s");
	rates_free(r);
}
END_TEST

START_TEST(debt_is_bounded)
{
	struct rates *r = rates_make();
	struct rate_limits l = limits(RATE_ADDRESS, RATE_MESSAGES, 10, 100);
	struct ip ip = address("192.0.2.7");
	struct err e;
	rates_add(r, &l, &ip, RATE_MESSAGES, 1000000, 1);
	ck_assert_int_eq(rates_check(r, &l, &ip, 1, &e), E_REFUSED);
	ck_assert_str_eq(e.text, "messagesperip 20 of 10 in 100 s, again in 111 s");
	ck_assert_int_eq(rates_check(r, &l, &ip, 110100, &e), 0);
	rates_free(r);
}
END_TEST

/* The scopes have limits of their own; the lesser allowance counts. */
START_TEST(both)
{
	struct rates *r = rates_make();
	struct rate_limits l = limits(RATE_ADDRESS, RATE_MESSAGES, 5, 100);
	struct ip ip = address("192.0.2.7"), other = address("192.0.2.8");
	enum rate_scope scope;
	l.limit[RATE_NETWORK][RATE_MESSAGES] = (struct rate_limit){8, 100};
	rates_add(r, &l, &ip, RATE_MESSAGES, 4, 1);
	ck_assert_int_eq(rates_left(&scope, r, &l, &ip, RATE_MESSAGES, 1), 1);
	ck_assert_int_eq(scope, RATE_ADDRESS);
	rates_add(r, &l, &other, RATE_MESSAGES, 3, 1);
	ck_assert_int_eq(rates_left(&scope, r, &l, &other, RATE_MESSAGES, 1), 1);
	ck_assert_int_eq(scope, RATE_NETWORK);
	rates_free(r);
}
END_TEST

/* A million addresses: the table stays as it is, and the one that goes on is still known. */
START_TEST(bounded)
{
	struct rates *r = rates_make();
	struct rate_limits l = limits(RATE_ADDRESS, RATE_ERRORS, 10, 86400);
	struct ip known = address("192.0.2.7");
	struct err e;
	for (unsigned i = 1; i <= 1000000; i++) {
		struct ip ip = {{[10] = 0xff, 0xff, 10, (unsigned char)(i >> 16), (unsigned char)(i >> 8), (unsigned char)i}};
		rates_add(r, &l, &ip, RATE_ERRORS, 1, i);
		if (i % 1000 == 0)
			rates_add(r, &l, &known, RATE_ERRORS, 1, i);
	}
	ck_assert_int_eq(rates_check(r, &l, &known, 1000000, &e), E_REFUSED);
	rates_free(r);
}
END_TEST

START_TEST(variables)
{
	enum rate_scope s;
	enum rate_counter k;
	ck_assert(rate_variable(&s, &k, slice_str("RECIPIENTSPERNET")) && s == RATE_NETWORK && k == RATE_RECIPIENTS);
	ck_assert(!rate_variable(&s, &k, slice_str("RECIPIENTSPERHOST")));
}
END_TEST

static const struct {
	const char *value;
	long left;
	const char *text;
} told[] = {
	{"12 messagesperip 100 3600", 12, "messagesperip 100 of 100 in 3600 s, again in 37 s"},
	{"0 messagespernet 1 1", 0, "messagespernet 1 of 1 in 1 s, again in 2 s"},
	{"12 messagesperip 100", -1, ""},
	{"-1 messagesperip 100 3600", -1, ""},
	{"12 messagesperip 0 3600", -1, ""},
	{"", -1, ""},
};

START_TEST(allowance)
{
	struct handover h = {.var = {{slice_str("LEFT_MESSAGES"), slice_str(told[_i].value)}}, .vars = 1};
	struct rate_limit limit = {100, 3600};
	struct allowance a;
	char text[ALLOWANCE_TEXT_MAX];
	allowance_of(&a, &h, ALLOWANCE_MESSAGES);
	ck_assert_int_eq(a.left, told[_i].left);
	ck_assert_str_eq(a.text, told[_i].text);
	ck_assert(allowance_spent(&a, 12) == (a.left >= 0) && allowance_spent(&a, 11) == (a.left == 0));
	allowance_encode(text, 12, "messagesperip", &limit);
	ck_assert_str_eq(text, told[0].value);
	allowance_of(&a, &h, ALLOWANCE_RECIPIENTS);
	ck_assert(!allowance_spent(&a, 1000000));
}
END_TEST

UNIT_MAIN("rates",
	tcase_add_loop_test(t, form, 0, sizeof forms / sizeof *forms);
	tcase_add_test(t, bucket);
	tcase_add_loop_test(t, network, 0, sizeof nets / sizeof *nets);
	tcase_add_test(t, debt_is_bounded);
	tcase_add_test(t, both);
	tcase_add_test(t, bounded);
	tcase_add_test(t, variables);
	tcase_add_loop_test(t, allowance, 0, sizeof told / sizeof *told);)
