/* The table of control files itself: what the reader, the lint and the manual page take for granted of each row. */
#include <check.h>
#include <stdlib.h>

#include "directory/query.h"
#include "lib/control.h"
#include "supervise/graph.h"

START_TEST(row)
{
	const struct control_file *f = &control_files[_i];
	ck_assert_ptr_nonnull(f->name);
	ck_assert_msg(f->help[0] != 0 && slice_ends(slice_str(f->help), "."), "%s: help is a sentence", f->name);
	ck_assert_msg(f->readers != 0 && f->readers < BIT(P_COUNT), "%s: somebody reads it", f->name);
	for (int k = 0; k < _i; k++)
		ck_assert_str_ne(f->name, control_files[k].name);
	if (f->kind == CONTROL_NUMBER) {
		long long v;
		ck_assert_msg(f->def && f->unit[0], "%s: a number has a default and a unit", f->name);
		ck_assert_msg(slice_number(&v, slice_str(f->def), f->least, f->most) == 0, "%s: default out of range", f->name);
	}
	if (f->kind == CONTROL_BLOB || f->kind == CONTROL_FOLDER)
		ck_assert_msg(f->most > 0 && (size_t)f->most <= CONTROL_FILE_MAX, "%s: a blob has a limit", f->name);
}
END_TEST

/* Askers wait for the longest that the directory may be told to take. */
START_TEST(ldaptimeout)
{
	ck_assert_int_eq(control_files[C_ldaptimeout].most, DIRECTORY_SECONDS_MOST);
	ck_assert_int_lt(DIRECTORY_SECONDS_MOST * 1000, DIRECTORY_ASK_MSEC);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("files");
	TCase *t = tcase_create("table");
	tcase_add_loop_test(t, row, 0, C_COUNT);
	tcase_add_test(t, ldaptimeout);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
