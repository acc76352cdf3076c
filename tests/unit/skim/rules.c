/* The rules at their thresholds and one below; fading points, the ladder, learning, habits. */
#include "skim/rules.h"

#include <stdio.h>

#include "tests/unit/unit.h"

static struct skim_config cfg;
static struct control control;
static struct engine g;

static void start_with(const char *text)
{
	struct err e;
	control = (struct control){.dir = "ctl"};
	control.value[C_skim].content = slice_str(text);
	control.value[C_skim].present = true;
	control.value[C_locals].content = slice_str("campus.test\n");
	control.value[C_locals].present = true;
	ck_assert_msg(config_read(&cfg, &control, &e) == 0, "%s", e.text);
	g = (struct engine){.cfg = &cfg, .history = history_make(1000)};
}

static void start(void)
{
	start_with("[score]\nlearn_days=0\n");
}

static void stop(void)
{
	history_free(g.history);
	config_free(&cfg);
}

#define T0 ((int64_t)1000 * DAY + 36000)
static struct skim_event base(int64_t time)
{
	return (struct skim_event){.success = true, .time = time, .user = slice_str("anna"), .recipients = EVENT_NONE, .external = EVENT_NONE,
		.unknown_recipients = EVENT_NONE, .new_recipients = EVENT_NONE, .size = EVENT_NONE, .swept = EVENT_NONE};
}

static struct decision judge(struct skim_event ev)
{
	struct decision d;
	engine_judge(&d, &g, &ev);
	return d;
}

static bool has(const struct decision *d, enum rule r)
{
	return d->rules >> r & 1;
}

/* One message; a field one below its threshold and at it. */
static const struct send_row {
	const char *spec;
	enum rule rule;
	long recipients, external, unknown, fresh, swept;
	int points;
} sends[] = {
	{"S1 at", R_S1, 400, 400, 0, 0, 0, 30 + 25}, {"S1 below", R_COUNT, 99, 99, 0, 0, 0, 0}, {"S1 hard", R_S1, 500, 500, 0, 0, 0, 50 + 25},
	{"S1 counts those outside", R_S7, 500, 399, 0, 0, 0, 25},
	{"S2 at", R_S2, 1000, 0, 0, 0, 0, 30 + 25}, {"S2 below", R_S7, 999, 0, 0, 0, 0, 25},
	{"S3 at", R_S3, 90, 0, 20, 0, 0, 20}, {"S3 below", R_COUNT, 90, 0, 19, 0, 0, 0}, {"S3 hold", R_S3, 99, 0, 29, 0, 0, 20},
	{"S4 at", R_S4, 20, 0, 7, 0, 0, 30}, {"S4 below", R_COUNT, 20, 0, 6, 0, 0, 0}, {"S4 too few", R_COUNT, 19, 0, 19, 0, 0, 0},
	{"S5 at", R_S5, 30, 0, 0, 25, 0, 25}, {"S5 below", R_COUNT, 30, 0, 0, 24, 0, 0}, {"S5 too few", R_COUNT, 29, 0, 0, 29, 0, 0},
	{"S6 at", R_S6, 60, 0, 0, 0, 51, 20}, {"S6 below", R_COUNT, 60, 0, 0, 0, 50, 0},
	{"S7 at", R_S7, 100, 0, 0, 0, 0, 25}, {"S7 below", R_COUNT, 99, 0, 0, 0, 0, 0},
};

START_TEST(send_threshold)
{
	const struct send_row *row = &sends[_i];
	struct skim_event ev = base(T0);
	ev.send = true;
	ev.recipients = row->recipients, ev.external = row->external, ev.unknown_recipients = row->unknown, ev.new_recipients = row->fresh;
	ev.swept = row->swept;
	struct decision d = judge(ev);
	if (row->rule == R_COUNT)
		ck_assert_msg(d.rules == 0 && d.action == ACTION_PASS, "%s: %s", row->spec, d.why);
	else
		ck_assert_msg(has(&d, row->rule) && d.score == row->points, "%s: %d %s", row->spec, d.score, d.why);
}
END_TEST

static const struct unknown_row {
	long unknown;
	int points;
} unknowns[] = {{19, 0}, {20, 20}, {49, 20}, {50, 50}, {99, 50}, {100, 80}};

