/* A server's replies: always printable, within their limits, the enhanced code fits the code. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/reply.h"
#include "deliver/resolve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice line, text, rest = slice_make(data, size);
	struct reply r;
	struct err e;
	struct mx mx;
	reply_begin(&r);
	while (slice_cut(&line, &rest, '\n')) {
		int rc = reply_add(&r, line, &text, &e);
		if (rc < 0 && !slice_printable(slice_str(e.text)))
			abort();
		if (rc >= 0 && (r.code < 200 || r.code > 599 || !slice_printable(slice_str(r.text)) || strlen(r.text) > REPLY_TEXT_MAX
			|| r.enhanced[0] - '0' != r.code / 100 || r.lines > REPLY_LINES_MAX))
			if (r.code / 100 != 3)
				abort();
		if (rc <= 0)
			reply_begin(&r);
	}
	if (mx_decode(&mx, data, size) == 0 && strlen(mx.host) > 254)
		abort();
	return 0;
}
