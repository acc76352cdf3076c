/* The exchange of AUTH: the input's lines are what a client sends, the first behind AUTH.  Whatever comes, it ends, stays within its
 * buffer, and nothing of it is there after the wipe. */
#include <stdint.h>
#include <stdlib.h>

#include "smtpd-outside/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct auth *a)
{
	const char *end = a->text + a->used;
	if (a->used > sizeof a->text || a->user.p < a->text || a->user.p + a->user.n > end || a->password.p < a->text || a->password.p + a->password.n > end)
		abort();
	if (!a->impossible && (!a->user.n || a->user.n > AUTH_USER_MAX || !a->password.n || slice_find(a->password, 0) < a->password.n))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct auth a;
	struct slice rest = slice_make(data ? (const char *)data : "", size), line;
	(void)slice_cut(&line, &rest, '\n');
	enum auth_step step = auth_begin(&a, line);
	int lines = 0;
	while (step < AUTH_CHECK && slice_cut(&line, &rest, '\n')) {
		step = auth_line(&a, line);
		if (++lines > 2)
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