START_TEST(unknown_steps)
{
	struct decision d = {0};
	/* in several messages within the hour, to enough others that no other rule speaks */
	for (long left = unknowns[_i].unknown; left > 0; left -= 10) {
		struct skim_event ev = base(T0 + left);
		ev.send = true;
		ev.recipients = 60, ev.external = 0, ev.unknown_recipients = left < 10 ? left : 10;
		d = judge(ev);
	}
	ck_assert_msg(d.score == unknowns[_i].points, "%ld: %d %s", unknowns[_i].unknown, d.score, d.why);
}
END_TEST

START_TEST(from)
{
	struct skim_event ev = base(T0);
	ev.send = true, ev.external = 0;
	ev.recipients = 29, ev.header_from = slice_str("Bank <bank@evil.test>");
	ck_assert_int_eq(judge(ev).score, 10);
	ev.time += 2 * 3600, ev.recipients = 30;
	struct decision d = judge(ev);
	ck_assert_msg(d.score == 50 && has(&d, R_F1), "%d", d.score);
	ev.user = slice_str("bert"), ev.header_from = slice_str("Bert <BERT@Campus.test>"), ev.mail_from = slice_str("bert@campus.test");
	ck_assert_int_eq(judge(ev).score, 0);
}
END_TEST

/* An address used on two earlier days is the user's. */
START_TEST(from_is_learnt)
{
	struct skim_event ev = base(T0);
	ev.send = true, ev.external = 0, ev.recipients = 5, ev.header_from = slice_str("team@campus.test");
	judge(ev);
	ev.time += DAY;
	judge(ev);
	ev.time += 10 * DAY, ev.recipients = 50;
	struct decision d = judge(ev);
	ck_assert_msg(!has(&d, R_F1), "%s", d.why);
}
END_TEST

START_TEST(points_fade)
{
	struct skim_event ev = base(T0);
	int families;
	ev.send = true, ev.external = 0, ev.recipients = 100;
	struct decision d = judge(ev);
	ck_assert_int_eq(d.score, 25);
	ck_assert_int_eq(engine_score(&g, d.user, T0 + 12 * 3600, &families), 13);
	ck_assert_int_eq(engine_score(&g, d.user, T0 + 24 * 3600, &families), 6);
	ck_assert_int_eq(engine_score(&g, d.user, T0 + 30 * DAY, &families), 0);
	ev.time += 60;
	ev.recipients = 1;
	ck_assert_msg(judge(ev).score == 25, "the same again makes no more of it");
}
END_TEST

/* Failures from three networks, then success: at ten, not at nine. */
START_TEST(guessed)
{
	struct decision d;
	for (int i = 0; i < 9 + _i; i++) {
		struct skim_event ev = base(T0 + i);
		static const char *const net[] = {"192.0.2.1", "198.51.100.1", "203.0.113.1"};
		ev.success = false, ev.ip = slice_str(net[i % 3]);
		judge(base(T0));
		judge(ev);
	}
	struct skim_event ev = base(T0 + 100);
	ev.ip = slice_str("192.0.2.1");
	d = judge(ev);
	ck_assert_int_eq(has(&d, R_L8), _i);
}
END_TEST

START_TEST(sprayed)
{
	char name[20];
	for (int i = 0; i < 19 + _i; i++) {
		struct skim_event ev = base(T0 + i);
		snprintf(name, sizeof name, "victim%d", i);
		ev.user = slice_str(name), ev.success = false, ev.ip = slice_str("192.0.2.1");
		judge(ev);
	}
	struct skim_event ev = base(T0 + 100);
	ev.ip = slice_str("192.0.2.1");
	struct decision d = judge(ev);
	ck_assert_int_eq(has(&d, R_L9), _i);
	ck_assert_uint_eq(history_count(g.history), 1); /* who only fails takes no room */
}
END_TEST

static struct decision from_networks(int n, bool one)
{
	struct decision d = {0};
	char ip[40];
	for (int i = 0; i < n; i++) {
		struct skim_event ev = base(T0 + i * 60);
		snprintf(ip, sizeof ip, "192.%d.2.%d", one ? 0 : i, one ? i : 1);
		ev.ip = slice_str(ip);
		d = judge(ev);
	}
	return d;
}

START_TEST(breadth)
{
	struct decision d = from_networks(10 + _i, false);
	ck_assert_int_eq(has(&d, R_L7), _i);
}
END_TEST

