/* Chunks of BDAT, the first octet says in which pieces: any split gives the same, no CR or NUL comes out, and a clean text with its line ends put back
 * is what came in. */
#include <stdint.h>
#include <stdlib.h>

#include "smtpd-outside/data.h"
#include "smtpd-outside/smtpd_command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool feed(struct data *d, struct buf *text, struct slice in, size_t step)
{
	for (size_t at = 0; at < in.n; at += step) {
		struct slice piece = slice_upto(slice_from(in, at), step);
		char *copy = malloc(piece.n);
		size_t clean;
		if (!copy)
			abort();
		memcpy(copy, piece.p, piece.n);
		data_feed_chunk(d, copy, piece.n, &clean);
		buf_add(text, copy, clean);
		free(copy);
	}
	return data_end_chunks(d);
}

static void back_again(struct slice text, bool lacks, struct slice in)
{
	struct buf b = BUF_INIT(1 << 22);
	for (size_t i = 0; i < text.n; i++)
		buf_add(&b, text.p[i] == '\n' ? "\r\n" : text.p + i, text.p[i] == '\n' ? 2 : 1);
	if (!slice_eq(buf_slice(&b), in) || lacks != (text.n && text.p[text.n - 1] != '\n'))
		abort();
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct data one = {0}, other = {0};
	struct buf a = BUF_INIT(1 << 22), b = BUF_INIT(1 << 22);
	long long octets;
	bool last;
	if (!size)
		return 0;
	struct slice in = slice_make(data + 1, size - 1);
	bool lacks = feed(&one, &a, in, in.n + 1), lacks_too = feed(&other, &b, in, data[0] + 1u);
	if (one.fault != other.fault || lacks != lacks_too || !slice_eq(buf_slice(&a), buf_slice(&b)))
		abort();
	if (slice_find(buf_slice(&a), '\r') < a.n || slice_find(buf_slice(&a), '\0') < a.n)
		abort();
	if (one.fault == DATA_CLEAN)
		back_again(buf_slice(&a), lacks, in);
	if (smtpd_bdat_parse(&octets, &last, in) && (octets < 0 || octets > BDAT_OCTETS_MAX))
		abort();
	buf_free(&a);
	buf_free(&b);
	return 0;
}
