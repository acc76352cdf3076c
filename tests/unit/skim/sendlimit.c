/* Plain limits: counting in steps against a list of all that was sent, at the bounds of hour and day; clocks that go back; exceptions; what is refused later. */
#include "skim/sendlimit.h"

#include <stdio.h>

#include "skim/skimdb_user.h"
#include "tests/unit/unit.h"

#define T0 1800000000 /* a whole hour and a whole step */

static struct user user;

static void start(void)
{
	free(user.counts);
	user = (struct user){0};
}

static const struct sendlimit limit = {{10, 50, 20, 80}};

/* ---- one check after the other ---- */

static const struct check_row {
	const char *spec;
	int64_t at;
	uint32_t rcpts;
	int code;
	const char *text; /* NULL: it is taken and counted */
} checks[] = {
	{"the first", T0, 1, 0, NULL},
	{"all that the hour allows", T0, 49, 0, NULL},
	{"one over the hour", T0 + 60, 1, E_REFUSED, "recipients_hour: 50 of 50 and 1 more asked for, again in 1 h 4 min"},
	{"still, in the hour's last second", T0 + 3899, 1, E_REFUSED, "recipients_hour: 50 of 50 and 1 more asked for, again in 1 min"},
	{"refused ones did not count", T0 + 3900, 30, 0, NULL},
	{"the day's recipients end last", T0 + 3960, 30, E_REFUSED, "recipients_day: 80 of 80 and 30 more asked for, again in 23 h 54 min"},
	{"the day's last second", T0 + 25 * 3600 - 1, 1, E_REFUSED, "recipients_day: 80 of 80 and 1 more asked for, again in 1 min"},
	{"what began later stays", T0 + 25 * 3600, 51, E_TOO_LONG, "recipients_hour: 50, and this message has 51 recipients"},
	{"the first 50 are out", T0 + 25 * 3600, 50, 0, NULL},
};

START_TEST(one_after_the_other)
{
	struct err e;
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		const struct check_row *r = &checks[i];
		int rc = sendlimit_check(&user, &limit, r->rcpts, r->at, &e);
		ck_assert_msg(rc == r->code, "%s: %d %s", r->spec, rc, rc ? e.text : "");
		if (r->text)
			ck_assert_msg(strcmp(e.text, r->text) == 0, "%s: %s", r->spec, e.text);
		else
			sendlimit_count(&user, r->rcpts, r->at);
	}
}
END_TEST

START_TEST(messages_count_apart)
{
	struct err e;
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(sendlimit_check(&user, &limit, 1, T0 + i, &e), 0);
		sendlimit_count(&user, 1, T0 + i);
	}
	ck_assert_int_eq(sendlimit_check(&user, &limit, 1, T0 + 10, &e), E_REFUSED);
	ck_assert_str_eq(e.text, "messages_hour: 10 of 10, again in 1 h 5 min");
	ck_assert_uint_eq(sendlimit_used(&user, SEND_RECIPIENTS_HOUR, T0 + 10), 10);
	const struct sendlimit none = {{0, 0, 0, 0}}, one = {{0, 0, 11, 0}};
	ck_assert_int_eq(sendlimit_check(&user, &none, UINT32_MAX, T0 + 10, &e), 0);
	ck_assert_int_eq(sendlimit_check(&user, &one, UINT32_MAX, T0 + 10, &e), 0);
}
END_TEST

/* Random mail through the limits: never more than the limit in any 60 minutes or 24 hours, however these are laid; and at the time that a refusal names, but not
 * a second before, the same message is taken. */
static struct { int64_t at; uint32_t rcpts; } taken[20000];
static size_t takens;

static void never_more(int64_t now)
{
	for (enum send_counter k = 0; k < SEND_COUNTERS; k++) {
		uint64_t sum = 0;
		for (size_t i = takens; i-- > 0 && taken[i].at > now - (k < SEND_MESSAGES_DAY ? 3600 : 86400);)
			sum += k % 2 ? taken[i].rcpts : 1;
		ck_assert_msg(sum <= (uint64_t)limit.most[k], "%s: %llu", sendlimit_names[k], (unsigned long long)sum);
	}
}

static int64_t longest_wait(uint32_t rcpts, int64_t now)
{
	int64_t longest = 0;
	for (enum send_counter k = 0; k < SEND_COUNTERS; k++) {
		int64_t w = sendlimit_wait(&user, &limit, k, k % 2 ? rcpts : 1, now);
		longest = w > longest ? w : longest;
	}
	return longest;
}

