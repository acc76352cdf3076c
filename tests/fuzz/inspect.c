/* The scan worker's answer and the question to it: what decodes encodes to the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scanner-bridge/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_make(data, size), id;
	struct inspection one, two;
	struct buf b = BUF_INIT(65536), c = BUF_INIT(65536);
	size_t at;
	if (inspect_question_decode(&id, &at, text) == 0) {
		struct slice id2;
		size_t at2;
		inspect_question(&b, id, at);
		if (inspect_question_decode(&id2, &at2, buf_slice(&b)) < 0 || !slice_eq(id, id2) || at != at2)
			abort();
		buf_reset(&b);
	}
	if (inspect_decode(&one, text, NULL) == 0) {
		inspect_encode(&b, &one);
		if (inspect_decode(&two, buf_slice(&b), NULL) < 0)
			abort();
		inspect_encode(&c, &two);
		if (!slice_eq(buf_slice(&b), buf_slice(&c)))
			abort();
	}
	buf_free(&b);
	buf_free(&c);
	return 0;
}
