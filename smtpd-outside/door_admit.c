/* Whether a client is let in: blocks, rule, limits, DNS, greet delay.  Part of postern-door.
 *
 * Its address is what the kernel or a PROXY header says, its name and what lists say come from strangers' name servers through postern-dns.  Rules are
 * looked up again at each step, so that a reload counts at once for those who wait. */
#include <stdio.h>
#include <string.h>

#include "smtpd-outside/door.h"

void door_admit_uncount(struct door *d, struct client *c)
{
	if (c->counted)
		limits_leave(d->limits, &c->ip);
	c->counted = false;
}

/* Over a limit.  The counter, its value and its limit are in WHY. */
static void over(struct door *d, struct client *c, const struct err *why)
{
	char line[400];
	snprintf(line, sizeof line, "421 4.7.0 too many connections from your address or network (%s), try again later", why->text);
	door_client_log(d, c, EV_door_refused, "reason", why->text);
	door_client_refuse(d, c, line);
}

/* A rule's variables, over what control files say of clients that may not relay. */
bool door_admit_rates(struct rate_limits *out, struct door *d, const struct tcprule *rule)
{
	enum rate_scope scope;
	enum rate_counter counter;
	memset(out, 0, sizeof *out);
	if (!rule->relay)
		*out = d->set.rates;
	for (size_t i = 0; rule->rates && i < rule->vars; i++)
		if (rate_variable(&scope, &counter, rule->var[i].name))
			(void)!rate_parse(&out->limit[scope][counter], rule->var[i].value, NULL); /* checked when the rules were read */
	if (!rates_any(out))
		return false;
	if (!d->rates)
		d->rates = rates_make();
	return d->rates != NULL;
}

/* Over a limit in time. */
static bool over_rate(struct door *d, struct client *c, const struct tcprule *rule)
{
	char line[400];
	struct err why;
	struct rate_limits limits;
	if (!door_admit_rates(&limits, d, rule))
		return false;
	if (rates_check(d->rates, &limits, &c->ip, d->now, &why) == 0) {
		rates_add(d->rates, &limits, &c->ip, RATE_CONNECTIONS, 1, d->now);
		return false;
	}
	snprintf(line, sizeof line, "421 4.7.0 too much from your address or network (%s)", why.text);
	door_client_log(d, c, EV_door_refused, "reason", why.text);
	door_client_refuse(d, c, line);
	return true;
}

static int count(struct door *d, struct client *c, const struct tcprule *rule, struct err *e)
{
	long long maxperip = rule->maxperip >= 0 ? rule->maxperip : d->set.maxperip;
	long long maxpernet = rule->maxpernet >= 0 ? rule->maxpernet : d->set.maxpernet;
	if (limits_check(d->limits, &c->ip, maxperip, maxpernet, e) < 0)
		return E_REFUSED;
	if (limits_enter(d->limits, &c->ip) < 0)
		return err_set(e, E_REFUSED, "no memory");
	c->counted = true;
	return 0;
}

/* GREETDELAY, or the second that DROP_PRE_GREET=1 alone means.  Without either the client is handed over at once. */
static long long delay_of(const struct door *d, const struct tcprule *rule, bool tls_first)
{
	long long sec = rule->greetdelay_sec >= 0 ? rule->greetdelay_sec : d->set.greetdelay;
	return sec == 0 && rule->drop_pre_greet == 1 && !tls_first ? 1 : sec;
}

const struct tcprule *door_admit_rule(const struct door *d, const struct client *c)
{
	return tcprules_find(d->set.rules, &c->ip, slice_str(c->host ? c->host : ""));
}

/* What postern-dns decides about it.  Not of the campus's own hosts, nor where a rule has spoken. */
static unsigned dns_decides(const struct door *d, const struct tcprule *rule)
{
	if (d->lane != LANE_OUTSIDE || rule->rblsmtpd.p || rule->relay)
		return 0;
	return (d->set.lists && rule->dnsblskip != 1 ? DNS_LISTS : 0) | (d->set.greylist && rule->greylist != 0 ? DNS_GREY : 0);
}

/* What postern-dns is asked about one whose rule is RULE.  Addresses of this host have no name that means anything. */
static unsigned dns_asked(const struct door *d, const struct client *c, const struct tcprule *rule)
{
	bool name = d->set.names && !(c->want & DNS_HOST) && !ip_is_loopback(&c->ip);
	return (name ? DNS_HOST : 0) | (c->answered ? 0 : dns_decides(d, rule));
}

