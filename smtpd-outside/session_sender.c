/* Does the sender's domain exist?  control/mfcheck, MFCHECK in tcp.smtp: postern-dns is asked at the first recipient of a message that comes from outside.
 * The domain is the client's word; postern-dns is believed about it.  RFC 5321 3.6, 5.1; RFC 7505 4.2. */
#include "lib/io.h"
#include "lib/log.h"
#include "smtpd-outside/dns_edge.h"
#include "smtpd-outside/session.h"

#define ASK_MSEC 20000 /* postern-dns has its own deadline, this is for one that hangs */

/* Nobody's mail is looked up that may relay: a host of the campus may send as a domain that only the campus knows.  Nor are our own domains, literals and
 * the null sender. */
static bool exempt(const struct session *s, struct slice domain)
{
	return s->set.mfcheck == 0 || s->set.relay || domain.n == 0 || domain.p[0] == '[' || smtpd_settings_domain(&s->set, domain) != DOMAIN_FOREIGN;
}

/* Once for a message. */
static enum sender_domain look_up(struct session *s, struct slice domain)
{
	static const struct { enum sender_domain what; const char *word; } words[] = {
		{SENDER_EXISTS, "exists"}, {SENDER_MISSING, "missing"}, {SENDER_NULL_MX, "null MX"}, {SENDER_UNKNOWN, "unknown"}};
	if (s->sender_domain)
		return (enum sender_domain)s->sender_domain;
	enum sender_domain what = sender_domain_ask(s->dns_port, domain, deadline_in(ASK_MSEC));
	s->sender_domain = (char)what;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (words[i].what == what && (what != SENDER_EXISTS || s->set.mfcheck >= 3))
			LOG(EV_smtpd_mfcheck, s->id, F_STR("ip", s->client_ip), F_SLICE("domain", domain), F_STR("domain_is", words[i].word));
	return what;
}

enum reply session_sender_refusal(struct session *s)
{
	struct slice domain = addr_domain_of(session_sender(s));
	if (exempt(s, domain))
		return REPLY_COUNT;
	switch (look_up(s, domain)) {
	case SENDER_MISSING:
		return REPLY_sender_missing;
	case SENDER_NULL_MX:
		return REPLY_sender_null_mx;
	case SENDER_UNKNOWN:
		return REPLY_sender_unresolved;
	case SENDER_EXISTS:
		break;
	}
	return REPLY_COUNT;
}
