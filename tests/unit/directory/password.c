/* Unit tests of directory/password.c: each scheme with the right and a wrong password, and stored values that are none. */
#include "directory/password.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

static const struct {
	const char *spec, *stored, *password;
	bool want;
} rows[] = {
	{"SHA", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "password", true},
	{"SHA, wrong", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "Password", false},
	{"lower case scheme", "{sha}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "password", true},
	{"SSHA", "{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0", "password", true},
	{"SSHA, wrong", "{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0", "passwore", false},
	{"MD5", "{MD5}X03MO1qnZdYdgyfeuILPmQ==", "password", true},
	{"SMD5", "{SMD5}swXK27O85U86pZxk/sAN6nNhbHQ=", "password", true},
	{"SMD5, wrong", "{SMD5}swXK27O85U86pZxk/sAN6nNhbHQ=", "x", false},
	{"CRYPT SHA-512", "{CRYPT}$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/", "password", true},
	{"CRYPT SHA-512, wrong", "{CRYPT}$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/", "passworD", false},
	{"CRYPT yescrypt", "{CRYPT}$y$j9T$abcdefgh$79JhsKZwfY/UU2qrk3QcffpHl7EyEEJK0pA5pD1wu73", "password", true},
	{"CRYPT yescrypt, wrong", "{CRYPT}$y$j9T$abcdefgh$79JhsKZwfY/UU2qrk3QcffpHl7EyEEJK0pA5pD1wu73", "pass", false},
	{"CRYPT, locked", "{CRYPT}*", "*", false},
	{"CRYPT, locked with !", "{CRYPT}!x", "x", false},
	{"CRYPT, nothing", "{CRYPT}", "x", false},
	{"CLEARTEXT", "{CLEARTEXT}password", "password", true},
	{"CLEARTEXT, longer", "{CLEARTEXT}password", "password1", false},
	{"no scheme", "password", "password", true},
	{"no scheme, wrong", "password", "passwore", false},
	{"an unknown scheme is no password", "{X}y", "{X}y", false},
	{"empty password", "{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "", false},
	{"empty password, empty stored", "", "", false},
	{"SHA too short", "{SHA}W6ph5Mm5Pz8GgiULbPgz", "password", false},
	{"SHA with a salt is not SHA", "{SHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0", "password", false},
	{"not base64", "{SHA}W6ph5Mm5Pz8GgiULbPg*G37mj9g=", "password", false},
	{"SSHA of nothing", "{SSHA}", "password", false},
};

START_TEST(row)
{
	ck_assert_msg(password_matches(slice_str(rows[_i].stored), slice_str(rows[_i].password)) == rows[_i].want, "%s", rows[_i].spec);
}
END_TEST

START_TEST(limits)
{
	char text[PASSWORD_MAX + 1];
	memset(text, 'x', sizeof text);
	ck_assert(password_matches(slice_make(text, PASSWORD_MAX), slice_make(text, PASSWORD_MAX)));
	ck_assert(!password_matches(slice_make(text, PASSWORD_MAX + 1), slice_make(text, PASSWORD_MAX + 1)));
	ck_assert(!password_matches(slice_str("{CRYPT}$6$s$"), slice_make("a\0b", 3)));
}
END_TEST

UNIT_MAIN("password", {
	tcase_add_loop_test(t, row, 0, (int)(sizeof rows / sizeof *rows));
	tcase_add_test(t, limits);
})
