/* What smtpd gets from the door, and what the door gets from a session; what decodes must come out the same when encoded again. */
#include <stdint.h>

#include "smtpd-outside/handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size);
	struct handover h;
	struct err e;
	unsigned counts[REPORT_COUNT] = {0};
	if (handover_decode(&h, text, &e) == 0) {
		struct buf b = BUF_INIT(HANDOVER_MAX);
		handover_encode(&b, &h);
		if (b.overflow || !slice_eq(buf_slice(&b), text))
			__builtin_trap();
		buf_free(&b);
	}
	if (handover_report_decode(counts, text) == 0) {
		unsigned most = 0;
		for (int k = 0; k < REPORT_COUNT; k++)
			most = counts[k] > most ? counts[k] : most;
		if (most == 0 || most > REPORTED_MOST)
			__builtin_trap();
	}
	return 0;
}
