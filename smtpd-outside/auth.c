/* See auth.h.  Runs in each session process on octets that the client chose.  What is well-formed but can be nobody's password is told
 * apart from what is malformed: the first is a failed login, the second a fault of the client's program. */
#include "smtpd-outside/auth.h"

#include "lib/base64.h"
#include "lib/err.h"

static const struct mechanism {
	const char *name;
	enum auth_mechanism bit;
	int state;             /* in which the client's first answer is taken */
	const char *challenge; /* where no initial response was given */
} mechanisms[] = {
	{"PLAIN", AUTH_PLAIN, AUTH_STATE_PLAIN, ""},
	{"LOGIN", AUTH_LOGIN, AUTH_USER, "Username:"},
	{"SCRAM-SHA-256", AUTH_SCRAM, AUTH_FIRST, ""},
	{"SCRAM-SHA-256-PLUS", AUTH_SCRAM_PLUS, AUTH_FIRST, ""},
};
#define MECHANISMS (sizeof mechanisms / sizeof *mechanisms)

static const struct slice none = {"", 0};

static enum auth_step over(struct auth *a, enum auth_step step)
{
	a->state = AUTH_DONE;
	return step;
}

static enum auth_step challenge(struct auth *a, int state, struct slice text)
{
	a->state = state;
	a->challenge = text;
	return AUTH_ASK;
}

static enum auth_step impossible(struct auth *a, const char *why)
{
	a->impossible = why;
	return over(a, AUTH_CHECK);
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
	if (!possible_user(a->user) || !a->password.n || slice_find(a->password, 0) < a->password.n)
		return impossible(a, "not a name and password");
	return over(a, AUTH_CHECK);
}

/* [for whom] NUL user NUL password; nobody logs in for another one. */
static enum auth_step take_plain(struct auth *a, struct slice text)
{
	struct slice whom;
	if (!slice_cut(&whom, &text, 0) || !text.p || !slice_cut(&a->user, &text, 0) || !text.p)
		return over(a, AUTH_BASE64);
	a->password = text;
	return whom.n && !slice_eq(whom, a->user) ? impossible(a, "not for oneself") : check(a);
}

static enum auth_step take_user(struct auth *a, struct slice text)
{
	a->user = text;
	return challenge(a, AUTH_PASSWORD, slice_str("Password:"));
}

static enum auth_step take_password(struct auth *a, struct slice text)
{
	a->password = text;
	return check(a);
}

/* The name behind what is there already. */
static bool take_name(struct auth *a)
{
	size_t n;
	char *at = a->text + a->used;
	if (a->first.user.n > sizeof a->text - a->used || scram_name(at, &n, a->first.user) < 0)
		return false;
	a->user = slice_make(at, n);
	a->used += n;
	return true;
}

/* RFC 5802 6: what is wrong with what the client says of channel binding, or NULL.  "y" is "I could, and you cannot": where we can, somebody between us
 * took -PLUS out of our list. */
static const char *wrong_binding(const struct auth *a)
{
	if (a->chosen == AUTH_SCRAM_PLUS)
		return a->first.flag == 'p' && slice_eq_str(a->first.binding, "tls-exporter") ? NULL : "not bound to TLS by tls-exporter";
	if (a->first.flag == 'p')
		return "bound to TLS, which this mechanism is not";
	return a->first.flag == 'y' && (a->offered & AUTH_SCRAM_PLUS) ? "the client did not see that SCRAM-SHA-256-PLUS is offered" : NULL;
}

static enum auth_step take_first(struct auth *a, struct slice text)
{
	if (scram_parse_first(&a->first, text) < 0 || !take_name(a))
		return over(a, AUTH_BASE64);
	const char *wrong = wrong_binding(a);
	if (wrong)
		return impossible(a, wrong);
	if (a->first.whom.n && !slice_eq(a->first.whom, a->first.user))
		return impossible(a, "not for oneself");
	if (!possible_user(a->user))
		return impossible(a, "not a name");
	a->state = AUTH_SALTING;
	return AUTH_SALT;
}

enum auth_step auth_salted(struct auth *a)
{
	return challenge(a, AUTH_FINAL, slice_str(a->salt.server_first));
}

/* "r=" NONCE "," at the beginning of the server's message. */
static struct slice server_nonce(const struct auth *a)
{
	struct slice nonce = slice_from(slice_str(a->salt.server_first), 2);
	return slice_upto(nonce, slice_find(nonce, ','));
}

