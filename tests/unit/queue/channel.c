/* queue/channel.c: destinations take turns, none takes all workers, failures close. */
#include "queue/channel.h"

#include "tests/unit/unit.h"

static struct channel c;
static struct unit unit[64];
static size_t units;
static struct unit *way[64]; /* what went out; NULL: ended */
static size_t ways;

static struct destination *at(const char *name)
{
	struct destination *d = channel_destination(&c, slice_str(name));
	ck_assert_ptr_nonnull(d);
	return d;
}

static void begin(enum agent agent, unsigned limit)
{
	memset(&c, 0, sizeof c);
	memset(unit, 0, sizeof unit);
	c.agent = agent;
	c.limit = limit;
	units = ways = 0;
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
	while ((d = channel_turn(&c)) && !channel_closed(d)) {
		text[n++] = d->name[0];
		way[ways++] = channel_take(&c, d, true);
	}
	text[n] = 0;
	return text;
}

/* The first delivery to NAME that is under way. */
static struct unit *on_the_way(const char *name)
{
	for (size_t i = 0; i < ways; i++)
		if (way[i] && !strcmp(way[i]->to->name, name))
			return way[i];
	ck_abort_msg("nothing is under way to %s", name);
	return NULL;
}

static void ended(const char *name, enum reached reached)
{
	struct unit *u = on_the_way(name);
	for (size_t i = 0; i < ways; i++)
		if (way[i] == u)
			way[i] = NULL;
	channel_ended(&c, u, reached, "why");
}

static void prove(const char *name)
{
	at(name)->proven = true;
	at(name)->window = 100;
}

