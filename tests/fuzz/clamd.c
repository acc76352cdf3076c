/* Replies of clamd: never clean but for the one reply that says so. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "scanner-bridge/clamd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char ok[] = "stream: OK";
	char text[INSPECT_TEXT_MAX + 1];
	enum virus_verdict v = clamd_parse(text, slice_make(data, size));
	if (v == VIRUS_CLEAN && (size != sizeof ok || memcmp(data, ok, sizeof ok) != 0))
		abort();
	if (v == VIRUS_UNCHECKED || (v != VIRUS_CLEAN && !text[0]) || !slice_printable(slice_str(text)))
		abort();
	return 0;
}
