/* Which lines of a program count as its log lines. */
#include "supervise/logs.h"

#include "tests/unit/unit.h"

#define T "2026-11-22T10:36:00.123456Z "

static const struct {
	const char *spec, *line;
	bool is;
} lines[] = {
	{"as lib/log writes it", T "fixup[12] - started version=0.1", true},
	{"with an id", T "fixup[1] 0abcdefghijkl x a=\"b c\"", true},
	{"nothing after the head", T "fixup[1] ", true},
	{"another program", T "queue[12] - started", false},
	{"a longer name", T "fixup2[12] - started", false},
	{"a shorter name", T "fix[12] - started", false},
	{"no process id", T "fixup[] - started", false},
	{"a process id of letters", T "fixup[x] - started", false},
	{"no bracket", T "fixup 12 - started", false},
	{"bracket not closed", T "fixup[12", false},
	{"no blank after it", T "fixup[12]-", false},
	{"no time", "fixup[12] - started", false},
	{"a time without fraction", "2026-11-22T10:36:00Z fixup[12] - started", false},
	{"a letter in the time", "2026-11-22T1x:36:00.123456Z fixup[12] - started", false},
	{"a blank for the T", "2026-11-22 10:36:00.123456Z fixup[12] - started", false},
	{"an escape sequence", T "fixup[12] - \x1b[2J", false},
	{"a tab", T "fixup[12] - a\tb", false},
	{"an octet over 0x7e", T "fixup[12] - \xc3\xa4", false},
	{"a carriage return", T "fixup[12] - a\r", false},
	{"empty", "", false},
	{"the time alone", T, false},
};

START_TEST(own_lines)
{
	ck_assert_msg(log_line_of(slice_str(lines[_i].line), "fixup") == lines[_i].is, "%s", lines[_i].spec);
}
END_TEST

/* No prefix of a good line reads past its end (ASan sees it) or is taken before its head is whole. */
START_TEST(prefixes)
{
	static const char good[] = T "fixup[12] -";
	for (size_t n = 0; n < sizeof good; n++) {
		char *copy = malloc(n + 1);
		memcpy(copy, good, n);
		ck_assert_int_eq(log_line_of(slice_make(copy, n < sizeof good - 1 ? n : sizeof good - 1), "fixup"), n >= sizeof good - 2);
		free(copy);
	}
}
END_TEST

static const struct {
	const char *line;
	long long number; /* -1: is none */
} refusals[] = {
	{"syscall-refused 425", 425}, {"syscall-refused 0", 0}, {"syscall-refused ", -1}, {"syscall-refused -1", -1}, {"syscall-refused 4 ", -1},
	{"syscall-refused 100001", -1}, {"xsyscall-refused 4", -1}, {"", -1},
};

START_TEST(refused_calls)
{
	long long number = -1;
	ck_assert_int_eq(log_line_refused(&number, slice_str(refusals[_i].line)), refusals[_i].number >= 0);
	ck_assert_int_eq(number, refusals[_i].number);
}
END_TEST

UNIT_MAIN("logs",
	tcase_add_loop_test(t, own_lines, 0, sizeof lines / sizeof *lines);
	tcase_add_test(t, prefixes);
	tcase_add_loop_test(t, refused_calls, 0, sizeof refusals / sizeof *refusals);)
