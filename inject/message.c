/* See message.h.  Runs in postern-inject on octets that any local user chose; linear, holds one block beside the header.
 * RFC 5322 2.1 (line ends).  A CR that ends no line is refused: the next host would see another message than this one. */
#include "inject/message.h"

#include "lib/io.h"
#include "smtpd-outside/data_header.h"

#define BLOCK_OCTETS ((size_t)64 * 1024)

struct splitter {
	struct data_header header;
	int body_fd;
	off_t written;
	char last; /* octet before */
	char block[BLOCK_OCTETS + 1];
};

/* PIECE without the CR of each CR LF, into the block.  0 or E_SYNTAX. */
static int plain(size_t *n, struct splitter *s, struct slice piece, struct err *e)
{
	*n = 0;
	for (size_t i = 0; i < piece.n; i++) {
		char c = piece.p[i];
		if (c == '\0')
			return err_set(e, E_SYNTAX, "the message has a NUL");
		if (s->last == '\r' && c != '\n')
			return err_set(e, E_SYNTAX, "the message has a CR without LF");
		if (c != '\r')
			s->block[(*n)++] = c;
		s->last = c;
	}
	return 0;
}

static int write_body(struct splitter *s, struct slice text, struct err *e)
{
	int rc = text.n ? io_pwrite_all(s->body_fd, text.p, text.n, s->written, e) : 0;
	s->written += (off_t)text.n;
	return rc;
}

/* Text in the suite's form. */
static int take(struct splitter *s, struct slice text, struct err *e)
{
	bool had = s->header.done;
	size_t used = had ? 0 : data_header_feed(&s->header, text);
	int rc = 0;
	if (s->header.text.overflow)
		return err_set(e, E_TOO_LONG, "the header is larger than %zu octets", s->header.text.max);
	if (!s->header.done)
		return 0;
	if (!had)
		rc = write_body(s, data_header_spill(&s->header), e);
	return rc < 0 ? rc : write_body(s, slice_from(text, used), e);
}

static int finish(struct splitter *s, struct err *e)
{
	int rc = s->last == '\r' ? err_set(e, E_SYNTAX, "the message has a CR without LF") : 0;
	if (rc == 0 && s->last && s->last != '\n')
		rc = take(s, slice_str("\n"), e);
	if (rc < 0)
		return rc;
	data_header_end(&s->header);
	s->header.text.n = s->header.line;
	if (s->header.no_blank)
		buf_add_char(&s->header.text, '\n');
	return s->header.text.overflow ? err_set(e, E_TOO_LONG, "the header is too large") : 0;
}

int message_split(struct buf *header, unsigned *hops, int body_fd, struct slice text, struct err *e)
{
	struct splitter s = {.header = {.text = *header}, .body_fd = body_fd};
	int rc = 0;
	for (size_t n; rc == 0 && text.n; text = slice_from(text, BLOCK_OCTETS)) {
		rc = plain(&n, &s, slice_upto(text, BLOCK_OCTETS), e);
		if (rc == 0)
			rc = take(&s, slice_make(s.block, n), e);
	}
	if (rc == 0)
		rc = finish(&s, e);
	*header = s.header.text;
	*hops = s.header.hops;
	return rc;
}
