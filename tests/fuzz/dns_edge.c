/* What postern-door and postern-dns read of each other, and what sessions report: decoded, and encoded again within their bounds. */
#include <stdint.h>

#include "smtpd-outside/allowance.h"
#include "smtpd-outside/dns_edge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make(data, size < DNS_PACKET_MAX ? size : DNS_PACKET_MAX);
	struct buf b = BUF_INIT(2 * DNS_PACKET_MAX);
	struct dns_question q;
	struct dns_answer a;
	struct allowance left;
	unsigned counts[REPORT_COUNT] = {0};
	struct handover h = {.var = {{slice_str(ALLOWANCE_MESSAGES), in}}, .vars = 1};
	allowance_of(&left, &h, ALLOWANCE_MESSAGES);
	if (handover_report_decode(counts, in) == 0) {
		unsigned most = 0;
		for (int k = 0; k < REPORT_COUNT; k++)
			most = counts[k] > most ? counts[k] : most;
		if (most == 0 || most > REPORTED_MOST)
			__builtin_trap();
	}
	if (dns_question_decode(&q, in) == 0) {
		dns_question_encode(&b, &q);
		if (b.overflow || dns_question_decode(&q, buf_slice(&b)) < 0)
			__builtin_trap();
	}
	buf_reset(&b);
	if (dns_answer_decode(&a, in) == 0) {
		dns_answer_encode(&b, &a);
		if (b.overflow || dns_answer_decode(&a, buf_slice(&b)) < 0)
			__builtin_trap();
	}
	buf_reset(&b);
	struct slice domain;
	if (sender_question_decode(&domain, in) == 0) {
		sender_question_encode(&b, domain);
		if (b.overflow || sender_question_decode(&domain, buf_slice(&b)) < 0)
			__builtin_trap();
	}
	buf_reset(&b);
	enum sender_domain of;
	if (sender_answer_decode(&of, in) == 0) {
		sender_answer_encode(&b, of);
		if (!slice_eq(buf_slice(&b), in))
			__builtin_trap();
	}
	buf_free(&b);
	return 0;
}
