/* The data of a message, the first octet says in which pieces: no CR or NUL comes out, any split gives the same, and header and body
 * together are the text. */
#include <stdint.h>
#include <stdlib.h>

#include "lib/header.h"
#include "smtpd-outside/data.h"
#include "smtpd-outside/data_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(struct data *d, struct buf *text, struct slice in, size_t step)
{
	for (size_t at = 0; at < in.n && d->state != DATA_END; ) {
		struct slice piece = slice_upto(slice_from(in, at), step);
		char *copy = malloc(piece.n ? piece.n : 1);
		size_t clean;
		if (!copy)
			abort();
		memcpy(copy, piece.p, piece.n);
		at += data_feed(d, copy, piece.n, &clean);
		buf_add(text, copy, clean);
		free(copy);
	}
}

static void split(struct slice text, size_t step)
{
	struct data_header h = DATA_HEADER_INIT(1 << 22);
	bool no_blank;
	size_t header = header_length(text, &no_blank);
	for (size_t at = 0; at < text.n && !h.done; )
		at += data_header_feed(&h, slice_upto(slice_from(text, at), step));
	data_header_end(&h);
	if (h.line != header || !slice_eq(data_header_header(&h), slice_upto(text, header)))
		abort();
	buf_free(&h.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct data one = {0}, other = {0};
	struct buf a = BUF_INIT(1 << 22), b = BUF_INIT(1 << 22);
	if (!size)
		return 0;
	struct slice in = slice_make(data + 1, size - 1);
	feed(&one, &a, in, in.n + 1);
	feed(&other, &b, in, data[0] + 1u);
	if (one.state != other.state || one.fault != other.fault || !slice_eq(buf_slice(&a), buf_slice(&b)))
		abort();
	if (slice_find(buf_slice(&a), '\r') < a.n || slice_find(buf_slice(&a), '\0') < a.n)
		abort();
	if (one.fault == DATA_CLEAN && one.state == DATA_END)
		split(buf_slice(&a), data[0] + 1u);
	buf_free(&a);
	buf_free(&b);
	return 0;
}
