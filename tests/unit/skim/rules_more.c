/* Rules that need more than numbers: names that claim an office (F3), canary accounts (X4), guessing at an account not seen before (L8), addresses that the
 * directory vouches for (F1), programs (L10). */
#include "skim/rules.h"

#include <stdio.h>

#include "tests/unit/unit.h"

static struct skim_config cfg;
static struct control control;
static struct engine g;

static void start(void)
{
	struct err e;
	control = (struct control){.dir = "ctl"};
	control.value[C_skim].content = slice_str("[score]\nlearn_days=0\n[canary]\nuser=honey, jar\n[trustednets]\nnet=10.9.0.0/16 campus\n");
	control.value[C_skim].present = true;
	control.value[C_locals].content = slice_str("campus.test\n");
	control.value[C_locals].present = true;
	ck_assert_msg(config_read(&cfg, &control, &e) == 0, "%s", e.text);
	g = (struct engine){.cfg = &cfg, .history = history_make(1000)};
}

static void stop(void)
{
	history_free(g.history);
	config_free(&cfg);
}

#define T0 ((int64_t)1000 * DAY + 36000)
static struct skim_event base(const char *user, int64_t time)
{
	return (struct skim_event){.success = true, .time = time, .user = slice_str(user), .recipients = EVENT_NONE, .external = EVENT_NONE,
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

static const struct {
	const char *spec, *from;
	long recipients;
	bool hit;
} names[] = {
	{"helpdesk", "IT Helpdesk <anna@campus.test>", 10, true}, {"case", "\"HELPDESK\" <anna@campus.test>", 10, true},
	{"within", "Your Mailbox Team <anna@campus.test>", 10, true}, {"payroll", "Payroll <anna@campus.test>", 10, true},
	{"too few", "IT Helpdesk <anna@campus.test>", 9, false}, {"a person", "Anna Admin <anna@campus.test>", 10, false},
	{"no name", "helpdesk@campus.test", 10, false}, {"in the address alone", "Anna <helpdesk@campus.test>", 10, false}, {"none", "", 10, false},
};

START_TEST(claims)
{
	struct skim_event ev = base("anna", T0);
	ev.send = true, ev.recipients = names[_i].recipients, ev.external = 0, ev.header_from = slice_str(names[_i].from);
	struct decision d = judge(ev);
	ck_assert_msg(has(&d, R_F3) == names[_i].hit, "%s", names[_i].spec);
	/* who has used it for a day may go on */
	ev.time += 3 * DAY;
	d = judge(ev);
	ck_assert_msg(!(d.hit >> R_F3 & 1), "%s", names[_i].spec);
}
END_TEST

static struct decision login(const char *user, const char *ip, int64_t time)
{
	struct skim_event ev = base(user, time);
	ev.ip = slice_str(ip);
	return judge(ev);
}

START_TEST(canary)
{
	login("old", "192.0.2.1", T0 - 8 * DAY);
	login("victim", "192.0.2.1", T0 - 6 * DAY);
	login("other", "192.0.2.2", T0);
	struct decision d = login("Honey", "192.0.2.1", T0);
	ck_assert_msg(has(&d, R_X4) && d.score == 100 && d.action >= ACTION_STOP, "%d", d.score);
	struct user *v = history_user(g.history, slice_str("victim"), false);
	ck_assert_int_eq(v->state, USER_FLAGGED);
	ck_assert_str_ne(v->code, "");
	ck_assert_int_eq(history_user(g.history, slice_str("old"), false)->state, USER_FREE);
	ck_assert_int_eq(history_user(g.history, slice_str("other"), false)->state, USER_FREE);
	d = login("victim", "192.0.2.77", T0 + 60);
	ck_assert_msg(d.score == 40, "%d", d.score);
	ck_assert_int_eq(v->state, USER_HELD);
	d = login("later", "192.0.2.1", T0 + 3 * DAY);
	ck_assert(has(&d, R_X4) && d.score == 40 && d.action == ACTION_HOLD);
	d = login("much-later", "192.0.2.1", T0 + 8 * DAY);
	ck_assert(!has(&d, R_X4));
}
END_TEST

/* On our own networks a canary says nothing; a wrong password never does. */
START_TEST(no_canary)
{
	struct skim_event ev = base("jar", T0);
	ev.ip = slice_str("192.0.2.1"), ev.success = false, ev.exists = true;
	judge(ev);
	login("jar", "10.9.0.1", T0);
	struct decision d = login("anna", "192.0.2.1", T0 + 1);
	ck_assert(!has(&d, R_X4));
	d = login("anna", "10.9.0.1", T0 + 2);
	ck_assert(!has(&d, R_X4));
}
END_TEST

START_TEST(guessing_at_an_unknown_account)
{
	for (int i = 0; i < 10; i++) {
		char ip[20];
		snprintf(ip, sizeof ip, "192.0.%d.1", i % 3);
		struct skim_event ev = base(i % 2 ? "anna" : "ANNA", T0 + i);
		ev.success = false, ev.exists = true, ev.ip = slice_str(ip);
		judge(ev);
		ev.user = slice_str("nobody"), ev.exists = false;
		judge(ev);
	}
	ck_assert_ptr_null(history_user(g.history, slice_str("nobody"), false));
	struct decision d = login("anna", "192.0.7.1", T0 + 60);
	ck_assert(has(&d, R_L8));
}
END_TEST

START_TEST(own_addresses)
{
	struct skim_event ev = base("anna", T0);
	ev.send = true, ev.recipients = 40, ev.external = 0;
	ev.mail_from = slice_str("office@campus.test"), ev.header_from = slice_str("office@campus.test");
	ev.own_sender = ev.own_from = true;
	struct decision d = judge(ev);
	ck_assert(!has(&d, R_F1));
	ev.own_from = false, ev.user = slice_str("bert");
	d = judge(ev);
	ck_assert(has(&d, R_F1));
}
END_TEST

START_TEST(programs)
{
	struct skim_event ev = base("anna", T0);
	struct decision d = {0};
	ev.ip = slice_str("192.0.2.1");
	for (int i = 0; i < 12; i++) {
		char client[40];
		snprintf(client, sizeof client, "Thunderbird/%d.0", 100 + i);
		ev.time = T0 + i * DAY, ev.client = slice_str(client);
		d = judge(ev);
		ck_assert(!has(&d, R_L10));
	}
	ev.client = slice_str("PHPMailer 6"), ev.time += 60;
	d = judge(ev);
	ck_assert(has(&d, R_L10));
}
END_TEST

UNIT_MAIN("skim/rules-more", tcase_add_checked_fixture(t, start, stop); tcase_add_loop_test(t, claims, 0, sizeof names / sizeof *names);
	tcase_add_test(t, canary); tcase_add_test(t, no_canary); tcase_add_test(t, guessing_at_an_unknown_account); tcase_add_test(t, own_addresses);
	tcase_add_test(t, programs);)
