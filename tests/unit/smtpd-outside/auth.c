/* smtpd-outside/auth: the exchange, one line of the table per way through it. */
#include "smtpd-outside/auth.h"

#include "tests/unit/unit.h"

#define STEPS 4
static const struct {
	const char *spec, *argument, *lines[STEPS];
	enum auth_step step[STEPS]; /* after the command and after each line */
	const char *user, *password; /* of AUTH_CHECK; NULL: impossible */
} rows[] = {
	/* AHUxAHB3 is NUL u1 NUL pw; dTE= u1; cHc= pw; AHUxAA== NUL u1 NUL */
	{"4616 2 initial response", "PLAIN AHUxAHB3", {0}, {AUTH_CHECK}, "u1", "pw"},
	{"4954 4 mechanisms without case", "plain AHUxAHB3", {0}, {AUTH_CHECK}, "u1", "pw"},
	{"4954 4 without initial response", "PLAIN", {"AHUxAHB3"}, {AUTH_ASK, AUTH_CHECK}, "u1", "pw"},
	{"4616 2 authzid is the user", "PLAIN dTEAdTEAcHc=", {0}, {AUTH_CHECK}, "u1", "pw"},
	{"4616 2 authzid is another", "PLAIN dTIAdTEAcHc=", {0}, {AUTH_CHECK}, NULL, NULL},
	{"4616 2 password with a NUL", "PLAIN AHUxAHAAdw==", {0}, {AUTH_CHECK}, NULL, NULL},
	{"4616 2 empty password", "PLAIN AHUxAA==", {0}, {AUTH_CHECK}, NULL, NULL},
	{"4616 2 empty user", "PLAIN AABwdw==", {0}, {AUTH_CHECK}, NULL, NULL},
	{"a line feed in the user", "PLAIN AHUKMQBwdw==", {0}, {AUTH_CHECK}, NULL, NULL},
	{"4616 2 one NUL", "PLAIN dTEAcHc=", {0}, {AUTH_BASE64}, NULL, NULL},
	{"4616 2 no NUL", "PLAIN dTE=", {0}, {AUTH_BASE64}, NULL, NULL},
	{"4954 4 = is an empty response", "PLAIN =", {0}, {AUTH_BASE64}, NULL, NULL},
	{"4954 4 empty line", "PLAIN", {""}, {AUTH_ASK, AUTH_BASE64}, NULL, NULL},
	{"4954 4 = in a line is no response", "PLAIN", {"="}, {AUTH_ASK, AUTH_BASE64}, NULL, NULL},
	{"4954 4 cancelled", "PLAIN", {"*"}, {AUTH_ASK, AUTH_CANCELLED}, NULL, NULL},
	{"* is no initial response", "PLAIN *", {0}, {AUTH_BASE64}, NULL, NULL},
	{"4954 4 not base64", "PLAIN AHUxAHB3!", {0}, {AUTH_BASE64}, NULL, NULL},
	{"blank before and behind", " PLAIN  AHUxAHB3 ", {0}, {AUTH_CHECK}, "u1", "pw"},
	{"login", "LOGIN", {"dTE=", "cHc="}, {AUTH_ASK_USER, AUTH_ASK_PASSWORD, AUTH_CHECK}, "u1", "pw"},
	{"login with user", "LOGIN dTE=", {"cHc="}, {AUTH_ASK_PASSWORD, AUTH_CHECK}, "u1", "pw"},
	{"login, nobody", "login", {"", "cHc="}, {AUTH_ASK_USER, AUTH_ASK_PASSWORD, AUTH_CHECK}, NULL, NULL},
	{"login, = for nobody", "LOGIN =", {"cHc="}, {AUTH_ASK_PASSWORD, AUTH_CHECK}, NULL, NULL},
	{"login, empty password", "LOGIN dTE=", {""}, {AUTH_ASK_PASSWORD, AUTH_CHECK}, NULL, NULL},
	{"login, NUL in the password", "LOGIN dTE=", {"cAB3"}, {AUTH_ASK_PASSWORD, AUTH_CHECK}, NULL, NULL},
	{"login, NUL in the user", "LOGIN dQAx", {"cHc="}, {AUTH_ASK_PASSWORD, AUTH_CHECK}, NULL, NULL},
	{"login cancelled at the user", "LOGIN", {"*"}, {AUTH_ASK_USER, AUTH_CANCELLED}, NULL, NULL},
	{"login cancelled at the password", "LOGIN", {"dTE=", "*"}, {AUTH_ASK_USER, AUTH_ASK_PASSWORD, AUTH_CANCELLED}, NULL, NULL},
	{"login, no base64", "LOGIN", {"dTE"}, {AUTH_ASK_USER, AUTH_BASE64}, NULL, NULL},
	{"login, password in clear", "LOGIN dTE=", {"pass word"}, {AUTH_ASK_PASSWORD, AUTH_BASE64}, NULL, NULL},
	{"4954 4 no mechanism", "", {0}, {AUTH_SYNTAX}, NULL, NULL},
	{"4954 4 three words", "PLAIN AHUxAHB3 x", {0}, {AUTH_SYNTAX}, NULL, NULL},
	{"4954 4 not offered", "CRAM-MD5", {0}, {AUTH_MECHANISM}, NULL, NULL},
	{"not offered, with a response", "XOAUTH2 dTE=", {0}, {AUTH_MECHANISM}, NULL, NULL},
	{"no mechanism has that name", "PLAINX", {0}, {AUTH_MECHANISM}, NULL, NULL},
	{"after the end", "PLAIN AHUxAHB3", {"cHc="}, {AUTH_CHECK, AUTH_SYNTAX}, "u1", "pw"},
};

