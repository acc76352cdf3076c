/* smtpd-outside/limits. */
#include "smtpd-outside/limits.h"

#include "tests/unit/unit.h"

static struct ip ip_of(const char *text)
{
	struct ip ip;
	ck_assert_int_eq(ip_parse(&ip, slice_str(text)), 0);
	return ip;
}

START_TEST(counts)
{
	struct limits *l = limits_make();
	struct ip a = ip_of("192.0.2.1"), b = ip_of("192.0.2.2"), c = ip_of("192.0.3.1");
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(limits_enter(l, &a), 0);
	ck_assert_int_eq(limits_enter(l, &b), 0);
	ck_assert_uint_eq(limits_address(l, &a), 3);
	ck_assert_uint_eq(limits_network(l, &a), 4);
	ck_assert_uint_eq(limits_address(l, &c), 0);
	ck_assert_uint_eq(limits_network(l, &c), 0);
	limits_leave(l, &a);
	limits_leave(l, &b);
	ck_assert_uint_eq(limits_address(l, &b), 0);
	ck_assert_uint_eq(limits_network(l, &b), 2);
	limits_leave(l, &a);
	limits_leave(l, &a);
	ck_assert_uint_eq(limits_size(l), 0);
	limits_free(l);
}
END_TEST

START_TEST(networks)
{
	struct limits *l = limits_make();
	struct ip a = ip_of("2001:db8::1"), near = ip_of("2001:db8:0:0:ffff::9"), far = ip_of("2001:db8:0:1::1");
	ck_assert_int_eq(limits_enter(l, &a), 0);
	ck_assert_uint_eq(limits_network(l, &near), 1);
	ck_assert_uint_eq(limits_network(l, &far), 0);
	/* A network's first address is not the network. */
	struct ip zero = ip_of("192.0.2.0");
	ck_assert_int_eq(limits_enter(l, &zero), 0);
	ck_assert_uint_eq(limits_address(l, &zero), 1);
	limits_free(l);
}
END_TEST

START_TEST(verdicts)
{
	struct limits *l = limits_make();
	struct ip a = ip_of("192.0.2.1"), b = ip_of("192.0.2.2");
	struct err e = {0};
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(limits_enter(l, &a), 0);
	ck_assert_int_eq(limits_check(l, &a, 3, 3, &e), 0);
	ck_assert_int_eq(limits_check(l, &a, 2, 9, &e), E_REFUSED);
	ck_assert_str_eq(e.text, "maxperip 3 of 2");
	ck_assert_int_eq(limits_check(l, &b, 1, 2, &e), E_REFUSED);
	ck_assert_str_eq(e.text, "maxpernet 3 of 2");
	ck_assert_int_eq(limits_check(l, &a, 0, 0, &e), 0);
	limits_free(l);
}
END_TEST

/* Random comings and goings beside a plain array of counts. */
START_TEST(model)
{
	enum { N = 600 };
	static unsigned count[N];
	struct limits *l = limits_make();
	srand(7);
	for (int step = 0; step < 200000; step++) {
		unsigned k = (unsigned)rand() % N;
		struct ip ip = ip_of("10.0.0.0");
		ip.a[14] = (unsigned char)(k / 200);
		ip.a[15] = (unsigned char)(k % 200);
		if (rand() % 2 && count[k] < 5) {
			ck_assert_int_eq(limits_enter(l, &ip), 0);
			count[k]++;
		} else if (count[k]) {
			limits_leave(l, &ip);
			count[k]--;
		}
		ck_assert_uint_eq(limits_address(l, &ip), count[k]);
		if (step % 100 == 0) {
			unsigned sum = 0;
			for (unsigned i = k / 200 * 200; i < k / 200 * 200 + 200; i++)
				sum += count[i];
			ck_assert_uint_eq(limits_network(l, &ip), sum);
		}
	}
	limits_free(l);
}
END_TEST

UNIT_MAIN("limits",
	tcase_add_test(t, counts);
	tcase_add_test(t, networks);
	tcase_add_test(t, verdicts);
	tcase_add_test(t, model);
	)
