/* Unit tests of deliver/hostport.c and the decoder of MX records. */
#include "deliver/hostport.h"
#include "deliver/resolve.h"

#include <stdio.h>

#include "tests/unit/unit.h"

static const struct {
	const char *line, *want; /* "domain|host|port", "domain|MX", or "" for refused */
} smtp[] = {
	{"far.test:relay.test", "far.test|relay.test|25"}, {"far.test:relay.test:2525", "far.test|relay.test|2525"}, {":relay.test", "|relay.test|25"},
	{".far.test:10.0.0.1:26", ".far.test|10.0.0.1|26"}, {"far.test:[10.0.0.1]", "far.test|10.0.0.1|25"},
	{"far.test:[2001:db8::1]:26", "far.test|2001:db8::1|26"}, {"far.test:[IPv6:2001:db8::1]", "far.test|2001:db8::1|25"}, {"far.test:", "far.test|MX"},
	{":", "|MX"}, {"[10.0.0.9]:relay.test", "[10.0.0.9]|relay.test|25"},
	{"far.test", ""}, {"far.test:relay:0", ""}, {"far.test:relay:65536", ""}, {"far.test:relay:x", ""}, {"far.test:relay:", ""},
	{"far.test:relay|user|pass", ""}, {"far.test:2001:db8::1", ""}, {"far.test:[10.0.0.1", ""}, {"far.test:[relay]", ""}, {"far.test:[10.0.0.1]x", ""},
	{"fa r:relay", ""}, {"far.test:re lay", ""}, {"far.test::25", ""},
};

START_TEST(smtproutes)
{
	struct slice domain;
	struct hostport to;
	struct err e = {0};
	bool mx;
	char got[600] = "";
	if (smtproute_parse(&domain, &to, &mx, slice_str(smtp[_i].line), &e) < 0)
		ck_assert_msg(e.text[0], "%s: no reason", smtp[_i].line);
	else if (mx)
		snprintf(got, sizeof got, "%.*s|MX", SLICE_FMT(domain));
	else
		snprintf(got, sizeof got, "%.*s|%s|%u", SLICE_FMT(domain), to.host, to.port);
	ck_assert_msg(strcmp(got, smtp[_i].want) == 0, "%s: \"%s\" %s", smtp[_i].line, got, e.text);
}
END_TEST

static const struct {
	const char *line;
	bool good;
} lmtp[] = {
	{"far.test:127.0.0.1:24", true}, {"far.test:unix:/run/lmtp", true}, {".far.test:store.test:24", true}, {"far.test:[::1]:24", true},
	{"far.test:store.test", false}, {"far.test:unix:run/lmtp", false}, {"far.test:unix:", false}, {"far.test:", false}, {":store.test:24", false},
	{"store.test", false},
};

START_TEST(lmtproutes)
{
	struct slice domain, to;
	struct err e;
	ck_assert_msg((lmtproute_parse(&domain, &to, slice_str(lmtp[_i].line), &e) == 0) == lmtp[_i].good, "%s", lmtp[_i].line);
}
END_TEST

static const struct {
	const char *line, *host, *address;
	unsigned port;
} qmqp[] = {
	{"mx2.campus.test:192.0.2.7", "mx2.campus.test", "192.0.2.7", 628},
	{"mx2.campus.test:192.0.2.7:6280", "mx2.campus.test", "192.0.2.7", 6280},
	{"mx2.campus.test:[2001:db8::1]", "mx2.campus.test", "2001:db8::1", 628},
	{"mx2.campus.test:[2001:db8::1]:629", "mx2.campus.test", "2001:db8::1", 629},
	{.line = "mx2.campus.test"}, {.line = "mx2.campus.test:"}, {.line = ":192.0.2.7"}, {.line = "mx2.campus.test:mx3.campus.test"},
	{.line = "mx2.campus.test:192.0.2.7:0"}, {.line = "mx2.campus.test:192.0.2.7:65536"}, {.line = "mx2.campus.test:192.0.2.7:"},
	{.line = "mx2.campus.test:[2001:db8::1"}, {.line = "mx2.campus.test:[2001:db8::1]x"}, {.line = "mx2.campus.test:[]"}, {.line = ""},
};

START_TEST(qmqproutes)
{
	struct qmqp_route r;
	struct err e;
	int rc = qmqp_route_parse(&r, slice_str(qmqp[_i].line), &e);
	ck_assert_msg(rc == (qmqp[_i].host ? 0 : E_SYNTAX), "%s", qmqp[_i].line);
	if (rc == 0) {
		ck_assert(slice_eq_str(r.host, qmqp[_i].host));
		struct ip ip;
		ck_assert_int_eq(ip_parse(&ip, slice_str(qmqp[_i].address)), 0);
		ck_assert_mem_eq(&r.ip, &ip, sizeof ip);
		ck_assert_uint_eq(r.port, qmqp[_i].port);
	}
}
END_TEST

