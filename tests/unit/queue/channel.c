/* queue/channel.c: destinations take turns, none takes all workers, failures close. */
#include "queue/channel.h"

#include "tests/unit/unit.h"

static struct channel c;
static struct unit unit[64];
static size_t units;

static struct destination *at(const char *name)
{
	struct destination *d = channel_destination(&c, slice_str(name));
	ck_assert_ptr_nonnull(d);
	return d;
}

static void begin(enum agent agent, unsigned limit)
{
	memset(&c, 0, sizeof c);
	c.agent = agent;
	c.limit = limit;
	units = 0;
}

static void add(const char *name, unsigned n)
{
	while (n--)
		channel_add(&c, at(name), &unit[units++]);
}

/* What goes out now, as the first letters of the destinations. */
static const char *sent(void)
{
	static char text[80];
	size_t n = 0;
	struct destination *d;
	while (c.in_flight < c.limit && (d = channel_turn(&c)) && !channel_closed(d)) {
		text[n++] = d->name[0];
		channel_take(&c, true);
	}
	text[n] = 0;
	return text;
}

START_TEST(turns)
{
	begin(AGENT_REMOTE, 6);
	add("a", 5);
	add("b", 2);
	add("A", 1);
	ck_assert_str_eq(sent(), "ababa");
	channel_ended(&c, at("b"), 1, NULL);
	ck_assert_str_eq(sent(), "");
	channel_ended(&c, at("a"), 1, NULL);
	ck_assert_str_eq(sent(), "a");
}
END_TEST

START_TEST(one_worker)
{
	begin(AGENT_REMOTE, 1);
	add("a", 2);
	ck_assert_str_eq(sent(), "a");
}
END_TEST

START_TEST(maildirs_are_one)
{
	begin(AGENT_LOCAL, 6);
	add("", 8);
	sent();
	ck_assert_uint_eq(c.in_flight, 6);
}
END_TEST

START_TEST(dead)
{
	begin(AGENT_REMOTE, 6);
	add("a", 9);
	add("b", 1);
	ck_assert_str_eq(sent(), "abaa");
	/* the three that were under way count as one failure: then one alone */
	channel_ended(&c, at("a"), 0, "refused");
	channel_ended(&c, at("a"), 0, "refused");
	ck_assert_str_eq(sent(), "");
	channel_ended(&c, at("a"), 0, "refused");
	ck_assert_uint_eq(at("a")->failures, 1);
	ck_assert_str_eq(sent(), "a");
	channel_ended(&c, at("a"), 0, "refused again");
	ck_assert(channel_closed(at("a")));
	/* what waits is there to be deferred; what comes too */
	ck_assert_ptr_eq(channel_turn(&c), at("a"));
	ck_assert_str_eq(at("a")->why, "refused again");
	for (int i = 0; i < 5; i++)
		channel_take(&c, false);
	ck_assert_ptr_null(channel_turn(&c));
	add("a", 3);
	ck_assert_ptr_eq(channel_turn(&c), at("a"));
	channel_open(&c);
	ck_assert_str_eq(sent(), "aaa");
}
END_TEST

START_TEST(recovers)
{
	begin(AGENT_REMOTE, 6);
	add("a", 6);
	sent();
	for (int i = 0; i < 3; i++)
		channel_ended(&c, at("a"), 0, "refused");
	ck_assert_str_eq(sent(), "a");
	channel_ended(&c, at("a"), -1, NULL); /* nobody knows: still one alone */
	ck_assert_str_eq(sent(), "a");
	channel_ended(&c, at("a"), 1, NULL);
	ck_assert_uint_eq(at("a")->failures, 0);
	ck_assert_str_eq(sent(), "a");
}
END_TEST

START_TEST(forgets)
{
	begin(AGENT_REMOTE, 6);
	add("a", 1);
	add("b", 1);
	sent();
	channel_ended(&c, at("a"), 1, NULL);
	channel_ended(&c, at("b"), 0, "refused");
	at("c");
	c.swept = clock_msec() - 3600000;
	channel_tend(&c);
	ck_assert_uint_eq(c.destinations, 1);
	ck_assert_uint_eq(at("b")->failures, 1);
}
END_TEST

UNIT_MAIN("channel", tcase_add_test(t, turns); tcase_add_test(t, one_worker); tcase_add_test(t, maildirs_are_one); tcase_add_test(t, dead);
	tcase_add_test(t, recovers); tcase_add_test(t, forgets);)