static struct auth a;

static void check(size_t i)
{
	ck_assert_msg(a.impossible == !rows[i].user, "%s", rows[i].spec);
	if (rows[i].user)
		ck_assert_msg(slice_eq_str(a.user, rows[i].user) && slice_eq_str(a.password, rows[i].password), "%s", rows[i].spec);
}

START_TEST(row)
{
	const char *spec = rows[_i].spec;
	for (int round = 0; round < 2; round++) { /* twice: nothing of the first exchange stays */
		enum auth_step step = auth_begin(&a, slice_str(rows[_i].argument));
		for (int k = 0; ; k++) {
			ck_assert_msg(step == rows[_i].step[k], "%s: step %d is %d", spec, k, step);
			if (step == AUTH_CHECK)
				check((size_t)_i);
			if (k == STEPS - 1 || !rows[_i].lines[k])
				break;
			step = auth_line(&a, slice_str(rows[_i].lines[k]));
		}
		auth_wipe(&a);
		for (size_t i = 0; i < sizeof a.text; i++)
			ck_assert_msg(a.text[i] == 0, "%s: octet %zu stays", spec, i);
		ck_assert(a.user.n == 0 && a.password.n == 0);
	}
}
END_TEST

/* A user of AUTH_USER_MAX octets may be somebody, one more is nobody; the longest line is no fault. */
START_TEST(limits)
{
	static char line[AUTH_LINE_MAX];
	for (size_t n = AUTH_USER_MAX / 3 * 4; n <= AUTH_USER_MAX / 3 * 4 + 8; n += 4) {
		auth_begin(&a, slice_str("LOGIN"));
		memset(line, 'V', n);
		ck_assert_int_eq(auth_line(&a, slice_make(line, n)), AUTH_ASK_PASSWORD);
		ck_assert_int_eq(auth_line(&a, slice_str("cHc=")), AUTH_CHECK);
		ck_assert_int_eq(a.impossible, n / 4 * 3 > AUTH_USER_MAX);
	}
	memset(line, 'V', sizeof line);
	auth_begin(&a, slice_str("LOGIN dTE="));
	ck_assert_int_eq(auth_line(&a, slice_make(line, sizeof line)), AUTH_CHECK);
	ck_assert_uint_eq(a.password.n, sizeof line / 4 * 3);
	auth_begin(&a, slice_str("LOGIN"));
	ck_assert_int_eq(auth_line(&a, slice_make(line, sizeof line)), AUTH_ASK_PASSWORD);
	ck_assert_int_eq(auth_line(&a, slice_make(line, sizeof line)), AUTH_BASE64); /* both together are over it */
}
END_TEST

UNIT_MAIN("smtpd-outside/auth",
	tcase_add_loop_test(t, row, 0, sizeof rows / sizeof *rows);
	tcase_add_test(t, limits);)