/* What the lists or the greylist said refuses it; it is gone then, or talks to the door. */
static bool dns_refuses(struct door *d, struct client *c, const struct tcprule *rule)
{
	char text[80];
	bool closed = rule->dnsblfailclosed >= 0 ? rule->dnsblfailclosed == 1 : d->set.failclosed;
	unsigned decides = c->answered ? dns_decides(d, rule) : 0;
	snprintf(text, sizeof text, "your network is not known here yet, try again in %u seconds", c->grey_sec);
	if (decides & DNS_LISTS && c->reply)
		door_talk_refuse(d, c, c->reply, slice_str(c->refusal ? c->refusal : "refused"));
	else if (decides & DNS_LISTS && c->failed && closed)
		door_talk_refuse(d, c, 451, slice_str("the DNS lists that decide on your address do not answer, try again"));
	else if (decides & DNS_GREY && c->grey_sec)
		door_talk_refuse(d, c, 451, slice_str(text));
	else
		return false;
	return true;
}

static void delay(struct door *d, struct client *c, const struct tcprule *rule, long long sec)
{
	int64_t end = c->came + sec * 1000;
	c->state = CLIENT_GREET;
	c->greeted = end <= d->now;
	c->tolerated = rule->drop_pre_greet == 0 || sec == 0 || door_client_tls_first(d, c);
	if (!c->greeted || c->asked)
		door_client_wait(d, c, c->greeted ? c->dns_deadline : end);
	else
		door_ready(d, c);
}

static void deny(struct door *d, struct client *c)
{
	door_client_log(d, c, EV_door_deny, NULL, NULL);
	door_client_close(d, c);
}

/* Its name is known, or does not matter. */
static void admit_named(struct door *d, struct client *c)
{
	const struct tcprule *rule = door_admit_rule(d, c);
	bool tls_first = door_client_tls_first(d, c);
	if (rule->deny || (rule->rblsmtpd.n && tls_first)) {
		deny(d, c);
		return;
	}
	if (over_rate(d, c, rule))
		return;
	if (rule->rblsmtpd.n) {
		door_talk_begin(d, c, rule->rblsmtpd);
		return;
	}
	if (dns_refuses(d, c, rule))
		return;
	if (dns_asked(d, c, rule) && !door_dns_ask(d, c, dns_asked(d, c, rule))) {
		c->answered = true;
		c->failed = 1;
		if (dns_refuses(d, c, rule))
			return;
	}
	delay(d, c, rule, delay_of(d, rule, tls_first));
}

/* A stolen account was used from there. */
static bool blocked(struct door *d, struct client *c)
{
	if (!door_blocks_has(d->blocks, &c->ip, d->now))
		return false;
	door_client_log(d, c, EV_door_refused, "reason", "blocked for a time: a stolen account was used from there");
	door_client_refuse(d, c, "554 5.7.1 your address is blocked for a time; ask the postmaster");
	return true;
}

/* Connections are counted before its name is known: by the rule for its address. */
void door_admit(struct door *d, struct client *c)
{
	struct err why;
	const struct tcprule *rule = door_admit_rule(d, c);
	bool want_host = tcprules_want_host(d->set.rules, &c->ip);
	if (blocked(d, c))
		return;
	if (rule->deny && !want_host) {
		deny(d, c);
		return;
	}
	if (count(d, c, rule, &why) < 0) {
		over(d, c, &why);
		return;
	}
	if (!want_host || !door_dns_ask(d, c, DNS_HOST | dns_decides(d, rule))) {
		admit_named(d, c);
		return;
	}
	c->state = CLIENT_NAME;
	c->tolerated = true;
	door_client_wait(d, c, c->dns_deadline);
}

/* The rule for a host's name may allow fewer connections than that for its address. */
static bool over_named_limit(struct door *d, struct client *c)
{
	struct err why;
	const struct tcprule *rule = door_admit_rule(d, c);
	if (!c->host || (rule->maxperip < 0 && rule->maxpernet < 0))
		return false;
	door_admit_uncount(d, c);
	if (count(d, c, rule, &why) == 0)
		return false;
	over(d, c, &why);
	return true;
}

void door_admit_answered(struct door *d, struct client *c, const struct dns_answer *a)
{
	c->answered = (c->want & (DNS_LISTS | DNS_GREY)) != 0;
	c->grey_sec = a ? (uint16_t)a->grey_sec : 0;
	c->failed = a ? (uint8_t)a->failed : 1;
	c->reply = a ? (uint16_t)a->reply : 0;
	if (a && a->reply)
		c->refusal = strndup(a->text.p, a->text.n);
	if (a && a->host.n)
		c->host = strndup(a->host.p, a->host.n);
	if (c->state == CLIENT_NAME) {
		if (!over_named_limit(d, c))
			admit_named(d, c);
	} else if (!dns_refuses(d, c, door_admit_rule(d, c)) && c->greeted) {
		door_ready(d, c);
	}
}
