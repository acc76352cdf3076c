/* Questions and answers between postern-door and postern-dns: see dns_edge.h.  Each side checks the other's form: the door reads clients' octets,
 * postern-dns reads name servers', and neither is to be taken over through the other. */
#include "smtpd-outside/dns_edge.h"

#include "lib/ask.h"
#include "lib/fields.h"
#include "smtpd-outside/dnsbl.h"

void dns_question_encode(struct buf *b, const struct dns_question *q)
{
	char ip[INET6_ADDRSTRLEN];
	ip_text(ip, &q->client);
	netstring_add_number(b, q->number);
	netstring_add_str(b, ip);
	netstring_add_number(b, q->want);
}

int dns_question_decode(struct dns_question *q, struct slice text)
{
	struct slice ip;
	long long number, want;
	if (netstring_take_number(&number, &text, 0, DNS_NUMBER_MAX) < 0 || netstring_take(&ip, &text, INET6_ADDRSTRLEN) < 0 ||
	    ip_parse(&q->client, ip) < 0 || netstring_take_number(&want, &text, 1, DNS_ALL) < 0 || text.n)
		return E_PEER;
	q->number = number;
	q->want = (unsigned)want;
	return 0;
}

void dns_answer_encode(struct buf *b, const struct dns_answer *a)
{
	netstring_add_number(b, a->number);
	netstring_add_number(b, a->score);
	netstring_add_number(b, a->failed);
	netstring_add_number(b, a->reply);
	netstring_add_number(b, a->grey_sec);
	netstring_add(b, a->text);
	netstring_add(b, a->host);
}

static bool is_reply(long long v)
{
	return v == 0 || v == 451 || v == 550 || v == 553 || v == 554;
}

int dns_answer_decode(struct dns_answer *a, struct slice text)
{
	static const long long most = DNSBL_RULES_MAX * DNSBL_WEIGHT_MAX;
	long long number, score, failed, reply, grey;
	if (netstring_take_number(&number, &text, 0, DNS_NUMBER_MAX) < 0 || netstring_take_number(&score, &text, -most, most) < 0 ||
	    netstring_take_number(&failed, &text, 0, DNSBL_ZONES_MAX) < 0 || netstring_take_number(&reply, &text, 0, 999) < 0 || !is_reply(reply) ||
	    netstring_take_number(&grey, &text, 0, 3600) < 0)
		return E_PEER;
	if (netstring_take(&a->text, &text, DNS_TEXT_MAX) < 0 || !slice_printable(a->text) || netstring_take(&a->host, &text, DNS_HOST_MAX) < 0 ||
	    (a->host.n && addr_check_domain(a->host, false) < 0) || text.n)
		return E_PEER;
	a->number = number;
	a->score = score;
	a->failed = (unsigned)failed;
	a->reply = (int)reply;
	a->grey_sec = (unsigned)grey;
	return 0;
}

/* ---- sessions ---- */

static const char letters[] = {SENDER_EXISTS, SENDER_MISSING, SENDER_NULL_MX, SENDER_UNKNOWN, 0};

void sender_question_encode(struct buf *b, struct slice domain)
{
	netstring_add_str(b, "sender");
	netstring_add(b, domain);
}

void sender_answer_encode(struct buf *b, enum sender_domain what)
{
	char letter = (char)what;
	netstring_add(b, slice_make(&letter, 1));
}

int sender_question_decode(struct slice *domain, struct slice text)
{
	struct fields f = {.rest = text};
	bool sender = slice_eq_str(fields_take(&f, 6), "sender");
	*domain = fields_take(&f, SENDER_DOMAIN_MAX);
	return sender && fields_done(&f) && addr_check_domain(*domain, true) == 0 && domain->p[0] != '[' ? 0 : E_PEER;
}

int sender_answer_decode(enum sender_domain *what, struct slice text)
{
	struct fields f = {.rest = text};
	char letter = fields_take_letter(&f, letters);
	if (!fields_done(&f))
		return E_PEER;
	*what = (enum sender_domain)letter;
	return 0;
}

enum sender_domain sender_domain_ask(int sock, struct slice domain, int64_t deadline)
{
	char space[2][SENDER_DOMAIN_MAX + 32];
	struct buf question = BUF_OVER(space[0]), answer = BUF_OVER(space[1]);
	enum sender_domain what;
	struct err e;
	sender_question_encode(&question, domain);
	if (sock < 0 || question.overflow || ask(&answer, sock, buf_slice(&question), deadline, &e) < 0 || sender_answer_decode(&what, buf_slice(&answer)) < 0)
		return SENDER_UNKNOWN;
	return what;
}
