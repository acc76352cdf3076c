/* Two octets of length, an address, and a cdb: whatever the table says, nothing is read outside of it. */
#include <stdint.h>
#include <stdlib.h>

#include "smtpd-outside/validrcptto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control c = {.dir = "/c"};
	struct validrcptto v;
	size_t n = size ? data[0] : 0;
	if (size < 1 + n)
		return 0;
	c.value[C_validrcptto] = (struct control_value){.content = slice_make(data + 1 + n, size - 1 - n), .present = true};
	if (validrcptto_check(&c, NULL) > 0)
		abort();
	if (validrcptto_open(&v, &c, NULL))
		return 0;
	(void)validrcptto_find(&v, slice_make(data + 1, n));
	validrcptto_close(&v);
	return 0;
}
