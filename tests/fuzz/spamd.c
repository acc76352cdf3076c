/* Replies of spamd: no read outside, no score out of range, no rule name that could end a header line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scanner-bridge/spamd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spam s;
	struct err e = {0};
	if (spamd_parse(&s, slice_make(data, size), &e) < 0)
		return e.text[0] ? 0 : (abort(), 0);
	if (llabs(s.milli) > SPAMD_SCORE_MOST * 1000ll || !slice_printable(slice_str(s.tests)) || strchr(s.tests, ':'))
		abort();
	return 0;
}
