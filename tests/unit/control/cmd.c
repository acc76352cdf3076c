/* The operator's command: its command line, spans of time, tables. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/cmd.h"

#define WORDS 8
static const struct {
	const char *spec, *word[WORDS];
	const char *verb, *control, *state;
	int args;
	bool json;
	const char *fault; /* NULL: none */
} lines[] = {
	{"nothing", {0}, NULL, "/etc/postern", "/var/lib/postern", 0, false, NULL},
	{"subcommand alone", {"check"}, "check", "/etc/postern", "/var/lib/postern", 0, false, NULL},
	{"options before", {"-c", "/a", "-s", "/b", "queue", "list"}, "queue", "/a", "/b", 1, false, NULL},
	{"options after", {"queue", "list", "-c", "/a", "-s", "/b", "--json"}, "queue", "/a", "/b", 1, true, NULL},
	{"options around", {"-c/a", "queue", "--json", "show", "--state=/b", "x"}, "queue", "/a", "/b", 2, true, NULL},
	{"long with a word", {"--control", "/a", "check"}, "check", "/a", "/var/lib/postern", 0, false, NULL},
	{"dry run and force", {"quarantine", "--force", "release", "x", "--dry-run"}, "quarantine", "/etc/postern", "/var/lib/postern", 2, false, NULL},
	{"end of options", {"user", "--", "--json"}, "user", "/etc/postern", "/var/lib/postern", 1, false, NULL},
	{"a lone minus is an argument", {"user", "-"}, "user", "/etc/postern", "/var/lib/postern", 1, false, NULL},
	{"the last one counts", {"-c/a", "-c/b", "check"}, "check", "/b", "/var/lib/postern", 0, false, NULL},
	{"value missing", {"check", "-c"}, "check", NULL, NULL, 0, false, "-c needs a folder"},
	{"value empty", {"check", "--state="}, "check", NULL, NULL, 0, false, "--state needs a folder"},
	{"unknown option", {"check", "--jsn"}, "check", NULL, NULL, 0, false, "there is no option --jsn"},
	{"unknown short option", {"-x", "check"}, NULL, NULL, NULL, 0, false, "there is no option -x"},
};

START_TEST(line)
{
	struct options o;
	struct err e = {0};
	char *argv[WORDS + 1] = {(char[]){"postern"}};
	int argc = 1, rc;
	for (int i = 0; i < WORDS && lines[_i].word[i]; i++)
		argv[argc++] = strdup(lines[_i].word[i]);
	rc = options_parse(&o, argc, argv, &e);
	if (lines[_i].fault) {
		ck_assert_msg(rc == E_SYNTAX, "%s", lines[_i].spec);
		ck_assert_str_eq(e.text, lines[_i].fault);
	} else {
		ck_assert_msg(rc == 0, "%s: %s", lines[_i].spec, e.text);
		ck_assert_pstr_eq(o.verb, lines[_i].verb);
		ck_assert_str_eq(o.control, lines[_i].control);
		ck_assert_str_eq(o.state, lines[_i].state);
		ck_assert_int_eq(o.args, lines[_i].args);
			ck_assert_int_eq(o.json, lines[_i].json);
		ck_assert_int_eq(o.dry_run, strstr(lines[_i].spec, "dry run") != NULL);
		ck_assert_int_eq(o.force, strstr(lines[_i].spec, "force") != NULL);
		ck_assert_ptr_null(o.arg[o.args]);
	}
	while (argc > 1)
		free(argv[--argc]);
}
END_TEST

START_TEST(too_many)
{
	struct options o;
	struct err e;
	char word[] = "x", *argv[CMD_ARGS_MAX + 3];
	for (int i = 0; i < CMD_ARGS_MAX + 3; i++)
		argv[i] = word;
	ck_assert_int_eq(options_parse(&o, CMD_ARGS_MAX + 2, argv, &e), 0);
	ck_assert_int_eq(o.args, CMD_ARGS_MAX);
	ck_assert_int_eq(options_parse(&o, CMD_ARGS_MAX + 3, argv, &e), E_SYNTAX);
}
END_TEST

START_TEST(words)
{
	char t[32];
	static const struct { long long sec; const char *want; } spans[] = {{-5, "0 s"}, {0, "0 s"}, {119, "119 s"}, {120, "2 min"},
		{7199, "119 min"}, {7200, "2 h"}, {172799, "47 h"}, {172800, "2 d"}, {99999999, "1157 d"}};
	for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
		words_span(t, spans[i].sec);
		ck_assert_str_eq(t, spans[i].want);
	}
	static const struct { long long octets; const char *want; } sizes[] = {{0, "0"}, {1023, "1023"}, {1024, "1.0 KiB"}, {1536, "1.5 KiB"},
		{204800, "200 KiB"}, {1048576, "1.0 MiB"}, {5368709120, "5.0 GiB"}};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		words_octets(t, sizes[i].octets);
		ck_assert_str_eq(t, sizes[i].want);
	}
	words_when(t, 1000, 400); ck_assert_str_eq(t, "in 10 min");
	words_when(t, 400, 1000); ck_assert_str_eq(t, "10 min ago");
	words_when(t, 1000, 1001); ck_assert_str_eq(t, "now");
}
END_TEST

START_TEST(table)
{
	struct table t = TABLE_INIT;
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	table_column(&t, "ID", false);
	table_column(&t, "N", true);
	table_column(&t, "WHY", false);
	table_cell(&t, slice_str("a\033[2Jb"));
	table_cell_format(&t, "%d", 5);
	table_cell(&t, slice_str("m\xc3\xbcller\xc2\x9b"));
	table_cell(&t, slice_str(""));
	table_cell(&t, slice_str("1234"));
	table_cell(&t, slice_str("x"));
	ck_assert_uint_eq(table_rows(&t), 2);
	table_print(&t, out);
	fclose(out);
	ck_assert_str_eq(text, "ID         N  WHY\na?[2Jb     5  m\xc3\xbcller\xc2?\n-       1234  x\n");
	free(text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cmd");
	TCase *t = tcase_create("cmd");
	tcase_add_loop_test(t, line, 0, (int)(sizeof lines / sizeof *lines));
	tcase_add_test(t, too_many);
	tcase_add_test(t, words);
	tcase_add_test(t, table);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
