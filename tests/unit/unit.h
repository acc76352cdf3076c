/* The main() of a unit test: UNIT_MAIN("name", tcase_add_test(t, a); tcase_add_loop_test(t, b, 0, n);) */
#ifndef POSTERN_TESTS_UNIT_H
#define POSTERN_TESTS_UNIT_H
#include <check.h>
#include <stdlib.h>

#define UNIT_MAIN(name, ...)                                      \
	int main(void)                                            \
	{                                                         \
		Suite *s = suite_create(name);                    \
		TCase *t = tcase_create(name);                    \
		tcase_set_timeout(t, 120);                        \
		__VA_ARGS__                                       \
		suite_add_tcase(s, t);                            \
		SRunner *r = srunner_create(s);                   \
		srunner_run_all(r, CK_NORMAL);                    \
		int failed = srunner_ntests_failed(r);            \
		srunner_free(r);                                  \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;      \
	}
#endif
