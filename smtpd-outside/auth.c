/* See auth.h.  Runs in each session process on octets that the client chose.  What is well-formed but can be nobody's password is told
 * apart from what is malformed: the first is a failed login, the second a fault of the client's program. */
#include "smtpd-outside/auth.h"

#include "lib/err.h"
#include "lib/base64.h"

static enum auth_step over(struct auth *a, enum auth_step step)
{
	a->state = AUTH_DONE;
	return step;
}

/* Decode behind what is there already. */
static bool decode(struct auth *a, struct slice *out, struct slice in)
{
	size_t n;
	if (base64_decode(a->text + a->used, sizeof a->text - a->used, &n, in) < 0)
		return false;
	*out = slice_make(a->text + a->used, n);
	a->used += n;
	return true;
}

static bool possible_user(struct slice user)
{
	for (size_t i = 0; i < user.n; i++)
		if ((unsigned char)user.p[i] < 0x20 || user.p[i] == 0x7f)
			return false;
	return user.n > 0 && user.n <= AUTH_USER_MAX;
}

static enum auth_step check(struct auth *a)
{
	a->impossible |= !possible_user(a->user) || !a->password.n || slice_find(a->password, 0) < a->password.n;
	return over(a, AUTH_CHECK);
}

/* [for whom] NUL user NUL password; nobody logs in for another one. */
static enum auth_step plain(struct auth *a, struct slice text)
{
	struct slice whom;
	if (!slice_cut(&whom, &text, 0) || !text.p || !slice_cut(&a->user, &text, 0) || !text.p)
		return over(a, AUTH_BASE64);
	a->password = text;
	a->impossible = whom.n && !slice_eq(whom, a->user);
	return check(a);
}

/* The client's answer, decoded. */
static enum auth_step take(struct auth *a, struct slice line)
{
	struct slice text;
	if (!decode(a, &text, line))
		return over(a, AUTH_BASE64);
	if (a->state == AUTH_PLAIN)
		return plain(a, text);
	if (a->state == AUTH_USER) {
		a->user = text;
		a->state = AUTH_PASSWORD;
		return AUTH_ASK_PASSWORD;
	}
	a->password = text;
	return check(a);
}

enum auth_step auth_line(struct auth *a, struct slice line)
{
	if (a->state == AUTH_DONE)
		return AUTH_SYNTAX;
	return slice_eq_str(line, "*") ? over(a, AUTH_CANCELLED) : take(a, line);
}

enum auth_step auth_begin(struct auth *a, struct slice argument)
{
	struct slice mechanism, initial, surplus;
	a->state = AUTH_DONE;
	a->mechanism = "";
	a->user = a->password = slice_make("", 0);
	a->impossible = false;
	a->used = 0;
	if (!slice_word(&mechanism, &argument))
		return AUTH_SYNTAX;
	bool given = slice_word(&initial, &argument);
	if (slice_word(&surplus, &argument))
		return AUTH_SYNTAX;
	if (!slice_case_eq_str(mechanism, "PLAIN") && !slice_case_eq_str(mechanism, "LOGIN"))
		return AUTH_MECHANISM;
	bool is_plain = slice_case_eq_str(mechanism, "PLAIN");
	a->mechanism = is_plain ? "PLAIN" : "LOGIN";
	a->state = is_plain ? AUTH_PLAIN : AUTH_USER;
	if (given)
		return take(a, slice_eq_str(initial, "=") ? slice_make("", 0) : initial);
	return is_plain ? AUTH_ASK : AUTH_ASK_USER;
}

void auth_wipe(struct auth *a)
{
	explicit_bzero(a->text, sizeof a->text); /* all: a text that turned out to be no base64 was decoded in part */
	a->used = 0;
	a->user = a->password = slice_make("", 0);
}
