/* A PROXY header, as a client of a `proxy` listener could send it. */
#include <stdint.h>

#include "smtpd-outside/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header h;
	size_t used = 0;
	int r = proxy_parse(&h, &used, slice_make(data, size));
	if (r == 0 && (used == 0 || used > size || used > PROXY_MAX))
		__builtin_trap();
	if (r == E_EOF && size >= PROXY_MAX)
		__builtin_trap();
	return 0;
}
