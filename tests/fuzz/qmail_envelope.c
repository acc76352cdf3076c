/* The envelope on descriptor 1 of qmail-queue: what is taken is a row of netstrings that says the same again. */
#include <stdint.h>
#include <stdlib.h>

#include "inject/qmail_envelope.h"
#include "lib/envelope.h"
#include "lib/netstring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = BUF_INIT(ENVELOPE_MAX), again = BUF_INIT(ENVELOPE_MAX);
	if (qmail_envelope(&out, slice_make(data, size)) == 0) {
		struct slice rest = buf_slice(&out), one;
		for (char letter = 'F'; rest.n; letter = 'T') {
			if (netstring_take(&one, &rest, QMAIL_ADDRESS_MAX) < 0)
				abort();
			buf_add_char(&again, letter);
			buf_add_slice(&again, one);
			buf_add_char(&again, '\0');
		}
		buf_add_char(&again, '\0');
		if (!slice_eq(buf_slice(&again), slice_make(data, size)))
			abort();
	}
	buf_free(&out);
	buf_free(&again);
	return 0;
}