START_TEST(breadth_addresses)
{
	struct decision d = from_networks(20 + _i, true);
	ck_assert_int_eq(has(&d, R_L7), _i);
}
END_TEST

START_TEST(trusted_networks)
{
	stop();
	start_with("[trustednets]\nnet=192.0.0.0/8 campus\n");
	struct decision d = from_networks(23, false);
	ck_assert(!d.rules);
}
END_TEST

START_TEST(one_family_does_not_lock)
{
	struct skim_event ev = base(T0);
	ev.send = true, ev.recipients = 1000, ev.external = 1000, ev.unknown_recipients = 500;
	struct decision d = judge(ev);
	ck_assert_int_ge(d.score, 100);
	ck_assert_int_eq(d.action, ACTION_STOP);
	ev.time++, ev.header_from = slice_str("bank@evil.test");
	ck_assert_int_eq(judge(ev).action, ACTION_LOCK);
	ev.time++;
	ck_assert_msg(judge(ev).action == ACTION_STOP, "one lock for one incident");
}
END_TEST

START_TEST(modes)
{
	stop();
	start_with("[rules]\nS7=log\nS3=off\nS4=on 44\n");
	struct skim_event ev = base(T0);
	ev.send = true, ev.recipients = 100, ev.external = 0, ev.unknown_recipients = 50;
	struct decision d = judge(ev);
	ck_assert_msg(has(&d, R_S7) && !has(&d, R_S3) && has(&d, R_S4) && d.score == 44, "%d %s", d.score, d.why);
}
END_TEST

/* Silent on who is not known yet. */
START_TEST(learning)
{
	stop();
	start_with("");
	struct skim_event ev = base(T0);
	ev.send = true, ev.recipients = 30, ev.external = 0, ev.new_recipients = 30;
	ck_assert(!judge(ev).rules);
	ev.time += 13 * DAY;
	ck_assert(!judge(ev).rules);
	ev.time += DAY;
	ck_assert(judge(ev).rules);
}
END_TEST

/* A monthly newsletter is usual from the third on. */
START_TEST(habit)
{
	struct decision d = {0};
	for (int i = 0; i < 4; i++) {
		struct skim_event ev = base(T0 + i * 28 * DAY);
		ev.send = true, ev.recipients = 300, ev.external = 0;
		d = judge(ev);
		ck_assert_int_eq(has(&d, R_S7), i < 2);
	}
}
END_TEST

START_TEST(classes)
{
	struct skim_event ev = base(T0);
	ev.send = true, ev.recipients = 60, ev.external = 60, ev.class = slice_str("student");
	for (int i = 0; i < 3; i++, ev.time++)
		ck_assert(!judge(ev).rules);
	ev.recipients = ev.external = 20;
	struct decision d = judge(ev);
	ck_assert(has(&d, R_S1));
	ev.user = slice_str("list"), ev.class = slice_str("bulk"), ev.recipients = ev.external = 5000;
	ck_assert(!judge(ev).rules);
}
END_TEST

START_TEST(users_bounded)
{
	char name[20];
	for (int i = 0; i < 5000; i++) {
		struct skim_event ev = base(T0 + i);
		snprintf(name, sizeof name, "u%d", i);
		ev.user = slice_str(name), ev.send = i % 2;
		judge(ev);
	}
	ck_assert_uint_le(history_count(g.history), 1000);
	ck_assert_ptr_nonnull(history_user(g.history, slice_str("u4999"), false));
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))
UNIT_MAIN("skim/rules", tcase_add_checked_fixture(t, start, stop); tcase_add_loop_test(t, send_threshold, 0, COUNT(sends));
	tcase_add_loop_test(t, unknown_steps, 0, COUNT(unknowns)); tcase_add_test(t, from); tcase_add_test(t, from_is_learnt); tcase_add_test(t, points_fade);
	tcase_add_loop_test(t, guessed, 0, 2); tcase_add_loop_test(t, sprayed, 0, 2); tcase_add_loop_test(t, breadth, 0, 2);
	tcase_add_loop_test(t, breadth_addresses, 0, 2); tcase_add_test(t, trusted_networks); tcase_add_test(t, one_family_does_not_lock);
	tcase_add_test(t, modes); tcase_add_test(t, learning); tcase_add_test(t, habit); tcase_add_test(t, classes); tcase_add_test(t, users_bounded);)
