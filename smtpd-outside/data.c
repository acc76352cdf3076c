/* See data.h.  Runs in each session process on octets that the client chose; holds no memory of its own.  Standard: RFC 5321 2.3.8
 * (line ends), 4.5.2 (transparency), 4.1.1.4 (end of data); RFC 3030 2 (chunks: no dots, their end is counted).
 *
 * States: LINE at the start of a line, TEXT inside one, CR after a CR in it, DOT after "." at its start, DOT_CR after ". CR", END.
 * After a fault the same machine goes on looking for the end, with nothing coming out. */
#include "smtpd-outside/data.h"

#define WINDOW 256 /* about a few lines: a search beyond the next special octet, done again for each of them, would not be linear */

/* Octets of P[0..N), or of its first WINDOW, before the first CR, LF or NUL. */
static size_t plain(const char *p, size_t n)
{
	n = n < WINDOW ? n : WINDOW;
	const char *at = memchr(p, '\r', n);
	size_t len = at ? (size_t)(at - p) : n;
	if ((at = memchr(p, '\n', len)))
		len = (size_t)(at - p);
	at = memchr(p, 0, len);
	return at ? (size_t)(at - p) : len;
}

static void fault(struct data *d, enum data_fault which)
{
	if (d->fault == DATA_CLEAN)
		d->fault = which;
}

/* One octet that ends a run of plain text or comes in a state with something pending. */
static enum data_state step(struct data *d, char c, bool dots)
{
	bool after_cr = d->state == DATA_CR || d->state == DATA_DOT_CR;
	if (after_cr && c == '\n')
		return d->state == DATA_CR ? DATA_LINE : DATA_END;
	if (after_cr)
		fault(d, DATA_BARE_CR);
	if (c == '\r')
		return d->state == DATA_DOT ? DATA_DOT_CR : DATA_CR;
	if (dots && c == '.' && d->state == DATA_LINE)
		return DATA_DOT;
	if (c == '\n')
		fault(d, DATA_BARE_LF);
	if (c == '\0')
		fault(d, DATA_NUL);
	return DATA_TEXT;
}

static size_t feed(struct data *d, char *p, size_t n, size_t *clean, bool dots)
{
	size_t in = 0, out = 0;
	while (in < n && d->state != DATA_END) {
		if (d->state == DATA_TEXT) {
			size_t run = plain(p + in, n - in);
			if (d->fault == DATA_CLEAN) {
				memmove(p + out, p + in, run);
				out += run;
			}
			in += run;
			if (in == n)
				break;
			if (run == WINDOW)
				continue;
		}
		char c = p[in++];
		enum data_state before = d->state;
		d->state = step(d, c, dots);
		/* out comes a LF for CR LF, and a plain octet that began a line or followed its dot */
		if (d->fault == DATA_CLEAN && (d->state == DATA_TEXT || (before == DATA_CR && d->state == DATA_LINE)))
			p[out++] = c;
	}
	*clean = out;
	return in;
}

size_t data_feed(struct data *d, char *p, size_t n, size_t *clean)
{
	return feed(d, p, n, clean, true);
}

void data_feed_chunk(struct data *d, char *p, size_t n, size_t *clean)
{
	(void)feed(d, p, n, clean, false);
}

bool data_end_chunks(struct data *d)
{
	if (d->state == DATA_CR)
		fault(d, DATA_BARE_CR);
	bool lacks = d->state == DATA_TEXT;
	d->state = DATA_END;
	return lacks;
}

const char *data_fault_text(enum data_fault fault)
{
	static const char *const text[] = {"", "bare CR", "bare LF", "NUL"};
	return text[fault];
}
