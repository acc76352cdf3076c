/* Unit tests of skim/respond_journal.c: what an order comes to, what is due when, the day's locks, giving back. */
#include "skim/respond_journal.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOW 1795000000
static char folder[] = "/tmp/postern-journal-XXXXXX";
static struct journal j;
static struct plan plan;
static struct control control;
static const struct budget budget = {2, "chief@campus.test"};

static void setup(void)
{
	char file[64], names[3][80];
	struct err e;
	snprintf(folder, sizeof folder, "/tmp/postern-journal-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(file, sizeof file, "%s/j", folder);
	for (int i = 0; i < 3; i++)
		snprintf(names[i], sizeof names[i], "%s%s", file, i == 0 ? "" : i == 1 ? "-wal" : "-shm"), unlink(names[i]);
	control.value[C_respond].present = true;
	control.value[C_respond].content = slice_str("held ticket mail a@b.test\nstopped block 3\nlocked password\nlocked accountstatus noaccess\n");
	ck_assert_int_eq(plan_parse(&plan, &control, &e), 0);
	ck_assert_msg(journal_open(&j, file, &e) == 0, "%s", e.text);
}

static void teardown(void)
{
	char command[100];
	journal_close(&j);
	for (int i = 0; i < 3; i++) {
		snprintf(command, sizeof command, "%s/j%s", folder, i == 0 ? "" : i == 1 ? "-wal" : "-shm");
		unlink(command);
	}
	rmdir(folder);
}

static int order(const char *user, const char *code, enum respond_state state, size_t addresses)
{
	struct err e;
	struct respond_order o = {.user = slice_str(user), .code = slice_str(code), .state = state, .since = NOW, .score = 50, .rules = slice_str("L1"),
		.why = slice_str("because"), .addresses = addresses};
	for (size_t i = 0; i < addresses; i++)
		o.address[i].a[10] = o.address[i].a[11] = 0xff, o.address[i].a[12] = 203, o.address[i].a[15] = (unsigned char)i;
	return journal_order(&j, &o, &plan, &budget, NOW, &e);
}

static struct incident incident(const char *code)
{
	struct incident i;
	struct err e;
	ck_assert_msg(journal_incident(&j, &i, code, &e) == 0, "%s", e.text);
	return i;
}

/* The next due step is this one; it is put in STATE. */
static void step(const char *text, enum step_state state, bool others)
{
	struct step s;
	struct err e;
	ck_assert_msg(journal_due(&j, &s, NOW, others, &e) == 0, "%s: %s", text, e.text);
	ck_assert_str_eq(s.text, text);
	s.state = state;
	buf_add_str(&s.saved, "what was");
	ck_assert_int_eq(journal_put(&j, &s, NOW, &e), 0);
	step_free(&s);
}

static bool none_due(bool others)
{
	struct step s;
	struct err e;
	return journal_due(&j, &s, NOW, others, &e) == E_NOT_FOUND;
}

START_TEST(test_ladder)
{
	ck_assert_int_eq(order("anna", "A", RESPOND_HELD, 1), 1);
	ck_assert_str_eq(incident("A").phase, "acting");
	ck_assert_int_eq(order("anna", "A", RESPOND_HELD, 1), 0);
	ck_assert_int_eq(order("anna", "A", RESPOND_HELD, 3), 1); /* new addresses */
	ck_assert_uint_eq(incident("A").addresses, 3);
	step("ticket mail a@b.test", STEP_DONE, false);
	ck_assert(none_due(false));
	ck_assert_str_eq(incident("A").phase, "acted");
	ck_assert_int_eq(order("anna", "A", RESPOND_LOCKED, 3), 1);
	ck_assert_int_eq(order("anna", "A", RESPOND_STOPPED, 3), 0);
	ck_assert_int_eq(incident("A").state, RESPOND_LOCKED);
	step("block 3", STEP_DONE, true);
	ck_assert(none_due(true)); /* what is left needs LDAP */
	step("password", STEP_DONE, false);
	step("accountstatus noaccess", STEP_REFUSED, false);
	ck_assert_str_eq(incident("A").phase, "acted");
	ck_assert_int_eq(order("anna", "A", RESPOND_LOCKED, 4), 1); /* the block is taken up again, with what it saved */
	step("block 3", STEP_DONE, true);
}
END_TEST

START_TEST(test_others_code)
{
	ck_assert_int_eq(order("anna", "A", RESPOND_HELD, 0), 1);
	ck_assert_int_eq(order("bela", "A", RESPOND_LOCKED, 0), E_REFUSED);
	ck_assert_str_eq(incident("A").user, "anna");
	ck_assert_int_eq(incident("A").state, RESPOND_HELD);
}
END_TEST

START_TEST(test_restore)
{
	struct err e;
	ck_assert_int_eq(order("anna", "A", RESPOND_LOCKED, 0), 1);
	step("ticket mail a@b.test", STEP_DONE, false);
	step("block 3", STEP_BEGUN, false);
	ck_assert_int_eq(journal_restore(&j, "A", NOW, &e), 0);
	ck_assert_int_eq(journal_restore(&j, "A", NOW, &e), 0);
	ck_assert_str_eq(incident("A").phase, "restoring");
	ck_assert_int_eq(order("anna", "A", RESPOND_LOCKED, 5), 0); /* what skim says again changes nothing */
	step("block 3", STEP_UNDONE, false); /* the last first; password and accountstatus were never taken */
	step("ticket mail a@b.test", STEP_LEFT, false);
	ck_assert(none_due(false));
	ck_assert_str_eq(incident("A").phase, "restored");
	ck_assert_int_eq(incident("A").ended, NOW);
	ck_assert_int_eq(journal_retry(&j, "A", &e), 0);
	ck_assert_int_eq(order("anna", "A", RESPOND_LOCKED, 5), 0);
	ck_assert(none_due(false));
}
END_TEST

static int count_steps(void *arg, const struct step *s)
{
	(void)s;
	++*(int *)arg;
	return 0;
}

/* What cannot be written as a whole is not written, and stands in nobody's way. */
START_TEST(test_nothing_half)
{
	struct step s;
	struct err e;
	ck_assert_int_eq(order("anna", "A", RESPOND_HELD, 0), 1);
	ck_assert_int_eq(journal_due(&j, &s, NOW, false, &e), 0);
	s.state = STEP_DONE;
	s.saved.overflow = true;
	ck_assert_int_eq(journal_put(&j, &s, NOW, &e), E_TOO_LONG);
	step_free(&s);
	ck_assert_str_eq(incident("A").phase, "acting");
	ck_assert_int_eq(order("bela", "A", RESPOND_LOCKED, 0), E_REFUSED);
	step("ticket mail a@b.test", STEP_DONE, false);
	ck_assert_str_eq(incident("A").phase, "acted");
}
END_TEST

START_TEST(test_budget)
{
	struct err e;
	int n = 0;
	char code[8];
	for (int i = 0; i < 5; i++) {
		snprintf(code, sizeof code, "C%d", i);
		ck_assert_int_eq(order("anna", code, RESPOND_LOCKED, 0), 1);
		ck_assert_int_eq(order("anna", code, RESPOND_LOCKED, 0), 0);
		ck_assert_int_eq(incident(code).limited, i >= 2);
	}
	ck_assert_int_eq(journal_steps(&j, "C2", count_steps, &n, &e), 0);
	ck_assert_int_eq(n, 3); /* ticket, block, and the notice to the postmaster */
	n = 0;
	ck_assert_int_eq(journal_steps(&j, "C3", count_steps, &n, &e), 0);
	ck_assert_int_eq(n, 2);
	ck_assert_int_eq(journal_lift(&j, "C3", &plan, &e), 0);
	n = 0;
	ck_assert_int_eq(journal_steps(&j, "C3", count_steps, &n, &e), 0);
	ck_assert_int_eq(n, 4);
	ck_assert(!incident("C3").limited);
}
END_TEST

START_TEST(test_later)
{
	struct step s;
	struct err e;
	int64_t when;
	ck_assert_int_eq(journal_next(&j, &when, &e), 0);
	ck_assert(when == INT64_MAX);
	ck_assert_int_eq(order("anna", "A", RESPOND_HELD, 0), 1);
	ck_assert_int_eq(journal_due(&j, &s, NOW, false, &e), 0);
	s.next = NOW + 60, s.tries = 1;
	ck_assert_int_eq(journal_put(&j, &s, NOW, &e), 0);
	step_free(&s);
	ck_assert(none_due(false));
	ck_assert_int_eq(journal_next(&j, &when, &e), 0);
	ck_assert_int_eq(when, NOW + 60);
	ck_assert_int_eq(journal_retry(&j, "A", &e), 0);
	step("ticket mail a@b.test", STEP_DONE, false);
}
END_TEST

static int note_block(void *arg, const struct ip *ip, int64_t until)
{
	(void)ip;
	*(int64_t *)arg += until;
	return 0;
}

START_TEST(test_blocks)
{
	struct err e;
	struct ip ip = {.a = {1}};
	int64_t sum = 0;
	ck_assert_int_eq(order("anna", "A", RESPOND_HELD, 0), 1);
	ck_assert_int_eq(order("bela", "B", RESPOND_HELD, 0), 1);
	ck_assert_int_eq(journal_block(&j, "A", &ip, NOW + 5, &e), 0);
	ck_assert_int_eq(journal_block(&j, "B", &ip, NOW + 9, &e), 0);
	ck_assert_int_eq(journal_blocks(&j, NOW, note_block, &sum, &e), 0);
	ck_assert_int_eq(sum, NOW + 9);
	ck_assert_int_eq(journal_unblock(&j, "B", &e), 0);
	sum = 0;
	ck_assert_int_eq(journal_blocks(&j, NOW, note_block, &sum, &e), 0);
	ck_assert_int_eq(sum, NOW + 5);
	sum = 0;
	ck_assert_int_eq(journal_tend(&j, NOW + 5, &e), 0);
	ck_assert_int_eq(journal_blocks(&j, NOW, note_block, &sum, &e), 0);
	ck_assert_int_eq(sum, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("respond_journal");
	TCase *t = tcase_create("journal");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_ladder);
	tcase_add_test(t, test_others_code);
	tcase_add_test(t, test_restore);
	tcase_add_test(t, test_nothing_half);
	tcase_add_test(t, test_budget);
	tcase_add_test(t, test_later);
	tcase_add_test(t, test_blocks);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
