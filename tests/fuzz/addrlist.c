/* Address lists in header fields: spans lie in order within the input, and the walk ends. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/addrlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct addrlist l;
	struct addrlist_item item;
	const char *at = (const char *)data, *end = at + size;
	size_t count = 0;
	int rc;
	addrlist_start(&l, slice_make(data, size));
	while ((rc = addrlist_next(&item, &l)) > 0) {
		if (item.local.p < at || item.local.n == 0 || item.domain.n == 0 || item.local.p + item.local.n >= item.domain.p ||
		    item.domain.p + item.domain.n > end || ++count > size)
			abort();
		at = item.domain.p + item.domain.n;
	}
	if (rc < 0 && !l.why)
		abort();
	return 0;
}
