/* The grammar of control/respond: see respond_plan.h.  Used by postern-respond, by the lint, and by the graph (is there a program to be run, a firewall to
 * be told?).  Steps come back from the journal as they were written, so what an incident began with stays in force however the file changes. */
#include "skim/respond_plan.h"

#include <ldap.h>

#include "lib/addr.h"

#define DAYS_DEFAULT 30
#define SHOWN(s) SLICE_FMT(slice_upto((s), 60))

static int check_dn(struct plan_step *s, struct err *e)
{
	LDAPDN dn = NULL;
	char text[PLAN_STEP_MAX + 1];
	bool good = slice_copy(text, sizeof text, s->args) == 0 && s->args.n && ldap_str2dn(text, &dn, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS && dn;
	ldap_dnfree(dn);
	return good ? 0 : err_set(e, E_SYNTAX, "%.*s: the DN of a group is wanted, or of what its groups are below", SHOWN(s->name));
}

static int split(struct plan_step *s)
{
	struct slice rest = s->args;
	for (s->words = 0; s->words < PLAN_WORDS_MAX; s->words++)
		if (!slice_word(&s->word[s->words], &rest))
			return 0;
	return slice_word(&(struct slice){0}, &rest) ? E_TOO_LONG : 0;
}

static int check_none(struct plan_step *s, struct err *e)
{
	return s->args.n ? err_set(e, E_SYNTAX, "%.*s stands alone", SHOWN(s->name)) : 0;
}

static int check_status(struct plan_step *s, struct err *e)
{
	return split(s) == 0 && s->words == 1 ? 0 : err_set(e, E_SYNTAX, "accountstatus: one value is wanted, for instance noaccess");
}

static int days(struct plan_step *s, struct slice text, struct err *e)
{
	long long v;
	if (slice_number(&v, text, 1, PLAN_DAYS_MAX) < 0)
		return err_set(e, E_SYNTAX, "%.*s: \"%.*s\" is not a number of days from 1 to %d", SHOWN(s->name), SHOWN(text), PLAN_DAYS_MAX);
	s->days = (long)v;
	return 0;
}

static int check_block(struct plan_step *s, struct err *e)
{
	s->days = DAYS_DEFAULT;
	if (split(s) < 0 || s->words > 1)
		return err_set(e, E_SYNTAX, "block: a number of days is wanted, or nothing");
	return s->words ? days(s, s->word[0], e) : 0;
}

/* What nft(8) takes as the name of a table or set. */
static bool identifier(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
		if (!letter && (i == 0 || !((c >= '0' && c <= '9') || strchr("./\\-", c) || c == 0)))
			return false;
	}
	return s.n > 0 && s.n < 64 && !memchr(s.p, 0, s.n);
}

static bool family(struct slice s)
{
	return slice_eq_str(s, "inet") || slice_eq_str(s, "ip") || slice_eq_str(s, "ip6") || slice_eq_str(s, "netdev") || slice_eq_str(s, "bridge");
}

static int check_nftables(struct plan_step *s, struct err *e)
{
	if (split(s) < 0 || s->words != 5)
		return err_set(e, E_SYNTAX, "nftables FAMILY TABLE SET4 SET6 DAYS is wanted; \"-\" in place of a set that there is none of");
	if (!family(s->word[0]))
		return err_set(e, E_SYNTAX, "nftables: \"%.*s\" is not a family (inet, ip, ip6, netdev, bridge)", SHOWN(s->word[0]));
	for (size_t i = 1; i < 4; i++)
		if (!identifier(s->word[i]) && !(i > 1 && slice_eq_str(s->word[i], "-")))
			return err_set(e, E_SYNTAX, "nftables: \"%.*s\" is not the name of a table or set", SHOWN(s->word[i]));
	return days(s, s->word[4], e);
}