/* One name for one place, however it is written. */
static const struct {
	const char *line, *name;
} names[] = {
	{"relay.test", "relay.test:25"}, {"relay.test:2525", "relay.test:2525"}, {"10.0.0.1", "10.0.0.1:25"}, {"[10.0.0.1]:26", "10.0.0.1:26"},
	{"[2001:db8::1]", "[2001:db8::1]:25"}, {"[IPv6:2001:0db8:0::1]:25", "[2001:db8::1]:25"}, {"[::ffff:10.0.0.1]", "10.0.0.1:25"},
};

START_TEST(name)
{
	struct hostport h;
	struct err e;
	char got[HOSTPORT_NAME_MAX];
	ck_assert_int_eq(hostport_parse(&h, slice_str(names[_i].line), 25, &e), 0);
	hostport_name(got, &h);
	ck_assert_str_eq(got, names[_i].name);
}
END_TEST

START_TEST(find)
{
	static const char text[] = ":all.test\n.far.test:below.test\n.b.far.test:deep.test\nfar.test:exact.test\nmx.test:\n";
	static const struct {
		const char *domain, *want;
	} row[] = {{"far.test", "exact.test"}, {"FAR.test", "exact.test"}, {"a.far.test", "below.test"}, {"a.b.far.test", "deep.test"}, {"mx.test", ""},
		{"other.test", "all.test"}, {"xfar.test", "all.test"}};
	struct control c = {0};
	c.value[C_smtproutes].content = slice_str(text);
	c.value[C_smtproutes].present = true;
	for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
		struct hostport to = {0};
		int rc = smtproute_find(&to, &c, slice_str(row[i].domain));
		ck_assert_int_eq(rc, row[i].want[0] ? 0 : E_NOT_FOUND);
		ck_assert_msg(rc < 0 || strcmp(to.host, row[i].want) == 0, "%s: %s", row[i].domain, to.host);
	}
}
END_TEST

static const struct {
	const char *data;
	size_t octets;
	const char *want; /* NULL: refused */
} mx_rows[] = {
	{"\0\12\1a\3far\4test\0", 14, "10 a.far.test"}, {"\0\0\0", 3, "0 "}, {"\1\2\4host\0", 8, "258 host"},
	{"\0\12", 2, NULL}, {"\0\12\1a", 4, NULL}, {"\0\12\5a\0", 5, NULL}, {"\0\12\1a\0x", 6, NULL}, {"\0\12\300\14\0", 5, NULL},
	{"\0\12\3a b\0", 7, NULL}, {"\0\12\3a\0b\0", 7, NULL}, {"\0\12\3a.b\0", 7, "10 a.b"},
};

START_TEST(mx_records)
{
	struct mx mx;
	char got[300] = "";
	int rc = mx_decode(&mx, (const unsigned char *)mx_rows[_i].data, mx_rows[_i].octets);
	ck_assert_int_eq(rc, mx_rows[_i].want ? 0 : E_PEER);
	if (rc == 0)
		snprintf(got, sizeof got, "%u %s", mx.preference, mx.host);
	ck_assert(rc < 0 || strcmp(got, mx_rows[_i].want) == 0);
}
END_TEST

/* The order is by preference, and equal ones change places. */
START_TEST(mx_order)
{
	int first = 0;
	for (int i = 0; i < 200; i++) {
		struct mx mx[3] = {{20, 0, "c"}, {10, 0, "a"}, {10, 0, "b"}};
		mx_sort(mx, 3);
		ck_assert_uint_eq(mx[2].preference, 20);
		first += mx[0].host[0] == 'a';
	}
	ck_assert_int_gt(first, 50);
	ck_assert_int_lt(first, 150);
}
END_TEST

#define ROWS(t) (sizeof t / sizeof *t)
UNIT_MAIN("hostport", tcase_add_loop_test(t, smtproutes, 0, ROWS(smtp)); tcase_add_loop_test(t, lmtproutes, 0, ROWS(lmtp));
	tcase_add_loop_test(t, qmqproutes, 0, ROWS(qmqp)); tcase_add_loop_test(t, name, 0, ROWS(names)); tcase_add_test(t, find);
	tcase_add_loop_test(t, mx_records, 0, ROWS(mx_rows)); tcase_add_test(t, mx_order);)