START_TEST(turns)
{
	begin(AGENT_REMOTE, 8);
	prove("a");
	prove("b");
	add("a", 5);
	add("b", 2);
	add("A", 1);
	ck_assert_str_eq(sent(), "ababaa");
	ended("b", REACHED_YES);
	ck_assert_str_eq(sent(), "");
	ended("a", REACHED_YES);
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

START_TEST(grows)
{
	begin(AGENT_REMOTE, 12);
	add("a", 40);
	ck_assert_str_eq(sent(), "a");
	ended("a", REACHED_YES);
	ck_assert_str_eq(sent(), "aa");
	ended("a", REACHED_YES);
	ck_assert_str_eq(sent(), "aa");
	for (int i = 0; i < 20; i++) {
		ended("a", REACHED_YES);
		sent();
	}
	ck_assert_uint_eq(at("a")->in_flight, 6); /* half of the channel, never more */
}
END_TEST

START_TEST(shrinks)
{
	begin(AGENT_REMOTE, 20);
	prove("a");
	add("a", 40);
	ck_assert_str_eq(sent(), "aaaaaaaaaa");
	at("a")->window = 10;
	ended("a", REACHED_BUSY);
	ck_assert_uint_eq(at("a")->window, 5);
	/* those that were under way then say it again: it counts once */
	ended("a", REACHED_BUSY);
	ended("a", REACHED_BUSY);
	ck_assert_uint_eq(at("a")->window, 5);
	ck_assert_str_eq(sent(), "");
	for (int i = 0; i < 7; i++)
		ended("a", REACHED_YES);
	ck_assert_str_eq(sent(), "aaaaa");
	/* and it grows again only after a while */
	for (int i = 0; i < 4; i++)
		ended("a", REACHED_YES);
	ck_assert_uint_eq(at("a")->window, 5);
	ck_assert_uint_eq(at("a")->failures, 0);
	ended("a", REACHED_BUSY); /* alone: too much altogether */
	ck_assert_uint_eq(at("a")->failures, 1);
}
END_TEST

START_TEST(others_keep_a_share)
{
	begin(AGENT_REMOTE, 8);
	prove("p");
	prove("q");
	add("p", 9);
	add("q", 9);
	ck_assert_str_eq(sent(), "pqpqpqpq"); /* nobody else waits: all of it */
	add("o", 1);
	ended("p", REACHED_YES);
	ck_assert_str_eq(sent(), "o");
	ended("q", REACHED_YES);
	add("n", 1);
	ck_assert_str_eq(sent(), "n");
	for (char name[] = "c"; name[0] < 'l'; name[0]++)
		add(name, 1);
	for (int i = 0; i < 4; i++) {
		ended("p", REACHED_YES);
		ended("q", REACHED_YES);
		sent();
	}
	ck_assert_uint_eq(c.busy[false], 6); /* dead ones never have it all */
	ck_assert_uint_eq(c.busy[true], 2);
}
END_TEST

START_TEST(unanswered_are_not_counted)
{
	begin(AGENT_REMOTE, 4);
	c.unanswered_most = 4;
	for (char name[] = "a"; name[0] < 'k'; name[0]++)
		add(name, 1);
	ck_assert_str_eq(sent(), "abc");
	channel_unanswered(&c, on_the_way("a"));
	channel_unanswered(&c, on_the_way("a"));
	channel_unanswered(&c, on_the_way("b"));
	channel_unanswered(&c, on_the_way("c"));
	ck_assert_uint_eq(c.unanswered, 3);
	ck_assert_str_eq(sent(), "def");
	channel_unanswered(&c, on_the_way("d"));
	channel_unanswered(&c, on_the_way("e")); /* no room for this */
	ck_assert_uint_eq(c.unanswered, 4);
	ck_assert_str_eq(sent(), "g");
	channel_answered(&c, on_the_way("a"));
	ck_assert_uint_eq(c.unanswered, 3);
	ck_assert_str_eq(sent(), "");
	for (char name[] = "a"; name[0] < 'h'; name[0]++)
		ended(name, REACHED_NOT);
	ck_assert_uint_eq(c.unanswered + c.busy[0] + c.busy[1] + c.in_flight, 0);
}
END_TEST

START_TEST(goes_on)
{
	begin(AGENT_REMOTE, 8);
	add("a", 3);
	sent();
	ck_assert(!channel_others_wait(&c, at("a")));
	add("b", 1);
	ck_assert(channel_others_wait(&c, at("a")));
	ck_assert(!channel_may_go_on(&c, at("a")));
	ended("a", REACHED_YES);
	ck_assert(channel_may_go_on(&c, at("a")));
	/* out of turn, while it is listed itself behind b */
	way[ways++] = channel_take(&c, at("a"), true);
	way[ways++] = channel_take(&c, at("a"), true);
	ck_assert(!channel_may_go_on(&c, at("a")));
	ck_assert_str_eq(sent(), "b");
}
END_TEST

START_TEST(dead)
{
	begin(AGENT_REMOTE, 6);
	prove("a");
	add("a", 9);
	add("b", 1);
	ck_assert_str_eq(sent(), "abaa");
	/* the three that were under way count as one failure: then one alone */
	ended("a", REACHED_NOT);
	ended("a", REACHED_NOT);
	ck_assert_str_eq(sent(), "");
	ended("a", REACHED_NOT);
	ck_assert_uint_eq(at("a")->failures, 1);
	ck_assert_str_eq(sent(), "a");
	ended("a", REACHED_NOT);
	ck_assert(channel_closed(at("a")));
	/* what waits is there to be deferred; what comes too */
	ck_assert_ptr_eq(channel_turn(&c), at("a"));
	ck_assert_str_eq(at("a")->why, "why");
	for (int i = 0; i < 5; i++)
		channel_take(&c, at("a"), false);
	ck_assert_ptr_null(channel_turn(&c));
	add("a", 3);
	ck_assert_ptr_eq(channel_turn(&c), at("a"));
	channel_open(&c);
	ck_assert_str_eq(sent(), "a"); /* it has to be reached first */
}
END_TEST

START_TEST(recovers)
{
	begin(AGENT_REMOTE, 6);
	add("a", 6);
	ck_assert_str_eq(sent(), "a");
	ended("a", REACHED_NOT);
	ck_assert_str_eq(sent(), "a");
	ended("a", REACHED_UNKNOWN); /* nobody knows: still one alone */
	ck_assert_str_eq(sent(), "a");
	ended("a", REACHED_YES);
	ck_assert_uint_eq(at("a")->failures, 0);
	ck_assert_str_eq(sent(), "aa");
}
END_TEST

START_TEST(forgets)
{
	begin(AGENT_REMOTE, 6);
	add("a", 1);
	add("b", 1);
	sent();
	ended("a", REACHED_YES);
	ended("b", REACHED_NOT);
	at("c");
	c.swept = clock_msec() - 3600000;
	channel_tend(&c);
	ck_assert_uint_eq(c.destinations, 2);
	at("a")->reached_at = clock_msec() - PROVEN_MSEC - 1;
	c.swept = clock_msec() - 3600000;
	channel_tend(&c);
	ck_assert_uint_eq(c.destinations, 1);
	ck_assert_uint_eq(at("b")->failures, 1);
}
END_TEST

static void add_mass(const char *name, unsigned n, unsigned rcpts)
{
	while (n--) {
		unit[units].bulk = true;
		unit[units].n = rcpts;
		channel_add(&c, at(name), &unit[units++]);
	}
}

/* What waits for NAME in its order, m: mass mail, p: a person's. */
static const char *waiting(const char *name)
{
	static char text[80];
	size_t n = 0;
	for (const struct unit *u = at(name)->first; u; u = u->next)
		text[n++] = u->bulk ? 'm' : 'p';
	text[n] = 0;
	return text;
}

START_TEST(persons_first)
{
	begin(AGENT_REMOTE, 1);
	add_mass("a", 3, 1);
	add("a", 2);
	ck_assert_str_eq(waiting("a"), "ppmmm");
	add_mass("a", 1, 1);
	add("a", 1);
	ck_assert_str_eq(waiting("a"), "pppmmmm");
	add("a", 6); /* one of mass mail passes */
	ck_assert_str_eq(waiting("a"), "pppppppmppmmm");
	ck_assert_str_eq(sent(), "a");
	ended("a", REACHED_YES);
	ck_assert_str_eq(waiting("a"), "ppppppmppmmm");
}
END_TEST

START_TEST(destinations_with_persons_first)
{
	begin(AGENT_REMOTE, 16);
	for (const char *d = "a\0b\0c\0"; *d; d += 2) {
		prove(d);
		add_mass(d, 2, 1);
	}
	add("c", 1); /* was listed behind a and b */
	add("d", 1);
	prove("d");
	ck_assert_str_eq(sent(), "cdabcabc");
}
END_TEST

START_TEST(mass_mail_leaves_room)
{
	begin(AGENT_REMOTE, 8);
	prove("a");
	prove("b");
	add_mass("a", 8, 1);
	add_mass("b", 8, 1);
	ck_assert_uint_eq(strlen(sent()), 6);
	add("x", 1);
	ck_assert_str_eq(sent(), "x");
}
END_TEST

START_TEST(mass_mail_leaves_room_in_maildirs)
{
	begin(AGENT_LOCAL, 10);
	at("")->proven = true;
	add_mass("", 8, 15);
	sent();
	ck_assert_uint_eq(c.bulk_rcpts, 30); /* at most 40 */
	add("", 1);
	sent();
	ck_assert_uint_eq(c.in_flight, 3);
	ended("", REACHED_YES);
	sent();
	ck_assert_uint_le(c.bulk_rcpts, 40);
}
END_TEST

/* Whatever the order of events, every unit goes out once and the lists stay whole. */
START_TEST(nothing_is_forgotten)
{
	srandom((unsigned)_i);
	begin(_i % 3 ? AGENT_REMOTE : AGENT_LOCAL, 1 + (unsigned)random() % 9);
	char name[2] = "a";
	unsigned gone = 0;
	for (unsigned step = 0; gone < 60 && step < 5000; step++) {
		name[0] = (char)('a' + random() % 4);
		if (units < 60 && random() % 2)
			random() % 2 ? add(c.agent == AGENT_LOCAL ? "" : name, 1) : add_mass(c.agent == AGENT_LOCAL ? "" : name, 1, 1 + (unsigned)random() % 20);
		else if (random() % 2)
			(void)sent();
		else if (c.in_flight)
			for (size_t i = 0; i < ways; i++)
				if (way[i] && random() % 2) {
					struct unit *u = way[i];
					way[i] = NULL;
					channel_ended(&c, u, REACHED_YES, "");
					break;
				}
		gone = (unsigned)ways;
	}
	ck_assert_uint_eq(ways, 60);
	for (size_t i = 0; i < ways; i++)
		if (way[i])
			channel_ended(&c, way[i], REACHED_YES, "");
	ck_assert(c.in_flight == 0 && c.bulk_rcpts == 0 && !channel_turn(&c));
}
END_TEST

UNIT_MAIN("channel", tcase_add_test(t, persons_first); tcase_add_test(t, destinations_with_persons_first); tcase_add_test(t, mass_mail_leaves_room); tcase_add_test(t, mass_mail_leaves_room_in_maildirs);
	tcase_add_loop_test(t, nothing_is_forgotten, 0, 30); tcase_add_test(t, turns); tcase_add_test(t, one_worker); tcase_add_test(t, maildirs_are_one); tcase_add_test(t, dead);
	tcase_add_test(t, grows); tcase_add_test(t, shrinks); tcase_add_test(t, others_keep_a_share); tcase_add_test(t, unanswered_are_not_counted);
	tcase_add_test(t, goes_on); tcase_add_test(t, recovers); tcase_add_test(t, forgets);)
