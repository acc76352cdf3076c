/* Questions of sessions: does this sender's domain exist for mail?  Part of postern-dns; see dns.h, dns_edge.h.
 *
 * RFC 5321 5.1 (MX, else the address), RFC 7505 (null MX), RFC 5891 (U-labels).  Only what name servers say for certain is "no": a server that is silent or fails
 * is SENDER_UNKNOWN.  The domain is whatever a stranger wrote, the answers are strangers' too.  At most so many questions are under way, those that nobody waits for any
 * more among them, and apart from those of the lists, so that slow domains cost other domains their turn but the lists nothing.  libunbound remembers answers for their TTL. */
#include <idn2.h>
#include <stdlib.h>

#include "smtpd-outside/dns.h"

enum { TYPE_A = 1, TYPE_MX = 15, TYPE_AAAA = 28, RCODE_NXDOMAIN = 3 };
static const int types[] = {TYPE_MX, TYPE_A, TYPE_AAAA};
#define TYPES (sizeof types / sizeof *types)

struct sender_query {
	struct sender_job *job;
	int type;
	struct dns_ask *ask; /* NULL: not open */
};
struct sender_job {
	struct turn turn;      /* first: lib/turns.h */
	struct question question;
	bool failed;           /* some server gave no good answer */
	unsigned open;
	struct sender_query query[TYPES];
	char domain[DNSBL_NAME_MAX]; /* A-labels */
};

/* NULL of NULL: .turn is its first field. */
static struct sender_job *job_of(struct turn *t)
{
	return (struct sender_job *)t;
}

static void leave_all(struct sender_job *j)
{
	for (unsigned i = 0; i < TYPES; i++) {
		if (j->query[i].ask)
			dns_leave(j->query[i].ask);
		j->query[i].ask = NULL;
	}
	j->open = 0;
}

static void answer(struct question *q, enum sender_domain what)
{
	char space[8];
	struct buf b = BUF_OVER(space);
	sender_answer_encode(&b, what);
	(void)!question_answer(q, buf_slice(&b), NULL, 0); /* a session that has gone needs none */
}

static void end(struct dns *d, struct sender_job *j, enum sender_domain what)
{
	leave_all(j);
	answer(&j->question, what);
	turns_remove(&d->senders.turns, &j->turn);
	free(j);
}

/* ---- asking ---- */

static void answered(struct dns *d, void *arg, const struct ub_result *r);

static void ask_dns(struct dns *d, struct sender_job *j, unsigned i)
{
	struct sender_query *q = &j->query[i];
	*q = (struct sender_query){.job = j, .type = types[i]};
	q->ask = dns_ask(d, &d->senders.asks, j->domain, q->type, answered, q);
	j->failed |= !q->ask;
	j->open += q->ask != NULL;
}

/* ---- answers ---- */

/* MX records there are: is one of them a host, or are all the root (RFC 7505 3)?  One that cannot be read is not certainly none. */
static enum sender_domain of_mx(const struct ub_result *r)
{
	struct mx mx;
	for (size_t i = 0; r->data[i]; i++)
		if (mx_decode(&mx, (const unsigned char *)r->data[i], (size_t)r->len[i]) < 0 || mx.host[0])
			return SENDER_EXISTS;
	return SENDER_NULL_MX;
}

/* The end, or the domain's addresses beside each other. */
static void mx_answered(struct dns *d, struct sender_job *j, const struct ub_result *r)
{
	if (!r || (r->rcode != 0 && r->rcode != RCODE_NXDOMAIN))
		end(d, j, SENDER_UNKNOWN); /* an address does not matter where there may be an MX */
	else if (r->havedata)
		end(d, j, of_mx(r));
	else if (r->rcode == RCODE_NXDOMAIN)
		end(d, j, SENDER_MISSING);
	else {
		for (unsigned i = 1; i < TYPES; i++)
			ask_dns(d, j, i);
		if (!j->open)
			end(d, j, SENDER_UNKNOWN);
	}
}

static void address_answered(struct dns *d, struct sender_job *j, const struct ub_result *r)
{
	j->failed |= !r || (r->rcode != 0 && r->rcode != RCODE_NXDOMAIN);
	if (r && r->havedata)
		end(d, j, SENDER_EXISTS);
	else if (!j->open)
		end(d, j, j->failed ? SENDER_UNKNOWN : SENDER_MISSING);
}

static void answered(struct dns *d, void *arg, const struct ub_result *r)
{
	struct sender_query *q = arg;
	struct sender_job *j = q->job;
	q->ask = NULL;
	j->open--;
	if (q->type == TYPE_MX)
		mx_answered(d, j, r);
	else
		address_answered(d, j, r);
}

/* ---- from the loop ---- */

/* As DNS has it.  E_SYNTAX: no name that IDNA knows, of which nothing can be said. */
static int ascii_domain(char out[DNSBL_NAME_MAX], struct slice domain)
{
	char text[SENDER_DOMAIN_MAX + 1], *ascii = NULL;
	if (slice_copy(text, sizeof text, domain) < 0)
		return E_SYNTAX;
	if (slice_printable(domain))
		return slice_copy(out, DNSBL_NAME_MAX, domain);
	int rc = idn2_to_ascii_8z(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	rc = rc == IDN2_OK && slice_copy(out, DNSBL_NAME_MAX, slice_str(ascii)) == 0 ? 0 : E_SYNTAX;
	idn2_free(ascii);
	return rc;
}

void dns_sender_begin(struct dns *d, struct question *q, struct slice domain)
{
	struct sender_job *j = d->senders.turns.count < DNS_SENDERS_MAX ? calloc(1, sizeof *j) : NULL;
	if (!j || ascii_domain(j->domain, domain) < 0) {
		answer(q, j ? SENDER_EXISTS : SENDER_UNKNOWN);
		free(j);
		return;
	}
	j->question = *q;
	turns_add(&d->senders.turns, &j->turn, deadline_in(DNS_SENDER_MSEC));
}

static bool may_ask(const struct dns_asks *a)
{
	return a->open < DNS_SENDER_QUERIES_MAX && a->left < DNS_SENDER_LEFT_MAX;
}

void dns_senders_tick(struct dns *d, int64_t now)
{
	struct dns_senders *s = &d->senders;
	struct sender_job *j;
	while ((j = job_of(turns_over(&s->turns, now))))
		end(d, j, SENDER_UNKNOWN);
	while (may_ask(&s->asks) && (j = job_of(turns_begin(&s->turns)))) {
		if (j->turn.deadline - now >= DNS_SENDER_LEAST_MSEC) /* else hardly anybody will wait for the answer, and others wait for their turn */
			ask_dns(d, j, 0);
		if (!j->open)
			end(d, j, SENDER_UNKNOWN);
	}
}

int64_t dns_senders_next(const struct dns *d)
{
	const struct dns_senders *s = &d->senders;
	if (s->turns.unbegun && may_ask(&s->asks))
		return 0; /* after a reload: nothing else wakes the loop */
	return turns_deadline(&s->turns);
}

void dns_senders_again(struct dns *d)
{
	struct dns_senders *s = &d->senders;
	for (struct turn *t = s->turns.first; t; t = t->next) {
		leave_all(job_of(t));
		job_of(t)->failed = false;
	}
	turns_again(&s->turns);
}
