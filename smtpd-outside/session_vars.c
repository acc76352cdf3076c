/* See session_vars.h. */
#include "smtpd-outside/session_vars.h"

#include "lib/job.h"

static const struct {
	const char *name;
	long long most;
} numbers[] = {
	{"DATABYTES", (long long)BODY_MAX}, {"MAXRCPT", RECIPIENTS_MAX}, {"MAXRCPTCOUNT", RECIPIENTS_MAX}, {"DENY_TLS", 1000}, {"DISABLETLS", 1000},
	{"FORCE_TLS", 1000}, {"FORCETLS", 1000}, {"TARPITCOUNT", RECIPIENTS_MAX}, {"TARPITDELAY", 60}, {"VALIDRCPTTO_LIMIT", RECIPIENTS_MAX},
	{"VALIDRCPTTO_LOG", 2}, {"HELOCHECK", 1}, {"MFCHECK", 3},
};

long long session_var_most(struct slice name)
{
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (slice_eq_str(name, numbers[i].name))
			return numbers[i].most;
	return -1;
}
