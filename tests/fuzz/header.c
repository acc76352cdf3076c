/* Header walk: fields lie in order without gaps, and header_length() agrees with the walk. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all = slice_make(data, size), rest = all;
	struct header_field f;
	struct buf b = BUF_INIT(1 << 21);
	const char *at = all.p;
	bool no_blank;
	while (header_next(&f, &rest)) {
		if (f.whole.p != at || f.name.p != at || f.name.n == 0 || f.value.p + f.value.n > f.whole.p + f.whole.n)
			abort();
		at += f.whole.n;
		header_unfold(&b, f.value);
	}
	size_t n = header_length(all, &no_blank);
	if (b.n > size || n != (size_t)(at - all.p) + !no_blank || (!no_blank && data[n - 1] != '\n'))
		abort();
	buf_free(&b);
	return 0;
}
