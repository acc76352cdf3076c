/* smtpd-outside/auth: the exchange, one line of the table per way through it. */
#include "smtpd-outside/auth.h"

#include <stdio.h>

#include "lib/err.h"
#include "tests/unit/unit.h"

#define STEPS 5
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
	{"login", "LOGIN", {"dTE=", "cHc="}, {AUTH_ASK, AUTH_ASK, AUTH_CHECK}, "u1", "pw"},
	{"login with user", "LOGIN dTE=", {"cHc="}, {AUTH_ASK, AUTH_CHECK}, "u1", "pw"},
	{"login, nobody", "login", {"", "cHc="}, {AUTH_ASK, AUTH_ASK, AUTH_CHECK}, NULL, NULL},
	{"login, = for nobody", "LOGIN =", {"cHc="}, {AUTH_ASK, AUTH_CHECK}, NULL, NULL},
	{"login, empty password", "LOGIN dTE=", {""}, {AUTH_ASK, AUTH_CHECK}, NULL, NULL},
	{"login, NUL in the password", "LOGIN dTE=", {"cAB3"}, {AUTH_ASK, AUTH_CHECK}, NULL, NULL},
	{"login, NUL in the user", "LOGIN dQAx", {"cHc="}, {AUTH_ASK, AUTH_CHECK}, NULL, NULL},
	{"login cancelled at the user", "LOGIN", {"*"}, {AUTH_ASK, AUTH_CANCELLED}, NULL, NULL},
	{"login cancelled at the password", "LOGIN", {"dTE=", "*"}, {AUTH_ASK, AUTH_ASK, AUTH_CANCELLED}, NULL, NULL},
	{"login, no base64", "LOGIN", {"dTE"}, {AUTH_ASK, AUTH_BASE64}, NULL, NULL},
	{"login, password in clear", "LOGIN dTE=", {"pass word"}, {AUTH_ASK, AUTH_BASE64}, NULL, NULL},
	{"4954 4 no mechanism", "", {0}, {AUTH_SYNTAX}, NULL, NULL},
	{"4954 4 three words", "PLAIN AHUxAHB3 x", {0}, {AUTH_SYNTAX}, NULL, NULL},
	{"4954 4 not offered", "CRAM-MD5", {0}, {AUTH_MECHANISM}, NULL, NULL},
	{"not offered, with a response", "XOAUTH2 dTE=", {0}, {AUTH_MECHANISM}, NULL, NULL},
	{"no mechanism has that name", "PLAINX", {0}, {AUTH_MECHANISM}, NULL, NULL},
	{"7677 3", "SCRAM-SHA-256", {"biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", "Yz1iaXdzLHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXhGSWxqKWhObEYkazAscD1kSHpiWmFwV0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ==", ""}, {AUTH_ASK, AUTH_SALT, AUTH_PROVE, AUTH_CONFIRMED}, "user", ""},
	{"4954 4 initial response", "scram-sha-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {"Yz1iaXdzLHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXhGSWxqKWhObEYkazAscD1kSHpiWmFwV0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ==", ""}, {AUTH_SALT, AUTH_PROVE, AUTH_CONFIRMED}, "user", ""},
	{"5802 6 y: we offer no binding", "SCRAM-SHA-256 eSwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {"Yz1lU3dzLHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXhGSWxqKWhObEYkazAscD1kSHpiWmFwV0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ==", ""}, {AUTH_SALT, AUTH_PROVE, AUTH_CONFIRMED}, "user", ""},
	{"5802 6 y, and then n", "SCRAM-SHA-256 eSwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {"Yz1iaXdzLHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXhGSWxqKWhObEYkazAscD1kSHpiWmFwV0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ=="}, {AUTH_SALT, AUTH_CHECK}, NULL, NULL},
	{"5802 6 p without PLUS", "SCRAM-SHA-256 cD10bHMtZXhwb3J0ZXIsLG49dXNlcixyPXJPcHJOR2Z3RWJlUldnYk5Fa3FP", {0}, {AUTH_CHECK}, NULL, NULL},
	{"5802 6 binding data without PLUS", "SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {"Yz1iaXdzZUE9PSxyPXJPcHJOR2Z3RWJlUldnYk5Fa3FPJWh2WURwV1VhMlJhVENBZnV4RklsailoTmxGJGswLHA9ZEh6YlphcFdJazRqVWhOK1V0ZTl5dGFnOXpqZk1IZ3NxbW1pejdBbmRWUT0="}, {AUTH_SALT, AUTH_CHECK}, NULL, NULL},
	{"5802 7 binding not base64", "SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {"Yz1iaXcscj1yT3ByTkdmd0ViZVJXZ2JORWtxTyVodllEcFdVYTJSYVRDQWZ1eEZJbGopaE5sRiRrMCxwPWRIemJaYXBXSWs0alVoTitVdGU5eXRhZzl6amZNSGdzcW1taXo3QW5kVlE9"}, {AUTH_SALT, AUTH_CHECK}, NULL, NULL},
	{"5802 5.1 authzid is the user", "SCRAM-SHA-256 bixhPXVzZXIsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {"Yz1iaXhoUFhWelpYSXMscj1yT3ByTkdmd0ViZVJXZ2JORWtxTyVodllEcFdVYTJSYVRDQWZ1eEZJbGopaE5sRiRrMCxwPWRIemJaYXBXSWs0alVoTitVdGU5eXRhZzl6amZNSGdzcW1taXo3QW5kVlE9", ""}, {AUTH_SALT, AUTH_PROVE, AUTH_CONFIRMED}, "user", ""},
	{"5802 5.1 authzid is another", "SCRAM-SHA-256 bixhPWJvc3Msbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {0}, {AUTH_CHECK}, NULL, NULL},
	{"5802 5.1 another nonce", "SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {"Yz1iaXdzLHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXhGSWxqKWhObEYkazB4LHA9ZEh6YlphcFdJazRqVWhOK1V0ZTl5dGFnOXpqZk1IZ3NxbW1pejdBbmRWUT0="}, {AUTH_SALT, AUTH_CHECK}, NULL, NULL},
	{"5802 5.1 the client's nonce alone", "SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {"Yz1iaXdzLHI9ck9wck5HZndFYmVSV2diTkVrcU8scD1kSHpiWmFwV0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ=="}, {AUTH_SALT, AUTH_CHECK}, NULL, NULL},
	{"a control character in the name", "SCRAM-SHA-256 biwsbj11CixyPXJPcHJOR2Z3RWJlUldnYk5Fa3FP", {0}, {AUTH_CHECK}, NULL, NULL},
	{"5802 5.1 name with a bare =", "SCRAM-SHA-256 biwsbj11PXgscj1yT3ByTkdmd0ViZVJXZ2JORWtxTw==", {0}, {AUTH_BASE64}, "user", ""},
	{"5802 5.1 m=", "SCRAM-SHA-256 biwsbT14LG49dXNlcixyPXJPcHJOR2Z3RWJlUldnYk5Fa3FP", {0}, {AUTH_BASE64}, "user", ""},
	{"scram, empty initial response", "SCRAM-SHA-256 =", {0}, {AUTH_BASE64}, "user", ""},
	{"scram, no base64", "SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8==", {0}, {AUTH_BASE64}, "user", ""},
	{"scram cancelled at the first message", "SCRAM-SHA-256", {"*"}, {AUTH_ASK, AUTH_CANCELLED}, "user", ""},
	{"scram cancelled at the second", "SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {"*"}, {AUTH_SALT, AUTH_CANCELLED}, "user", ""},
	{"scram, the server's proof is not believed", "SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {"Yz1iaXdzLHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXhGSWxqKWhObEYkazAscD1kSHpiWmFwV0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ==", "*"}, {AUTH_SALT, AUTH_PROVE, AUTH_CANCELLED}, "user", ""},
	{"scram, words after the proof", "SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {"Yz1iaXdzLHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXhGSWxqKWhObEYkazAscD1kSHpiWmFwV0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ==", "eA=="}, {AUTH_SALT, AUTH_PROVE, AUTH_BASE64}, "user", ""},
	{"scram, words after all", "SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {"Yz1iaXdzLHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXhGSWxqKWhObEYkazAscD1kSHpiWmFwV0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ==", "", ""}, {AUTH_SALT, AUTH_PROVE, AUTH_CONFIRMED, AUTH_SYNTAX}, "user", ""},
	{"the mechanism that is not offered", "SCRAM-SHA-256-PLUS biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", {0}, {AUTH_MECHANISM}, "user", ""},
	{"after the end", "PLAIN AHUxAHB3", {"cHc="}, {AUTH_CHECK, AUTH_SYNTAX}, "u1", "pw"},
};

static struct auth a;

static void check(size_t i)
{
	ck_assert_msg(!a.impossible == !!rows[i].user, "%s", rows[i].spec);
	if (rows[i].user)
		ck_assert_msg(slice_eq_str(a.user, rows[i].user) && slice_eq_str(a.password, rows[i].password), "%s", rows[i].spec);
}

#define OFFERED (AUTH_PLAIN | AUTH_LOGIN | AUTH_SCRAM)
#define SERVER_FIRST "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"

/* What is asked for, in each state that waits. */
static void check_challenge(const char *spec)
{
	static const char *const texts[] = {[AUTH_STATE_PLAIN] = "", [AUTH_USER] = "Username:", [AUTH_PASSWORD] = "Password:", [AUTH_FIRST] = "",
		[AUTH_FINAL] = SERVER_FIRST, [AUTH_LAST] = "v=x"};
	ck_assert_msg(slice_eq_str(a.challenge, texts[a.state]), "%s: asks for \"%.*s\"", spec, SLICE_FMT(a.challenge));
}

/* The directory's part. */
static enum auth_step answered(size_t i, enum auth_step step)
{
	ck_assert_msg(!a.impossible && slice_eq_str(a.user, "user"), "%s", rows[i].spec);
	if (step == AUTH_PROVE)
		return auth_proved(&a, "v=x");
	ck_assert_int_eq(auth_line(&a, slice_str("cHc=")), AUTH_SYNTAX); /* not its turn: nothing else then */
	auth_begin(&a, OFFERED, slice_str(rows[i].argument));
	for (int k = 0; rows[i].lines[k] && a.state != AUTH_SALTING; k++)
		auth_line(&a, slice_str(rows[i].lines[k]));
	snprintf(a.salt.server_first, sizeof a.salt.server_first, "%s", SERVER_FIRST);
	return auth_salted(&a);
}

START_TEST(row)
{
	const char *spec = rows[_i].spec;
	for (int round = 0; round < 2; round++) { /* twice: nothing of the first exchange stays */
		enum auth_step step = auth_begin(&a, OFFERED, slice_str(rows[_i].argument));
		for (int k = 0; ; k++) {
			ck_assert_msg(step == rows[_i].step[k], "%s: step %d is %d", spec, k, step);
			if (step == AUTH_CHECK)
				check((size_t)_i);
			if (step == AUTH_SALT || step == AUTH_PROVE)
				step = answered((size_t)_i, step);
			if (step == AUTH_ASK)
				check_challenge(spec);
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
		auth_begin(&a, OFFERED, slice_str("LOGIN"));
		memset(line, 'V', n);
		ck_assert_int_eq(auth_line(&a, slice_make(line, n)), AUTH_ASK);
		ck_assert_int_eq(auth_line(&a, slice_str("cHc=")), AUTH_CHECK);
		ck_assert_int_eq(!!a.impossible, n / 4 * 3 > AUTH_USER_MAX);
	}
	memset(line, 'V', sizeof line);
	auth_begin(&a, OFFERED, slice_str("LOGIN dTE="));
	ck_assert_int_eq(auth_line(&a, slice_make(line, sizeof line)), AUTH_CHECK);
	ck_assert_uint_eq(a.password.n, sizeof line / 4 * 3);
	auth_begin(&a, OFFERED, slice_str("LOGIN"));
	ck_assert_int_eq(auth_line(&a, slice_make(line, sizeof line)), AUTH_ASK);
	ck_assert_int_eq(auth_line(&a, slice_make(line, sizeof line)), AUTH_BASE64); /* both together are over it */
}
END_TEST

/* Channel binding, where -PLUS is offered too; the other end of TLS says 00 01 02 … 1f. */
static const struct {
	const char *spec, *argument, *final; /* NULL: it ends before */
	enum auth_step step;                 /* CHECK: impossible */
} bindings[] = {
	{"5802 6 bound", "SCRAM-SHA-256-PLUS cD10bHMtZXhwb3J0ZXIsLG49dXNlcixyPXJPcHJOR2Z3RWJlUldnYk5Fa3FP", "Yz1jRDEwYkhNdFpYaHdiM0owWlhJc0xBQUJBZ01FQlFZSENBa0tDd3dORGc4UUVSSVRGQlVXRnhnWkdoc2NIUjRmLHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXhGSWxqKWhObEYkazAscD1kSHpiWmFwV0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ==", AUTH_PROVE},
	{"5802 6 bound to another connection", "SCRAM-SHA-256-PLUS cD10bHMtZXhwb3J0ZXIsLG49dXNlcixyPXJPcHJOR2Z3RWJlUldnYk5Fa3FP", "Yz1jRDEwYkhNdFpYaHdiM0owWlhJc0xBQUJBZ01FQlFZSENBa0tDd3dORGc4UUVSSVRGQlVXRnhnWkdoc2NIUjU0LHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXhGSWxqKWhObEYkazAscD1kSHpiWmFwV0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ==", AUTH_CHECK},
	{"5802 6 half of it", "SCRAM-SHA-256-PLUS cD10bHMtZXhwb3J0ZXIsLG49dXNlcixyPXJPcHJOR2Z3RWJlUldnYk5Fa3FP", "Yz1jRDEwYkhNdFpYaHdiM0owWlhJc0xBQUJBZ01FQlFZSENBa0tDd3dORGc4PSxyPXJPcHJOR2Z3RWJlUldnYk5Fa3FPJWh2WURwV1VhMlJhVENBZnV4RklsailoTmxGJGswLHA9ZEh6YlphcFdJazRqVWhOK1V0ZTl5dGFnOXpqZk1IZ3NxbW1pejdBbmRWUT0=", AUTH_CHECK},
	{"5802 6 header alone", "SCRAM-SHA-256-PLUS cD10bHMtZXhwb3J0ZXIsLG49dXNlcixyPXJPcHJOR2Z3RWJlUldnYk5Fa3FP", "Yz1jRDEwYkhNdFpYaHdiM0owWlhJc0xBPT0scj1yT3ByTkdmd0ViZVJXZ2JORWtxTyVodllEcFdVYTJSYVRDQWZ1eEZJbGopaE5sRiRrMCxwPWRIemJaYXBXSWs0alVoTitVdGU5eXRhZzl6amZNSGdzcW1taXo3QW5kVlE9", AUTH_CHECK},
	{"5802 6 more than it", "SCRAM-SHA-256-PLUS cD10bHMtZXhwb3J0ZXIsLG49dXNlcixyPXJPcHJOR2Z3RWJlUldnYk5Fa3FP", "Yz1jRDEwYkhNdFpYaHdiM0owWlhJc0xBQUJBZ01FQlFZSENBa0tDd3dORGc4UUVSSVRGQlVXRnhnWkdoc2NIUjRmZUE9PSxyPXJPcHJOR2Z3RWJlUldnYk5Fa3FPJWh2WURwV1VhMlJhVENBZnV4RklsailoTmxGJGswLHA9ZEh6YlphcFdJazRqVWhOK1V0ZTl5dGFnOXpqZk1IZ3NxbW1pejdBbmRWUT0=", AUTH_CHECK},
	{"5802 6 another header", "SCRAM-SHA-256-PLUS cD10bHMtZXhwb3J0ZXIsLG49dXNlcixyPXJPcHJOR2Z3RWJlUldnYk5Fa3FP", "Yz1jRDEwYkhNdGRXNXBjWFZsTEN3QUFRSURCQVVHQndnSkNnc01EUTRQRUJFU0V4UVZGaGNZR1JvYkhCMGVIdz09LHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXhGSWxqKWhObEYkazAscD1kSHpiWmFwV0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ==", AUTH_CHECK},
	{"9266 4 another type", "SCRAM-SHA-256-PLUS cD10bHMtdW5pcXVlLCxuPXVzZXIscj1yT3ByTkdmd0ViZVJXZ2JORWtxTw==", NULL, AUTH_CHECK},
	{"5802 6 n in PLUS", "SCRAM-SHA-256-PLUS biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", NULL, AUTH_CHECK},
	{"5802 6 y in PLUS", "SCRAM-SHA-256-PLUS eSwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", NULL, AUTH_CHECK},
	{"5802 6 y where PLUS is offered", "SCRAM-SHA-256 eSwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", NULL, AUTH_CHECK},
	{"5802 6 n where PLUS is offered", "SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=", "Yz1iaXdzLHI9ck9wck5HZndFYmVSV2diTkVrcU8laHZZRHBXVWEyUmFUQ0FmdXhGSWxqKWhObEYkazAscD1kSHpiWmFwV0lrNGpVaE4rVXRlOXl0YWc5empmTUhnc3FtbWl6N0FuZFZRPQ==", AUTH_PROVE},
	{"5802 6 p without PLUS", "SCRAM-SHA-256 cD10bHMtZXhwb3J0ZXIsLG49dXNlcixyPXJPcHJOR2Z3RWJlUldnYk5Fa3FP", NULL, AUTH_CHECK},
};

START_TEST(binding)
{
	a.exporter = slice_str("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
	enum auth_step step = auth_begin(&a, OFFERED | AUTH_SCRAM_PLUS, slice_str(bindings[_i].argument));
	if (bindings[_i].final) {
		ck_assert_msg(step == AUTH_SALT, "%s", bindings[_i].spec);
		snprintf(a.salt.server_first, sizeof a.salt.server_first, "%s", SERVER_FIRST);
		auth_salted(&a);
		step = auth_line(&a, slice_str(bindings[_i].final));
	}
	ck_assert_msg(step == bindings[_i].step && !a.impossible == (step != AUTH_CHECK), "%s: %d", bindings[_i].spec, step);
	a.exporter = slice_make("", 0); /* nothing to bind to is no binding */
	if (step == AUTH_PROVE && a.first.flag == 'p') {
		auth_begin(&a, OFFERED | AUTH_SCRAM_PLUS, slice_str(bindings[_i].argument));
		auth_salted(&a);
		ck_assert_int_eq(auth_line(&a, slice_str("Yz1jRDEwYkhNdFpYaHdiM0owWlhJc0xBPT0scj1yT3ByTkdmd0ViZVJXZ2JORWtxTyVodllEcFdVYTJSYVRDQWZ1eEZJbGopaE5sRiRrMCxwPWRIemJaYXBXSWs0alVoTitVdGU5eXRhZzl6amZNSGdzcW1taXo3QW5kVlE9")), AUTH_CHECK);
		ck_assert(a.impossible);
	}
}
END_TEST

static const struct {
	const char *text, *list; /* NULL: E_SYNTAX */
} offers[] = {
	{"PLAIN LOGIN", " PLAIN LOGIN"}, {"login  scram-sha-256\tPlain", " PLAIN LOGIN SCRAM-SHA-256"}, {"SCRAM-SHA-256", " SCRAM-SHA-256"}, {"PLAIN PLAIN", " PLAIN"}, {"scram-sha-256-plus SCRAM-SHA-256", " SCRAM-SHA-256 SCRAM-SHA-256-PLUS"},
	{"", NULL}, {" ", NULL}, {"PLAIN,LOGIN", NULL}, {"CRAM-MD5", NULL}, {"OAUTHBEARER", NULL}, {"PLAIN SCRAM-SHA-1", NULL},
};

START_TEST(mechanisms)
{
	unsigned offered = 0;
	struct err e;
	char space[64];
	struct buf b = BUF_OVER(space);
	int r = auth_mechanisms_parse(&offered, slice_str(offers[_i].text), &e);
	ck_assert_msg(r == (offers[_i].list ? 0 : E_SYNTAX), "%s", offers[_i].text);
	auth_mechanisms_list(&b, offered);
	ck_assert_msg(slice_eq_str(buf_slice(&b), r == 0 ? offers[_i].list : ""), "%s", offers[_i].text);
}
END_TEST

/* What is not offered is not known. */
START_TEST(not_offered)
{
	ck_assert_int_eq(auth_begin(&a, AUTH_PLAIN, slice_str("LOGIN")), AUTH_MECHANISM);
	ck_assert_int_eq(auth_begin(&a, AUTH_SCRAM, slice_str("PLAIN AHUxAHB3")), AUTH_MECHANISM);
	ck_assert_int_eq(auth_begin(&a, AUTH_PLAIN | AUTH_LOGIN, slice_str("SCRAM-SHA-256")), AUTH_MECHANISM);
	ck_assert_int_eq(auth_begin(&a, AUTH_SCRAM, slice_str("SCRAM-SHA-256")), AUTH_ASK);
}
END_TEST

UNIT_MAIN("smtpd-outside/auth",
	tcase_add_loop_test(t, row, 0, sizeof rows / sizeof *rows);
	tcase_add_loop_test(t, binding, 0, sizeof bindings / sizeof *bindings);
	tcase_add_loop_test(t, mechanisms, 0, sizeof offers / sizeof *offers);
	tcase_add_test(t, not_offered);
	tcase_add_test(t, limits);)
