/* What lines of tcprules text allow that hardly anybody means: relaying for everybody, TLS that is demanded where there is none.  Part of what files say about
 * each other; the files are the administrator's. */
#include "control/lint.h"
#include "smtpd-outside/tcprules_line.h"

#define FOUR_BITS 8 /* no site has more than 10.0.0.0/8 … */
#define SIX_BITS 7  /* … and fc00::/7 */

struct rules {
	struct lint *l;
	enum control_id id;
	bool relay_told, tls_told; /* once for each file */
};

static bool everybody(const struct tcprules_address *a)
{
	unsigned bits = ip_is4(&a->first.ip) ? FOUR_BITS : SIX_BITS;
	if (a->kind == ADDRESS_NETWORKS)
		return a->first.bits < bits || (a->first.bits == FOUR_BITS && a->count > 1);
	return a->kind == ADDRESS_ANY || (a->kind == ADDRESS_HOST && a->host.n == 0);
}

/* The last one in the line that sets it counts; a wrong number is told of elsewhere. */
static bool set(const struct tcprule *rule, const char *name)
{
	long long v = 0;
	for (size_t i = 0; i < rule->vars; i++)
		if (slice_eq_str(rule->var[i].name, name))
			(void)!slice_number(&v, rule->var[i].value, 0, INT32_MAX);
	return v > 0;
}

static void check_relay(struct rules *r, const struct tcprule *rule, int line)
{
	const char *file = control_files[r->id].name;
	if (r->id == C_tcp_qmqp)
		lint_warning(r->l, file, line, "lets everybody hand in mail for everywhere: an open relay; allow the addresses of the cluster's hosts");
	else if (rule->relay && r->id == C_tcp_smtp)
		lint_warning(r->l, file, line, "lets everybody relay to everywhere: an open relay; set RELAYCLIENT for addresses and networks of your own");
	else if (rule->relay)
		lint_warning(r->l, file, line, "lets everybody send to everywhere without logging in; set RELAYCLIENT for addresses and networks of your own");
	else
		return;
	r->relay_told = true;
}

static void check_tls(struct rules *r, const struct tcprule *rule, int line)
{
	const char *file = control_files[r->id].name;
	bool deny = set(rule, "DENY_TLS") || set(rule, "DISABLETLS"), force = set(rule, "FORCE_TLS") || set(rule, "FORCETLS");
	bool missing = !control_present(r->l->c, C_servercert);
	if (force && (deny || missing))
		lint_warning(r->l, file, line, "FORCE_TLS %s: these clients are all turned away with 421", deny ? "together with DENY_TLS" : "without servercert.pem");
	else if (deny && r->id == C_tcp_submission && !rule->relay)
		lint_warning(r->l, file, line, "DENY_TLS: nobody can log in on the port of submission, where passwords are taken inside TLS alone");
	else
		return;
	r->tls_told = true;
}

static void check_line(struct rules *r, struct slice text, int line)
{
	struct handover_pair pairs[HANDOVER_VARS_MAX];
	struct tcprule rule = {.var = pairs};
	struct tcprules_address a;
	struct slice address, instruction;
	struct err e, hint;
	if (tcprules_split(&address, &instruction, text, &e) < 0 || tcprules_address(&a, address, &hint, &e) < 0 ||
	    tcprules_instruction(&rule, pairs, instruction, &e) < 0 || rule.deny)
		return;
	if (!r->relay_told && everybody(&a))
		check_relay(r, &rule, line);
	if (!r->tls_told && r->id != C_tcp_qmqp)
		check_tls(r, &rule, line);
}

static void check_file(struct lint *l, enum control_id id)
{
	struct rules r = {.l = l, .id = id};
	struct control_line line = {0};
	while (control_next(l->c, id, &line))
		check_line(&r, line.text, line.number);
}

void lint_rules(struct lint *l)
{
	check_file(l, C_tcp_smtp);
	check_file(l, C_tcp_submission);
	check_file(l, C_tcp_qmqp);
}