START_TEST(any_window)
{
	struct err e;
	int64_t now = T0;
	unsigned refused = 0;
	takens = 0;
	srandom((unsigned)_i);
	for (int i = 0; i < 6000; i++) {
		uint32_t rcpts = (uint32_t)(random() % 8 ? 1 + random() % 3 : 1 + random() % 40);
		now += random() % 4 ? random() % 600 : random() % 9000;
		int rc = sendlimit_check(&user, &limit, rcpts, now, &e);
		if (rc == E_REFUSED) {
			int64_t wait = longest_wait(rcpts, now);
			ck_assert(wait > 0 && wait <= 25 * 3600);
			ck_assert_int_eq(sendlimit_check(&user, &limit, rcpts, now + wait - 1, &e), E_REFUSED);
			ck_assert_int_eq(sendlimit_check(&user, &limit, rcpts, now + wait, &e), 0);
			refused++;
			continue;
		}
		ck_assert_int_eq(rc, 0);
		sendlimit_count(&user, rcpts, now);
		taken[takens].at = now, taken[takens++].rcpts = rcpts;
		never_more(now);
	}
	ck_assert_uint_gt(refused, 100);
	ck_assert_uint_gt(takens, 100);
}
END_TEST

START_TEST(clock_goes_back)
{
	sendlimit_count(&user, 7, T0);
	sendlimit_count(&user, 7, T0 - 299); /* by less than a step: nothing is lost */
	ck_assert_uint_eq(sendlimit_used(&user, SEND_RECIPIENTS_HOUR, T0 - 299), 14);
	ck_assert_uint_eq(sendlimit_used(&user, SEND_RECIPIENTS_HOUR, T0), 14);
	ck_assert_uint_eq(sendlimit_used(&user, SEND_RECIPIENTS_DAY, T0), 14);
	/* counted by a clock that was a year ahead: nobody waits for that year */
	sendlimit_count(&user, 50, T0 + (int64_t)365 * DAY);
	ck_assert_uint_eq(sendlimit_used(&user, SEND_RECIPIENTS_HOUR, T0), 0);
	sendlimit_count(&user, 3, T0);
	ck_assert_uint_eq(sendlimit_used(&user, SEND_RECIPIENTS_HOUR, T0), 3);
	ck_assert_uint_eq(sendlimit_used(&user, SEND_MESSAGES_DAY, T0), 1);
	sendlimit_count(&user, 3, -5);
	ck_assert_uint_eq(sendlimit_used(&user, SEND_RECIPIENTS_HOUR, -5), 3);
}
END_TEST

START_TEST(counts_do_not_overflow)
{
	struct err e;
	sendlimit_count(&user, UINT32_MAX, T0);
	sendlimit_count(&user, UINT32_MAX, T0);
	sendlimit_count(&user, UINT32_MAX, T0 + 300);
	ck_assert_uint_eq(sendlimit_used(&user, SEND_RECIPIENTS_HOUR, T0 + 300), 2 * (uint64_t)UINT32_MAX);
	ck_assert_int_eq(sendlimit_check(&user, &limit, 1, T0 + 300, &e), E_REFUSED);
}
END_TEST

START_TEST(returned)
{
	sendlimit_count(&user, 5, T0 - 300);
	sendlimit_count(&user, 4, T0);
	sendlimit_return(&user, 4, T0);
	ck_assert_uint_eq(sendlimit_used(&user, SEND_RECIPIENTS_HOUR, T0), 5);
	ck_assert_uint_eq(sendlimit_used(&user, SEND_MESSAGES_DAY, T0), 1);
	sendlimit_count(&user, 2, T0);
	sendlimit_return(&user, 6, T0); /* reaches back */
	ck_assert_uint_eq(sendlimit_used(&user, SEND_RECIPIENTS_HOUR, T0), 1);
	sendlimit_return(&user, 100, T0); /* and no further than nothing */
	sendlimit_return(&user, 100, T0);
	for (enum send_counter k = 0; k < SEND_COUNTERS; k++)
		ck_assert_uint_eq(sendlimit_used(&user, k, T0), 0);
}
END_TEST

START_TEST(kept)
{
	struct buf b = BUF_INIT(SKIMDB_USER_MAX);
	sendlimit_count(&user, 5, T0);
	sendlimit_count(&user, 9, T0 + 7200);
	skimdb_user_encode(&b, &user);
	struct user *v = skimdb_user_decode(slice_str("anna"), buf_slice(&b));
	ck_assert(v && v->counts);
	for (enum send_counter k = 0; k < SEND_COUNTERS; k++)
		ck_assert_uint_eq(sendlimit_used(v, k, T0 + 7200), sendlimit_used(&user, k, T0 + 7200));
	ck_assert_uint_eq(sendlimit_used(v, SEND_RECIPIENTS_DAY, T0 + 7200), 14);
	history_user_free(v);
	buf_free(&b);
}
END_TEST

