/* See allowance.h.  Linked into postern-door and postern-smtpd. */
#include "smtpd-outside/allowance.h"

#include <stdio.h>

void allowance_encode(char out[ALLOWANCE_TEXT_MAX], long left, const char *name, const struct rate_limit *limit)
{
	snprintf(out, ALLOWANCE_TEXT_MAX, "%ld %s %u %u", left, name, limit->most, limit->sec);
}

void allowance_of(struct allowance *out, const struct handover *h, const char *name)
{
	struct slice value, left, counter, most, sec;
	long long n, m, s;
	*out = (struct allowance){.left = -1};
	if (!handover_var(h, name, &value))
		return;
	if (!slice_word(&left, &value) || !slice_word(&counter, &value) || !slice_word(&most, &value) || !slice_word(&sec, &value) || counter.n > 32 ||
	    !slice_printable(counter) || slice_number(&n, left, 0, RATE_MOST) < 0 || slice_number(&m, most, 1, RATE_MOST) < 0 || slice_number(&s, sec, 1, RATE_SEC_MOST) < 0)
		return;
	out->left = (long)n;
	/* one place comes back every s/m seconds */
	snprintf(out->text, sizeof out->text, "%.*s %lld of %lld in %lld s, again in %lld s", SLICE_FMT(counter), m, m, s, s / m + 1);
}
