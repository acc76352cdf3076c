/* Questions to postern-directory and its answer to "salt" (directory/query.c): what the decoder accepts must come through the encoder unchanged. */
#include <stdint.h>
#include <stdlib.h>

#include "directory/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct buf *b, struct slice in)
{
	if (b->overflow || !slice_eq(buf_slice(b), in))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make(data ? (const char *)data : "", size);
	struct buf b = BUF_INIT(1 << 21);
	struct asked q;
	struct directory_salt salt;
	enum directory_verdict v;
	char text[DIRECTORY_TEXT_MAX];
	if (directory_question_decode(&q, in) == 0) {
		directory_question_encode(&b, &q);
		same(&b, in);
	}
	buf_reset(&b);
	if (directory_salt_decode(&v, text, &salt, in) == 0 && v == DIRECTORY_YES && !text[0]) {
		directory_salt_encode(&b, slice_str(salt.server_first), salt.ticket);
		same(&b, in);
	}
	buf_free(&b);
	return 0;
}
