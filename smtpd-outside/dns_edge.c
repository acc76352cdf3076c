/* Questions and answers between postern-door and postern-dns: see dns_edge.h.  Each side checks the other's form: the door reads clients' octets,
 * postern-dns reads name servers', and neither is to be taken over through the other. */
#include "smtpd-outside/dns_edge.h"

#include "lib/netstring.h"
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
