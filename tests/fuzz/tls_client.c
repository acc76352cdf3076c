/* What a session gets from postern-tls, and what that gets from a session. */
#include <stdint.h>

#include "smtpd-outside/tls_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size);
	struct tls_facts f;
	struct err e;
	int64_t msec;
	if (tls_answer_decode(&f, text, &e) == 0) {
		struct buf b = BUF_INIT(4096);
		tls_answer_ok(&b, &f);
		if (!slice_eq(buf_slice(&b), text))
			__builtin_trap();
		buf_free(&b);
	}
	if (tls_question_decode(&msec, text) == 0 && (msec < 0 || msec > 600000))
		__builtin_trap();
	return 0;
}