/* c= is the header again, and with -PLUS what this end of TLS says too. */
static bool same_binding(struct auth *a)
{
	struct slice got, ours = none;
	if (!decode(a, &got, a->final.binding) || (a->chosen == AUTH_SCRAM_PLUS && (!decode(a, &ours, a->exporter) || !ours.n)))
		return false;
	return got.n == a->first.header.n + ours.n && slice_eq(slice_upto(got, a->first.header.n), a->first.header) &&
		slice_eq(slice_from(got, a->first.header.n), ours);
}

static enum auth_step take_final(struct auth *a, struct slice text)
{
	if (scram_parse_final(&a->final, text) < 0)
		return over(a, AUTH_BASE64);
	if (!same_binding(a))
		return impossible(a, "what was said of channel binding is not what comes now");
	if (!slice_eq(a->final.nonce, server_nonce(a)))
		return impossible(a, "not the nonce of this exchange");
	a->state = AUTH_PROVING;
	return AUTH_PROVE;
}

enum auth_step auth_proved(struct auth *a, const char *server_final)
{
	(void)!slice_copy(a->server_final, sizeof a->server_final, slice_str(server_final));
	return challenge(a, AUTH_LAST, slice_str(a->server_final));
}

static enum auth_step take_last(struct auth *a, struct slice text)
{
	return over(a, text.n ? AUTH_BASE64 : AUTH_CONFIRMED);
}

/* The client's answer, decoded, in each state that waits for one. */
static enum auth_step take(struct auth *a, struct slice line)
{
	static enum auth_step (*const by_state[])(struct auth *a, struct slice text) = {
		[AUTH_STATE_PLAIN] = take_plain, [AUTH_USER] = take_user, [AUTH_PASSWORD] = take_password,
		[AUTH_FIRST] = take_first, [AUTH_FINAL] = take_final, [AUTH_LAST] = take_last,
	};
	struct slice text;
	return decode(a, &text, line) ? by_state[a->state](a, text) : over(a, AUTH_BASE64);
}

enum auth_step auth_line(struct auth *a, struct slice line)
{
	if (a->state == AUTH_DONE || a->state == AUTH_SALTING || a->state == AUTH_PROVING)
		return over(a, AUTH_SYNTAX);
	return slice_eq_str(line, "*") ? over(a, AUTH_CANCELLED) : take(a, line);
}

static const struct mechanism *find(struct slice name, unsigned offered)
{
	for (size_t i = 0; i < MECHANISMS; i++)
		if ((mechanisms[i].bit & offered) && slice_case_eq_str(name, mechanisms[i].name))
			return &mechanisms[i];
	return NULL;
}

enum auth_step auth_begin(struct auth *a, unsigned offered, struct slice argument)
{
	struct slice name, initial, surplus;
	a->state = AUTH_DONE;
	a->mechanism = "";
	a->user = a->password = a->challenge = none;
	a->impossible = NULL;
	a->used = 0;
	if (!slice_word(&name, &argument))
		return AUTH_SYNTAX;
	bool given = slice_word(&initial, &argument);
	if (slice_word(&surplus, &argument))
		return AUTH_SYNTAX;
	const struct mechanism *m = find(name, offered);
	if (!m)
		return AUTH_MECHANISM;
	a->mechanism = m->name;
	a->offered = offered;
	a->chosen = m->bit;
	a->state = m->state;
	if (given)
		return take(a, slice_eq_str(initial, "=") ? none : initial);
	return challenge(a, m->state, slice_str(m->challenge));
}

void auth_wipe(struct auth *a)
{
	explicit_bzero(a->text, sizeof a->text); /* all: a text that turned out to be no base64 was decoded in part */
	explicit_bzero(&a->final, sizeof a->final);
	a->first = (struct scram_first){0};
	a->used = 0;
	a->user = a->password = a->challenge = none;
}

int auth_mechanisms_parse(unsigned *offered, struct slice text, struct err *e)
{
	struct slice name;
	unsigned bits = 0;
	while (slice_word(&name, &text)) {
		const struct mechanism *m = find(name, ~0u);
		if (!m)
			return err_set(e, E_SYNTAX, "\"%.*s\" is not one of PLAIN, LOGIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS", SLICE_FMT(slice_upto(name, 40)));
		bits |= m->bit;
	}
	if (!bits)
		return err_set(e, E_SYNTAX, "no mechanism: nobody could log in");
	*offered = bits;
	return 0;
}

void auth_mechanisms_list(struct buf *b, unsigned offered)
{
	for (size_t i = 0; i < MECHANISMS; i++)
		if (mechanisms[i].bit & offered)
			buf_add_format(b, " %s", mechanisms[i].name);
}
