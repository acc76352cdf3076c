/* The exchange of AUTH: the input's lines are what a client sends, the first behind AUTH; the directory says yes to all.  Whatever comes, it ends, stays
 * within its buffer, and nothing of it is there after the wipe. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "smtpd-outside/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct auth *a)
{
	const char *end = a->text + a->used;
	bool scram = a->mechanism[0] == 'S';
	if (a->used > sizeof a->text)
		abort();
	if (scram && a->impossible)
		return;
	if (a->user.p < a->text || a->user.p + a->user.n > end || (!scram && (a->password.p < a->text || a->password.p + a->password.n > end)))
		abort();
	if (!a->impossible && (!a->user.n || a->user.n > AUTH_USER_MAX || (!scram && !a->password.n) || slice_find(a->password, 0) < a->password.n))
		abort();
}

/* The directory's part, as long as it has one. */
static enum auth_step answer(struct auth *a, enum auth_step step)
{
	if (step == AUTH_SALT) {
		check(a);
		snprintf(a->salt.server_first, sizeof a->salt.server_first, "r=%.*sX,s=c2FsdA==,i=4096", SLICE_FMT(a->first.nonce));
		return auth_salted(a);
	}
	if (step != AUTH_PROVE)
		return step;
	check(a);
	return auth_proved(a, "v=c2lnbmF0dXJl");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct auth a;
	a.exporter = slice_str("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
	struct slice rest = slice_make(data ? (const char *)data : "", size), line;
	(void)slice_cut(&line, &rest, '\n');
	enum auth_step step = answer(&a, auth_begin(&a, AUTH_PLAIN | AUTH_LOGIN | AUTH_SCRAM | AUTH_SCRAM_PLUS, line));
	int lines = 0;
	while (step < AUTH_CHECK && slice_cut(&line, &rest, '\n')) {
		step = answer(&a, auth_line(&a, line));
		if (++lines > 3)
			abort();
	}
	if (step == AUTH_CHECK)
		check(&a);
	auth_wipe(&a);
	for (size_t i = 0; i < sizeof a.text; i++)
		if (a.text[i])
			abort();
	return 0;
}
