/* Header completion: the result is a header, completing it again adds nothing, and the recipients found are whole addresses. */
#include <stdint.h>
#include <stdlib.h>

#include "inject/complete.h"
#include "lib/header.h"
#include "lib/netstring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct names names = {{"campus.test", 11}, {"campus.test", 11}, {"mx1.campus.test", 15}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct author a = {.user = slice_str("u")};
	struct recipients r = RECIPIENTS_INIT;
	struct buf once = BUF_INIT(1 << 24), twice = BUF_INIT(1 << 24);
	struct slice in = slice_make(data, size), one, rest;
	bool no_blank;
	size_t n = header_length(in, &no_blank);
	struct slice header = slice_upto(in, no_blank ? n : n - 1);
	complete_header(&once, &names, &a, header, 0);
	n = header_length(buf_slice(&once), &no_blank);
	if (no_blank || n != once.n)
		abort();
	complete_header(&twice, &names, &a, slice_upto(buf_slice(&once), n - 1), 0);
	if (!slice_eq(buf_slice(&once), buf_slice(&twice)))
		abort();
	if (complete_recipients(&r, &names, header, NULL) == 0)
		for (rest = buf_slice(&r.list); rest.n;)
			if (netstring_take(&one, &rest, REQUEST_ADDRESS_MAX) < 0 || slice_find(one, '@') == one.n)
				abort();
	buf_free(&r.list);
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