/* ---- exceptions ---- */

static const char conf[] = "[sendlimit]\nmessages_hour=100\nrecipients_day=1000\n[SendLimit Class bulk]\nrecipients_day=0\nmessages_hour=0\n"
	"[sendlimit user prof]\nrecipients_day=5000\nuntil=2026-12-24\n[sendlimit user x y]\nmessages_day=1\n";

static const struct who_row {
	const char *spec, *user, *class;
	int64_t at;
	long most[SEND_COUNTERS];
} who[] = {
	{"everybody", "anna", "", T0, {100, 0, 0, 1000}},
	{"a class without limits of its own", "anna", "student", T0, {100, 0, 0, 1000}},
	{"a class", "anna", "BULK", T0, {0, 0, 0, 0}},
	{"a user on the last day", "Prof", "", 1798156799, {100, 0, 0, 5000}},
	{"a user after that", "prof", "", 1798156800, {100, 0, 0, 1000}},
	{"a user beats the class", "prof", "bulk", 1798156799, {0, 0, 0, 5000}},
	{"a name with a blank", "x y", "", T0, {100, 0, 1, 1000}},
	{"no name", "", "", T0, {100, 0, 0, 1000}},
};

static struct control with(const char *text)
{
	struct control c = {.dir = "ctl"};
	c.value[C_skim].content = slice_str(text);
	c.value[C_skim].present = true;
	return c;
}

START_TEST(exceptions)
{
	struct control c = with(conf);
	struct skim_config cfg;
	struct err e;
	ck_assert_int_eq(config_read(&cfg, &c, &e), 0);
	for (size_t i = 0; i < sizeof who / sizeof *who; i++) {
		struct sendlimit l = config_sendlimit(&cfg, slice_str(who[i].user), slice_str(who[i].class), who[i].at);
		for (enum send_counter k = 0; k < SEND_COUNTERS; k++)
			ck_assert_msg(l.most[k] == who[i].most[k], "%s: %s %ld", who[i].spec, sendlimit_names[k], l.most[k]);
	}
	config_free(&cfg);
}
END_TEST

static const struct { const char *text, *error; } faults[] = {
	{"[sendlimit]\nmessages_hour=10000001\n", "ctl/skim:2: messages_hour is a whole number"},
	{"[sendlimit]\nmessages_hour=-1\n", "ctl/skim:2: messages_hour is a whole number"},
	{"[sendlimit]\nmessages=1\n", "ctl/skim:2: a sendlimit has the keys"},
	{"[sendlimit]\nuntil=2026-12-24\n", "ctl/skim:2: a sendlimit has the keys"},
	{"[sendlimit bulk]\nmessages_hour=1\n", "ctl/skim:2: a section is [sendlimit]"},
	{"[sendlimit user]\nmessages_hour=1\n", "ctl/skim:2: a section is [sendlimit]"},
	{"[sendlimit class 123456789012345678901234567890123]\nmessages_hour=1\n", "ctl/skim:2: a section is [sendlimit]"},
	{"[sendlimit user a]\nuntil=tomorrow\n", "ctl/skim:2: \"tomorrow\" is not a date"},
	{"[sendlimits]\nmessages_hour=1\n", "ctl/skim:2: there is no section"},
};

START_TEST(faults_are_named)
{
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		struct control c = with(faults[i].text);
		struct skim_config cfg;
		struct err e;
		ck_assert_msg(config_read(&cfg, &c, &e) < 0, "%s", faults[i].text);
		ck_assert_msg(strstr(e.text, faults[i].error) == e.text, "%s", e.text);
	}
}
END_TEST

START_TEST(sections_have_a_bound)
{
	struct buf b = BUF_INIT(1 << 20);
	struct skim_config cfg;
	struct err e;
	for (int i = 0; i < SENDLIMITS_MAX; i++)
		buf_add_format(&b, "[sendlimit user u%d]\nmessages_day=%d\n", i, i);
	struct control c = with("");
	c.value[C_skim].content = buf_slice(&b);
	ck_assert_int_eq(config_read(&cfg, &c, &e), 0);
	ck_assert_int_eq(config_sendlimit(&cfg, slice_str("u999"), slice_str(""), T0).most[SEND_MESSAGES_DAY], 999);
	config_free(&cfg);
	buf_add_str(&b, "[sendlimit user u1000]\nmessages_day=1\n");
	c.value[C_skim].content = buf_slice(&b);
	ck_assert_int_lt(config_read(&cfg, &c, &e), 0);
	ck_assert(strstr(e.text, "more than 1000 sections"));
	buf_free(&b);
}
END_TEST

