/* The names of steps, and what control/respond asks for as a whole: see respond_plan.h.  Apart from the parser, because every program is linked with it (the
 * graph says by it which rights postern-respond keeps) and few with LDAP. */
#include "skim/respond_plan.h"
#include "smtpd-outside/listen.h"

static const struct {
	const char *name;
	bool ldap;
} kinds[STEP_KINDS] = {
	[STEP_GROUPS_REMOVE] = {"groups-remove", true}, [STEP_GROUP_ADD] = {"group-add", true}, [STEP_PASSWORD] = {"password", true},
	[STEP_ACCOUNTSTATUS] = {"accountstatus", true}, [STEP_BLOCK] = {"block", false}, [STEP_NFTABLES] = {"nftables", false},
	[STEP_TICKET_MAIL] = {"ticket mail", false}, [STEP_TICKET_PROGRAM] = {"ticket program", false}, [STEP_NOTICE] = {"notice", false},
};

bool plan_writes_ldap(enum step_kind kind)
{
	return kind < STEP_KINDS && kinds[kind].ldap;
}

size_t plan_named(struct slice text, enum step_kind kind)
{
	struct slice word, want, rest = text, names = slice_str(kinds[kind].name);
	size_t used = 0;
	while (slice_word(&want, &names)) {
		if (!slice_word(&word, &rest) || !slice_eq(word, want))
			return 0;
		used = (size_t)(word.p + word.n - text.p);
	}
	return used;
}

bool plan_names(const struct control *c, enum step_kind kind)
{
	struct control_line line = {0};
	while (control_next(c, C_respond, &line)) {
		struct slice state, rest = line.text;
		if (slice_word(&state, &rest) && plan_named(slice_trim(rest), kind))
			return true;
	}
	return false;
}

bool respond_wanted(const struct control *c)
{
	return control_present(c, C_respond) && listen_has_lane(c, LANE_SUBMISSION);
}
