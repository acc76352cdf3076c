/* Fuzz target: the directory's answers (directory/query.c).  What the decoder accepts must
 * come through the encoder and the decoder again unchanged. */
#include <stdint.h>
#include <stdlib.h>

#include "directory/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool decode_encode(struct buf *out, struct slice in)
{
	static struct directory_entry entry;
	char text[DIRECTORY_TEXT_MAX];
	enum directory_verdict v;
	if (directory_decode(&v, text, &entry, in) < 0)
		return false;
	bool whole = v == DIRECTORY_YES || (v == DIRECTORY_DISABLED && entry.account_status.p);
	directory_encode(out, v, text, whole ? &entry : NULL);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf once = BUF_INIT(1 << 20), twice = BUF_INIT(1 << 20);
	if (decode_encode(&once, slice_make((const char *)data, size)))
		if (!decode_encode(&twice, buf_slice(&once)) || !slice_eq(buf_slice(&once), buf_slice(&twice)))
			abort();
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
