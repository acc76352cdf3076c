/* See smtpd_settings.h.  Control files come from the administrator, the variables from the door. */
#include "smtpd-outside/smtpd_settings.h"

#include "lib/job.h"

int smtpd_settings_read(struct smtpd_settings *s, const struct control *c, struct err *e)
{
	*s = (struct smtpd_settings){
		.control = c,
		.me = control_word(c, C_me),
		.greeting = control_word(c, C_smtpgreeting),
		.timeout_msec = control_number(c, C_timeoutsmtpd) * 1000,
		.session_msec = control_number(c, C_sessionseconds) * 1000,
		.answer_msec = control_number(c, C_answerseconds) * 1000,
		.databytes = control_number(c, C_databytes),
		.maxrcpt = control_number(c, C_maxrcpt),
		.maxmessages = control_number(c, C_maxmessages),
		.maxhops = control_number(c, C_maxhops),
		.receiveduser = control_number(c, C_receiveduser),
		.inflightbytes = control_number(c, C_inflightbytes),
	};
	return fixupdomains_parse(&s->rewritten, c, e);
}

static bool number_var(long long *out, const struct handover *h, const char *name, long long most, struct err *e)
{
	struct slice value;
	if (!handover_var(h, name, &value))
		return true;
	if (!slice_number(out, value, 0, most))
		return true;
	err_set(e, E_SYNTAX, "tcp.smtp: %s is not a number in 0..%lld", name, most);
	return false;
}

bool smtpd_settings_session(struct smtpd_settings *s, const struct handover *h, struct err *e)
{
	long long deny = 0;
	struct slice suffix;
	if (!number_var(&s->databytes, h, "DATABYTES", (long long)BODY_MAX, e) || !number_var(&s->maxrcpt, h, "MAXRCPT", RECIPIENTS_MAX, e) ||
	    !number_var(&deny, h, "DENY_TLS", 1000, e))
		return false;
	if (!s->databytes) /* as in qmail: no limit but the hard one */
		s->databytes = (long long)BODY_MAX;
	if (!s->maxrcpt)
		s->maxrcpt = RECIPIENTS_MAX;
	s->tls = s->tls && !deny;
	s->relay = handover_var(h, "RELAYCLIENT", &suffix);
	if (s->relay && slice_copy(s->relay_suffix, sizeof s->relay_suffix, suffix)) {
		err_set(e, E_TOO_LONG, "tcp.smtp: RELAYCLIENT has more than %zu octets", sizeof s->relay_suffix - 1);
		return false;
	}
	return true;
}

static enum smtpd_domain listed(const struct smtpd_settings *s, struct slice domain)
{
	bool local = control_present(s->control, C_locals) ? control_has_domain(s->control, C_locals, domain) :
		slice_case_eq(domain, s->me);
	if (local)
		return DOMAIN_LOCAL;
	return control_has_domain(s->control, C_rcpthosts, domain) ? DOMAIN_RELAYED : DOMAIN_FOREIGN;
}

/* A domain that fixup rewrites is what it becomes. */
enum smtpd_domain smtpd_settings_domain(const struct smtpd_settings *s, struct slice domain)
{
	const struct map_entry *to = map_find_domain(&s->rewritten, domain);
	return listed(s, to ? map_to(&s->rewritten, to) : domain);
}
