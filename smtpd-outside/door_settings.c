/* The door's control files: the rules of its lane and the limits.  Part of postern-door; the administrator's own files, faults are named and the
 * former settings stay. */
#include "smtpd-outside/dns_wanted.h"
#include "smtpd-outside/door.h"

static int read_rules(struct tcprules **rules, const struct control *c, enum control_id id, struct err *e)
{
	struct err why;
	int line;
	*rules = NULL;
	if (!control_present(c, id))
		return 0;
	int r = tcprules_parse(rules, &line, control_blob(c, id), NULL, NULL, &why);
	return r < 0 ? (control_fault(e, c, id, line, "%s", why.text), r) : 0;
}

/* Who may use QMQP may relay: without tcp.qmqp that is nobody. */
static int nobody(struct tcprules **rules, struct err *e)
{
	int line;
	return tcprules_parse(rules, &line, slice_str(":deny\n"), NULL, NULL, e);
}

/* What follows "220 "; it names this host even where smtpgreeting does not begin with it (RFC 5321 4.2). */
static void read_greeting(char *out, size_t size, const struct control *c)
{
	struct slice text = control_word(c, C_smtpgreeting);
	if (!slice_printable(text) || text.n == 0 || slice_copy(out, size, text) < 0)
		(void)!slice_copy(out, size, slice_upto(control_word(c, C_me), size - 1));
}

/* Sessions at once. */
static long long most_sessions(const struct control *c, enum lane lane)
{
	return control_number(c, lane == LANE_SUBMISSION ? C_concurrencysubmission : C_concurrencyincoming);
}

/* greetdelay is meant for strangers: a user's program waits only where a line of tcp.submission says so. */
int door_settings_read(struct door_settings *out, const struct control *c, enum lane lane, struct err *e)
{
	struct door_settings s = {
		.incoming = most_sessions(c, lane),
		.waiting = control_number(c, C_concurrencywaiting),
		.dnsbltimeout = control_number(c, C_dnsbltimeout),
		.greylist = control_number(c, C_greylist) > 0,
		.lists = control_present(c, C_dnsbl),
		.names = lane == LANE_OUTSIDE && dns_names_clients(c),
		.failclosed = control_number(c, C_dnsblfailclosed) == 1,
		.maxperip = control_number(c, C_maxperip),
		.maxpernet = control_number(c, C_maxpernet),
		.greetdelay = lane == LANE_OUTSIDE ? control_number(c, C_greetdelay) : 0,
	};
	static const enum control_id rules[LANE_COUNT] = {C_tcp_smtp, C_tcp_smtp, C_tcp_submission, C_tcp_qmqp};
	int r = read_rules(&s.rules, c, rules[lane], e);
	if (r == 0 && lane == LANE_CLUSTER && !s.rules)
		r = nobody(&s.rules, e);
	if (r < 0)
		return r;
	/* as greetdelay: what users' programs do is limited by tcp.submission alone, but for logins that fail */
	if (rates_read(&s.rates, c, e) < 0) {
		tcprules_free(s.rules);
		return E_SYNTAX;
	}
	for (unsigned scope = 0; lane != LANE_OUTSIDE && scope < RATE_SCOPES; scope++)
		for (unsigned k = 0; k < RATE_COUNT; k++)
			if (lane != LANE_SUBMISSION || k != RATE_AUTHFAILS)
				s.rates.limit[scope][k].most = 0;
	read_greeting(s.greeting, sizeof s.greeting, c);
	*out = s;
	return 0;
}

void door_settings_free(struct door_settings *s)
{
	tcprules_free(s->rules);
	s->rules = NULL;
}