static int check_mail(struct plan_step *s, struct err *e)
{
	struct addr a;
	if (split(s) == 0 && s->words == 1 && addr_parse_mailbox(&a, s->word[0], false) == 0 && slice_printable(s->word[0]))
		return 0;
	return err_set(e, E_SYNTAX, "%.*s: an address is wanted, local@domain", SHOWN(s->name));
}

static int check_program(struct plan_step *s, struct err *e)
{
	if (split(s) < 0)
		return err_set(e, E_SYNTAX, "ticket program: more than %d arguments", PLAN_WORDS_MAX - 1);
	if (s->words == 0 || s->word[0].p[0] != '/')
		return err_set(e, E_SYNTAX, "ticket program: the path of a program is wanted, beginning with /, and its arguments; no shell reads them");
	return 0;
}

typedef int check_step(struct plan_step *s, struct err *e);
static check_step *const checks[STEP_KINDS] = {
	[STEP_GROUPS_REMOVE] = check_dn, [STEP_GROUP_ADD] = check_dn, [STEP_PASSWORD] = check_none, [STEP_ACCOUNTSTATUS] = check_status, [STEP_BLOCK] = check_block,
	[STEP_NFTABLES] = check_nftables, [STEP_TICKET_MAIL] = check_mail, [STEP_TICKET_PROGRAM] = check_program, [STEP_NOTICE] = check_mail,
};

static bool find_kind(struct plan_step *out, struct slice text)
{
	for (int k = 0; k < STEP_KINDS; k++) {
		size_t used = plan_named(text, (enum step_kind)k);
		if (!used)
			continue;
		*out = (struct plan_step){.kind = (enum step_kind)k, .text = text, .name = slice_upto(text, used), .args = slice_trim(slice_from(text, used))};
		return true;
	}
	return false;
}

int plan_step_parse(struct plan_step *out, struct slice text, struct err *e)
{
	if (text.n > PLAN_STEP_MAX)
		return err_set(e, E_SYNTAX, "a step is longer than %d octets", PLAN_STEP_MAX);
	if (!find_kind(out, text))
		return err_set(e, E_SYNTAX, "\"%.*s\" is no step: groups-remove, group-add, password, accountstatus, block, nftables, ticket mail, ticket program",
			SHOWN(text));
	return checks[out->kind](out, e);
}

static int line_parse(struct plan *p, struct slice line, struct err *e)
{
	struct slice state, rest = line;
	int at = 0;
	if (!slice_word(&state, &rest))
		state = line;
	while (at < RESPOND_STATES && !slice_eq_str(state, respond_state_names[at]))
		at++;
	if (at == RESPOND_STATES)
		return err_set(e, E_SYNTAX, "\"%.*s\" is no state: held, stopped or locked begins a line", SHOWN(state));
	if (p->steps == PLAN_STEPS_MAX)
		return err_set(e, E_SYNTAX, "more than %d steps", PLAN_STEPS_MAX);
	struct plan_step *s = &p->step[p->steps];
	if (plan_step_parse(s, slice_trim(rest), e) < 0)
		return E_SYNTAX;
	if (s->kind == STEP_NOTICE)
		return err_set(e, E_SYNTAX, "notice is written to postmaster anyway: see maxlocks in control/skim");
	for (size_t i = 0; i < p->steps; i++)
		if (slice_eq(p->step[i].text, s->text))
			return err_set(e, E_SYNTAX, "this step stands twice; give it once, with the first state that it is for");
	p->from[p->steps++] = (enum respond_state)at;
	return 0;
}

int plan_parse(struct plan *out, const struct control *c, struct err *e)
{
	struct control_line line = {0};
	struct err why;
	out->steps = 0;
	while (control_next(c, C_respond, &line)) {
		if (line_parse(out, line.text, &why) < 0)
			return control_fault(e, c, C_respond, line.number, "%s", why.text);
		out->line[out->steps - 1] = line.number;
	}
	return 0;
}

int plan_check(const struct control *c, struct err *e)
{
	struct plan p;
	return plan_parse(&p, c, e);
}