/* ---- by name, and what is refused behind us ---- */

START_TEST(refused_later)
{
	struct control c = with("[sendlimit]\nrecipients_hour=10\n");
	struct skim_config cfg;
	struct err e;
	struct slice anna = slice_str("anna"), bert = slice_str("bert"), id = slice_str("0000000000001"), other = slice_str("0000000000002");
	ck_assert_int_eq(config_read(&cfg, &c, &e), 0);
	struct engine g = {.cfg = &cfg, .history = history_make(1000), .charges = charges_make()};
	ck_assert_int_eq(sendlimit_ask(&g, anna, 10, T0, &e), 0);
	sendlimit_passed(&g, anna, id, 10, T0);
	sendlimit_passed(&g, bert, other, 1, T0);
	ck_assert_int_eq(sendlimit_ask(&g, anna, 1, T0, &e), E_REFUSED);
	/* neither another message, nor another's, nor nonsense */
	sendlimit_refused(&g, anna, other, T0);
	sendlimit_refused(&g, bert, id, T0);
	sendlimit_refused(&g, slice_str("nobody"), id, T0);
	sendlimit_refused(&g, anna, slice_str("short"), T0);
	ck_assert_int_eq(sendlimit_ask(&g, anna, 1, T0, &e), E_REFUSED);
	sendlimit_refused(&g, anna, id, T0);
	ck_assert_int_eq(sendlimit_ask(&g, anna, 10, T0, &e), 0);
	/* once */
	sendlimit_passed(&g, anna, slice_str("0000000000003"), 5, T0);
	sendlimit_refused(&g, anna, id, T0);
	ck_assert_int_eq(sendlimit_ask(&g, anna, 6, T0, &e), E_REFUSED);
	history_free(g.history);
	charges_free(g.charges);
	config_free(&cfg);
}
END_TEST

START_TEST(nothing_is_counted_without_a_limit)
{
	struct control c = with("[sendlimit class bulk]\nrecipients_hour=10\n");
	struct skim_config cfg;
	struct err e;
	ck_assert_int_eq(config_read(&cfg, &c, &e), 0);
	struct engine g = {.cfg = &cfg, .history = history_make(1000)};
	sendlimit_passed(&g, slice_str("anna"), slice_str("0000000000001"), 10, T0);
	ck_assert_ptr_null(history_user(g.history, slice_str("anna"), false)->counts);
	ck_assert_int_eq(sendlimit_ask(&g, slice_str("anna"), 1000000, T0, &e), 0);
	struct user *anna = history_user(g.history, slice_str("anna"), false);
	ck_assert_int_eq(slice_copy(anna->class, sizeof anna->class, slice_str("bulk")), 0);
	ck_assert_int_eq(sendlimit_ask(&g, slice_str("anna"), 11, T0, &e), E_TOO_LONG);
	history_free(g.history);
	config_free(&cfg);
}
END_TEST

START_TEST(the_oldest_charge_goes)
{
	struct charges *c = charges_make();
	struct user u = {.hash = 5};
	char id[20];
	for (int i = 0; i <= CHARGES_MAX; i++) {
		snprintf(id, sizeof id, "%013d", i);
		charges_put(c, slice_str(id), &u, (uint32_t)i + 1);
	}
	ck_assert_uint_eq(charges_take(c, slice_str("0000000000000"), &u), 0);
	ck_assert_uint_eq(charges_take(c, slice_str("0000000000001"), &u), 2);
	ck_assert_uint_eq(charges_take(c, slice_str(id), &u), CHARGES_MAX + 1);
	charges_free(c);
}
END_TEST

UNIT_MAIN("sendlimit", tcase_add_checked_fixture(t, start, NULL); tcase_add_test(t, one_after_the_other); tcase_add_test(t, messages_count_apart);
	tcase_add_loop_test(t, any_window, 0, 4); tcase_add_test(t, clock_goes_back); tcase_add_test(t, counts_do_not_overflow); tcase_add_test(t, returned);
	tcase_add_test(t, kept); tcase_add_test(t, exceptions); tcase_add_test(t, faults_are_named); tcase_add_test(t, sections_have_a_bound);
	tcase_add_test(t, refused_later); tcase_add_test(t, nothing_is_counted_without_a_limit); tcase_add_test(t, the_oldest_charge_goes);)
