/* See smtpd_settings.h.  Control files come from the administrator, the variables from the door. */
#include "smtpd-outside/smtpd_settings.h"

#include "lib/job.h"
#include "smtpd-outside/auth.h"

static int read_lists(struct smtpd_lists *l, const struct control *c, struct err *e)
{
	const struct {
		struct badlist *list;
		bool hosts;
		enum control_id files[2];
		size_t count;
	} all[] = {
		{&l->helo, true, {C_badhelo}, 1}, {&l->helo_norelay, true, {C_badhelonorelay}, 1},
		{&l->sender, false, {C_badmailfrom}, 1}, {&l->sender_norelay, false, {C_badmailfromnorelay}, 1},
		{&l->rcpt, false, {C_badrcptto, C_badmailto}, 2}, {&l->rcpt_norelay, false, {C_badrcpttonorelay, C_badmailtonorelay}, 2},
	};
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < sizeof all / sizeof *all; i++)
		rc = badlist_read(all[i].list, c, all[i].files, all[i].count, all[i].hosts, e);
	return rc;
}

int smtpd_lists_check(const struct control *c, struct err *e)
{
	struct smtpd_lists l = {0};
	int rc = read_lists(&l, c, e);
	struct badlist *all[] = {&l.helo, &l.helo_norelay, &l.sender, &l.sender_norelay, &l.rcpt, &l.rcpt_norelay};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		badlist_free(all[i]);
	return rc;
}

/* What every session says: the mapped control files are a page fault more for each. */
static struct slice near(char *space, size_t size, struct slice word)
{
	return slice_copy(space, size, word) < 0 ? word : slice_str(space);
}

int smtpd_settings_read(struct smtpd_settings *s, const struct control *c, struct err *e)
{
	static char me[256], greeting[256];
	static struct smtpd_lists lists;
	static struct validrcptto valid;
	static struct sendas sendas;
	*s = (struct smtpd_settings){
		.lists = &lists, .valid = &valid, .sendas = &sendas,
		.tarpitcount = (unsigned)control_number(c, C_tarpitcount),
		.tarpit_msec = control_number(c, C_tarpitdelay) * 1000,
		.mfcheck = (unsigned)control_number(c, C_mfcheck),
		.brtlimit = (unsigned)control_number(c, C_brtlimit),
		.helocheck = control_number(c, C_helocheck) == 1,
		.control = c,
		.me = near(me, sizeof me, control_word(c, C_me)),
		.greeting = near(greeting, sizeof greeting, control_word(c, C_smtpgreeting)),
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
	if (auth_mechanisms_parse(&s->mechanisms, control_word(c, C_authmechanisms), e) < 0)
		return control_fault(e, c, C_authmechanisms, 1, "%s", e->text);
	int rc = sendas_read(&sendas, &s->refuse_others, c, e);
	if (rc == 0)
		rc = read_lists(&lists, c, e);
	if (rc == 0)
		rc = validrcptto_open(&valid, c, e);
	return rc == 0 ? fixupdomains_parse(&s->rewritten, c, e) : rc;
}

static bool number_var(long long *out, const struct handover *h, const char *name, struct err *e)
{
	struct slice value;
	long long most = session_var_most(slice_str(name));
	if (!handover_var(h, name, &value))
		return true;
	if (!slice_number(out, value, 0, most))
		return true;
	err_set(e, E_SYNTAX, "tcp.smtp: %s is not a number in 0..%lld", name, most);
	return false;
}

static bool recipient_vars(struct smtpd_settings *s, const struct handover *h, struct err *e)
{
	long long count = s->tarpitcount, delay = s->tarpit_msec / 1000, limit = s->brtlimit, log = 0, helo = s->helocheck, mfcheck = s->mfcheck;
	if (!number_var(&count, h, "TARPITCOUNT", e) || !number_var(&delay, h, "TARPITDELAY", e) ||
	    !number_var(&limit, h, "VALIDRCPTTO_LIMIT", e) || !number_var(&log, h, "VALIDRCPTTO_LOG", e) || !number_var(&helo, h, "HELOCHECK", e) ||
	    !number_var(&mfcheck, h, "MFCHECK", e))
		return false;
	s->tarpitcount = (unsigned)count;
	s->tarpit_msec = delay * 1000;
	s->brtlimit = (unsigned)limit;
	s->mfcheck = (unsigned)mfcheck;
	s->log_recipients = log == 2;
	s->nobadhelo = handover_var(h, "NOBADHELO", NULL);
	s->helocheck = helo == 1 && !s->nobadhelo;
	return true;
}

/* Copied: the handover lies where the client's input will. */
static bool greeting_var(struct smtpd_settings *s, const struct handover *h, struct err *e)
{
	struct slice text;
	if (!handover_var(h, "SMTPGREETING", &text) || slice_copy(s->rule_greeting, sizeof s->rule_greeting, text) == 0)
		return true;
	err_set(e, E_TOO_LONG, "tcp.smtp: SMTPGREETING has more than %d octets", GREETING_MAX);
	return false;
}

/* JMS's names, and those of sagredo's qmail for the same. */
static bool tls_vars(long long *deny, long long *force, const struct handover *h, struct err *e)
{
	return number_var(deny, h, "DISABLETLS", e) && number_var(deny, h, "DENY_TLS", e) && number_var(force, h, "FORCETLS", e) &&
		number_var(force, h, "FORCE_TLS", e);
}

bool smtpd_settings_session(struct smtpd_settings *s, const struct handover *h, struct err *e)
{
	long long deny = 0, force = 0;
	struct slice suffix;
	if (!number_var(&s->databytes, h, "DATABYTES", e) || !number_var(&s->maxrcpt, h, "MAXRCPTCOUNT", e) || !number_var(&s->maxrcpt, h, "MAXRCPT", e) ||
	    !tls_vars(&deny, &force, h, e) || !recipient_vars(s, h, e))
		return false;
	if (!s->databytes) /* as in qmail: no limit but the hard one */
		s->databytes = (long long)BODY_MAX;
	if (!s->maxrcpt)
		s->maxrcpt = RECIPIENTS_MAX;
	s->tls = s->tls && !deny;
	s->force_tls = force > 0;
	if (s->force_tls && !s->tls) { /* as in qmail with the JMS patches: nobody is served in clear instead */
		err_set(e, E_REFUSED, "tcp.smtp: FORCE_TLS is set, but STARTTLS is not available");
		return false;
	}
	if (!greeting_var(s, h, e))
		return false;
	allowance_of(&s->messages, h, ALLOWANCE_MESSAGES);
	allowance_of(&s->recipients, h, ALLOWANCE_RECIPIENTS);
	s->relay = handover_var(h, "RELAYCLIENT", &suffix);
	if (s->relay && slice_copy(s->relay_suffix, sizeof s->relay_suffix, suffix)) {
		err_set(e, E_TOO_LONG, "tcp.smtp: RELAYCLIENT has more than %zu octets", sizeof s->relay_suffix - 1);
		return false;
	}
	return true;
}

static enum smtpd_domain listed(const struct smtpd_settings *s, struct slice domain)
{
	if (control_is_local(s->control, domain))
		return DOMAIN_LOCAL;
	return control_has_domain(s->control, C_rcpthosts, domain) ? DOMAIN_RELAYED : DOMAIN_FOREIGN;
}

/* A domain that fixup rewrites is what it becomes. */
enum smtpd_domain smtpd_settings_domain(const struct smtpd_settings *s, struct slice domain)
{
	const struct map_entry *to = map_find_domain(&s->rewritten, domain);
	return listed(s, to ? map_to(&s->rewritten, to) : domain);
}
