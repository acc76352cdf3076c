/* queue/relay.c: which deliveries share a destination, and that it says what postern-remote goes by. */
#include "queue/relay.h"

#include <stdio.h>
#include <stdlib.h>

#include "deliver/hostport.h"
#include "tests/unit/unit.h"

static void routes(struct control *c, const char *smtp, const char *qmqp)
{
	struct err e;
	*c = (struct control){0};
	c->value[C_smtproutes].content = slice_str(smtp);
	c->value[C_smtproutes].present = true;
	c->value[C_qmqproutes].content = slice_str(qmqp);
	c->value[C_qmqproutes].present = qmqp[0];
	ck_assert_int_eq(relay_prepare(c, &e), 0);
}

static const struct {
	enum agent agent;
	const char *destination, *want;
} rows[] = {
	{AGENT_REMOTE, "a.test", "smart.campus.test:25"}, {AGENT_REMOTE, "B.test", "smart.campus.test:25"}, {AGENT_REMOTE, "mx.test", "mx.test"},
	{AGENT_REMOTE, "x.dept.test", "10.0.0.1:2525"}, {AGENT_REMOTE, "y.dept.test", "10.0.0.1:2525"}, {AGENT_REMOTE, "dept.test", "smart.campus.test:25"},
	{AGENT_REMOTE, "six.test", "[2001:db8::1]:25"}, {AGENT_REMOTE, "[192.0.2.1]", "smart.campus.test:25"}, {AGENT_REMOTE, "twice.test", "first.test:25"},
	{AGENT_QMQP, "mx2.campus.test", "192.0.2.7:628"}, {AGENT_QMQP, "mx3.campus.test", "192.0.2.7:628"}, {AGENT_QMQP, "mx4.campus.test", "mx4.campus.test"},
	{AGENT_LMTP, "store.test:24", "store.test:24"}, {AGENT_LOCAL, "u1", ""},
};

START_TEST(destinations)
{
	struct control c;
	routes(&c, "# all but one by the smarthost\n:smart.campus.test\nmx.test:\n.dept.test:[10.0.0.1]:2525\nsix.test:[2001:db8:0::1]\ntwice.test:first.test\n"
		"twice.test:second.test\n", "mx2.campus.test:192.0.2.7\nmx3.campus.test:192.0.2.7:628\n");
	struct slice got = relay_of(&(struct target){.agent = rows[_i].agent, .destination = slice_str(rows[_i].destination)});
	ck_assert_msg(slice_case_eq_str(got, rows[_i].want), "%s: %.*s", rows[_i].destination, SLICE_FMT(got));
}
END_TEST

/* After a reload the routes are others. */
START_TEST(reloaded)
{
	struct control c;
	const struct target t = {.agent = AGENT_REMOTE, .destination = slice_str("a.test")};
	routes(&c, ":one.test\n", "");
	ck_assert(slice_eq_str(relay_of(&t), "one.test:25"));
	routes(&c, "", "");
	ck_assert(slice_eq_str(relay_of(&t), "a.test"));
	routes(&c, "a.test:two.test\n", "");
	ck_assert(slice_eq_str(relay_of(&t), "two.test:25"));
}
END_TEST

/* Whatever lines in whatever order: as smtproute_find() has it. */
START_TEST(as_remote)
{
	static const char *const label[] = {"a", "b", "A"};
	char text[600], domain[60], want[HOSTPORT_NAME_MAX];
	unsigned relayed = 0;
	srandom((unsigned)_i);
	for (int round = 0; round < 200; round++) {
		struct control c;
		size_t n = 0;
		for (long i = random() % 8; i >= 0; i--) {
			const char *dot = random() % 2 ? "." : "", *to = random() % 4 ? "relay" : NULL;
			char name[40];
			snprintf(name, sizeof name, "%s%s.%s.%s", dot, label[random() % 3], label[random() % 3], label[random() % 3]);
			n += (size_t)snprintf(text + n, sizeof text - n, "%s:", random() % 6 ? name + (random() % 2 && !*dot ? 2 : 0) : "");
			n += to ? (size_t)snprintf(text + n, sizeof text - n, "%s%ld\n", to, i) : (size_t)snprintf(text + n, sizeof text - n, "\n");
		}
		routes(&c, text, "");
		for (int i = 0; i < 20; i++) {
			struct hostport h;
			snprintf(domain, sizeof domain, "%s.%s.%s.%s", label[random() % 3], label[random() % 3], label[random() % 3], label[random() % 3]);
			const char *asked = domain + 2 * (random() % 3);
			if (smtproute_find(&h, &c, slice_str(asked)) == 0)
				hostport_name(want, &h);
			else
				snprintf(want, sizeof want, "%s", asked);
			relayed += strcmp(want, asked) != 0;
			struct slice got = relay_of(&(struct target){.agent = AGENT_REMOTE, .destination = slice_str(asked)});
			ck_assert_msg(slice_eq_str(got, want), "%s: %.*s, not %s, by\n%s", asked, SLICE_FMT(got), want, text);
		}
	}
	ck_assert_uint_gt(relayed, 100);
}
END_TEST

UNIT_MAIN("queue-relay", tcase_add_loop_test(t, destinations, 0, sizeof rows / sizeof *rows); tcase_add_test(t, reloaded); tcase_add_loop_test(t, as_remote, 0, 5);)
