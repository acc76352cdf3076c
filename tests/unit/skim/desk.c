/* Acts of operators: each state in, the state out; recovering ends by time, travel lowers, reports add up. */
#include "skim/desk.h"

#include <stdio.h>

#include "tests/unit/unit.h"

static struct skim_config cfg;
static struct control control = {.dir = "ctl"};
static struct engine g;
#define T0 ((int64_t)1000 * DAY + 36000)
#define ANNA slice_str("anna")

static void start(void)
{
	struct err e;
	ck_assert_int_eq(config_read(&cfg, &control, &e), 0);
	g = (struct engine){.cfg = &cfg, .history = history_make(1000)};
}

static void stop(void)
{
	history_free(g.history);
	config_free(&cfg);
}

static struct decision sends(int64_t time, long recipients, long unknown)
{
	struct decision d;
	struct skim_event ev = {.send = true, .success = true, .user = ANNA, .time = time, .recipients = recipients, .external = 0,
		.unknown_recipients = unknown, .new_recipients = EVENT_NONE, .size = EVENT_NONE, .swept = EVENT_NONE};
	engine_judge(&d, &g, &ev);
	return d;
}

static enum user_state state(int64_t now)
{
	struct user *u = history_user(g.history, ANNA, false);
	ck_assert_ptr_nonnull(u);
	engine_settle(&g, u, now);
	return u->state;
}

static struct user *flagged(bool lock)
{
	struct user *u = NULL;
	struct err e;
	ck_assert_int_eq(desk_flag(&u, &g, ANNA, lock, slice_str("said so"), 7, T0, &e), 0);
	return u;
}

START_TEST(flag)
{
	struct user *u = flagged(false);
	struct err e;
	ck_assert_int_eq(u->state, USER_FLAGGED);
	ck_assert_int_eq(u->mark->uid, 7);
	ck_assert_ptr_eq(desk_find(&g, slice_str(u->code)), u);
	struct decision d = sends(T0 + 5, 1, 0);
	ck_assert_int_eq(d.action, ACTION_HOLD);
	ck_assert_ptr_nonnull(strstr(d.why, "an operator said 5 s ago: said so"));
	ck_assert_int_eq(sends(T0 + 30 * DAY, 1, 0).action, ACTION_HOLD);
	ck_assert_int_eq(state(T0 + 30 * DAY), USER_FLAGGED);
	ck_assert_int_eq(desk_clear(NULL, &g, ANNA, T0 + 30 * DAY, &e), 0);
	ck_assert_int_eq(state(T0 + 30 * DAY), USER_FREE);
	ck_assert_int_eq(sends(T0 + 30 * DAY + 1, 1, 0).action, ACTION_PASS);
}
END_TEST

/* A theft that shows itself goes further up the ladder than the flag. */
START_TEST(flag_rises)
{
	flagged(false);
	ck_assert_int_eq(sends(T0 + 5, 200, 60).action, ACTION_STOP);
	ck_assert_int_eq(state(T0 + 5), USER_STOPPED);
	flagged(false);
	ck_assert_int_eq(state(T0 + 5), USER_STOPPED);
}
END_TEST

START_TEST(lock)
{
	struct err e;
	flagged(true);
	ck_assert_int_eq(state(T0 + 100 * DAY), USER_LOCKED);
	ck_assert_int_eq(sends(T0 + 5, 1, 0).action, ACTION_STOP);
	ck_assert_int_eq(desk_clear(NULL, &g, ANNA, T0, &e), E_REFUSED);
	ck_assert_int_eq(state(T0), USER_LOCKED);
}
END_TEST

START_TEST(recovering_ends_by_time)
{
	struct user *u = flagged(true);
	struct err e;
	ck_assert_int_eq(desk_restore(NULL, &g, slice_str(u->code), T0, &e), 0);
	ck_assert_int_eq(u->state, USER_RECOVERING);
	ck_assert_ptr_null(u->mark);
	ck_assert_int_eq(sends(T0 + 1, 1, 0).action, ACTION_PASS);
	ck_assert_int_eq(state(T0 + RECOVERING_DAYS * DAY - 1), USER_RECOVERING);
	ck_assert_int_eq(state(T0 + RECOVERING_DAYS * DAY), USER_FREE);
	ck_assert_str_eq(u->code, "");
	ck_assert_int_eq(desk_restore(NULL, &g, ANNA, T0 + 20 * DAY, &e), E_REFUSED);
}
END_TEST

/* 20 points are 40 within the time, and the state falls back to recovering. */
START_TEST(recovering_counts_double)
{
	struct err e;
	flagged(true);
	ck_assert_int_eq(desk_restore(NULL, &g, ANNA, T0, &e), 0);
	struct decision d = sends(T0 + DAY, 90, 20);
	ck_assert_msg(d.score == 40 && d.action == ACTION_HOLD, "%d", d.score);
	ck_assert_int_eq(state(T0 + DAY), USER_HELD);
	ck_assert_int_eq(sends(T0 + 3 * DAY, 90, 0).action, ACTION_PASS);
	ck_assert_int_eq(state(T0 + 3 * DAY), USER_RECOVERING);
	d = sends(T0 + 15 * DAY, 90, 20);
	ck_assert_msg(d.score == 20 && d.action == ACTION_LOG, "%d", d.score);
}
END_TEST

