/* The line between scan stage and quarantine: what is taken can be written again, to the octet or to the same meaning. */
#include <stdint.h>
#include <stdlib.h>

#include "scanner-bridge/quarantine_note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct quarantine_note a, b;
	struct slice header = slice_make(data, size);
	struct buf out = BUF_INIT(1000);
	struct err e;
	if (quarantine_note_take(&a, &header, &e) == 0) {
		quarantine_note_add(&out, &a);
		struct slice again = buf_slice(&out);
		if (quarantine_note_take(&b, &again, &e) < 0 || again.n || a.cause != b.cause || a.malware != b.malware || a.milli != b.milli ||
		    strcmp(a.reason, b.reason) != 0)
			abort();
	}
	buf_free(&out);
	return 0;
}