START_TEST(travel)
{
	struct skim_event ev = {.success = true, .user = ANNA, .time = T0};
	struct decision d;
	struct err e;
	int families;
	engine_judge(&d, &g, &ev);
	struct user *u = history_user(g.history, ANNA, false);
	u->hits = calloc(1, sizeof *u->hits);
	u->hits->of[R_L1] = (struct hit){.time = T0, .points = 40, .to = country_code('J', 'P')};
	u->hits->of[R_L3] = (struct hit){.time = T0, .points = 20, .to = country_code('F', 'R')};
	ck_assert_int_eq(desk_travel(NULL, &g, ANNA, slice_str("jp, KR"), slice_str("1972-10-01"), T0, &e), 0);
	ck_assert_int_eq(engine_score(&g, u, T0, &families), 30);
	ck_assert(engine_travels(&g, u, country_code('K', 'R'), T0) && !engine_travels(&g, u, country_code('F', 'R'), T0));
	ck_assert(engine_travels(&g, u, country_code('J', 'P'), u->travel_until - 1) && !engine_travels(&g, u, country_code('J', 'P'), u->travel_until));
	ck_assert_int_eq(desk_travel(NULL, &g, ANNA, slice_str("none"), slice_str(""), T0, &e), 0);
	ck_assert(!engine_travels(&g, u, country_code('J', 'P'), T0));
}
END_TEST

static const struct {
	const char *spec, *countries, *until;
} bad_travels[] = {
	{"no country", "", "1972-10-01"}, {"three letters", "DEU", "1972-10-01"}, {"none among them", "DE,none", "1972-10-01"}, {"no date", "DE", ""},
	{"no such day", "DE", "1972-02-31"}, {"over", "DE", "1972-09-26"}, {"more than 16", "A1,A1,A1,A1,A1,A1,A1,A1,A1,A1,A1,A1,A1,A1,A1,A1,A1", "1972-10-01"},
};

START_TEST(bad_travel)
{
	struct err e;
	int rc = desk_travel(NULL, &g, ANNA, slice_str(bad_travels[_i].countries), slice_str(bad_travels[_i].until), T0, &e);
	ck_assert_msg(rc == E_SYNTAX || rc == E_TOO_LONG, "%s: %d", bad_travels[_i].spec, rc);
	ck_assert_ptr_null(history_user(g.history, ANNA, false));
}
END_TEST

START_TEST(reports)
{
	static const int points[] = {40, 40, 60, 60};
	struct decision d;
	struct err e;
	for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
		ck_assert_int_eq(desk_report(&d, &g, ANNA, T0 + (int64_t)i, &e), 0);
		ck_assert_int_eq(d.score, points[i]);
		ck_assert_int_eq(d.action, ACTION_HOLD);
	}
	ck_assert_int_eq(desk_report(&d, &g, ANNA, T0 + 30 * DAY, &e), 0);
	ck_assert_int_eq(d.score, 40);
}
END_TEST

START_TEST(facts)
{
	struct decision d;
	sends(T0, 10, 0);
	engine_fact(&d, &g, FACT_REFUSED, ANNA, 19, T0 + 1);
	ck_assert_int_eq(d.rules >> R_S3 & 1, 0);
	engine_fact(&d, &g, FACT_REFUSED, ANNA, 1, T0 + 2);
	ck_assert(d.rules >> R_S3 & 1 && d.rules >> R_S4 & 1);
	engine_fact(&d, &g, FACT_BAD, ANNA, 1, T0 + 3);
	ck_assert_int_eq(d.rules >> R_C3 & 1, 0);
	engine_fact(&d, &g, FACT_BAD, ANNA, 1, T0 + 4);
	ck_assert_int_eq(d.rules >> R_C3 & 1, 1);
	engine_fact(&d, &g, FACT_BOUNCED, slice_str("nobody"), 100, T0);
	ck_assert_ptr_null(d.user);
}
END_TEST

START_TEST(bad_flag)
{
	static const char *const whys[] = {"", "a\nb", "\x7f", NULL};
	char text[MARK_WHY_MAX + 2];
	struct err e;
	memset(text, 'x', sizeof text);
	for (int i = 0; whys[i]; i++)
		ck_assert_int_eq(desk_flag(NULL, &g, ANNA, false, slice_str(whys[i]), 0, T0, &e), E_SYNTAX);
	ck_assert_int_eq(desk_flag(NULL, &g, ANNA, false, slice_make(text, MARK_WHY_MAX + 1), 0, T0, &e), E_SYNTAX);
	ck_assert_int_eq(desk_flag(NULL, &g, ANNA, false, slice_make(text, MARK_WHY_MAX), 0, T0, &e), 0);
	ck_assert_int_eq(desk_flag(NULL, &g, slice_str(""), false, slice_str("x"), 0, T0, &e), E_SYNTAX);
	ck_assert_int_eq(desk_clear(NULL, &g, slice_str("nobody"), T0, &e), E_NOT_FOUND);
}
END_TEST

UNIT_MAIN("skim/desk", tcase_add_checked_fixture(t, start, stop); tcase_add_test(t, flag); tcase_add_test(t, flag_rises); tcase_add_test(t, lock);
	tcase_add_test(t, recovering_ends_by_time); tcase_add_test(t, recovering_counts_double); tcase_add_test(t, travel);
	tcase_add_loop_test(t, bad_travel, 0, sizeof bad_travels / sizeof *bad_travels); tcase_add_test(t, reports); tcase_add_test(t, facts);
	tcase_add_test(t, bad_flag);)
