/* See data_header.h.  Runs in each session process on octets that the client chose.  RFC 5322 2.2: a field is a name of printable octets
 * without colon, then (obsolete syntax) blanks, a colon and text; lines that begin with a blank go on with it. */
#include "smtpd-outside/data_header.h"

/* Is LINE (without its LF) the first line of a field? */
static bool is_field(struct slice line, struct slice *name)
{
	size_t n = 0;
	while (n < line.n && line.p[n] > 32 && line.p[n] < 127 && line.p[n] != ':')
		n++;
	*name = slice_upto(line, n);
	size_t colon = n;
	while (colon < line.n && (line.p[colon] == ' ' || line.p[colon] == '\t'))
		colon++;
	return n && colon < line.n && line.p[colon] == ':';
}

static bool is_continuation(const struct data_header *h, struct slice line)
{
	return h->fields && line.n && (line.p[0] == ' ' || line.p[0] == '\t');
}

/* One whole line has come in. */
static void line_ended(struct data_header *h)
{
	struct slice line = slice_from(buf_slice(&h->text), h->line), name;
	line.n--;
	if (!line.n) {
		h->done = true;
		h->line = h->text.n;
		return;
	}
	bool field = is_field(line, &name);
	if (!field && !is_continuation(h, line)) {
		h->done = h->no_blank = true;
		return;
	}
	h->line = h->text.n;
	if (field) {
		h->fields++;
		h->hops += slice_case_eq_str(name, "received") || slice_case_eq_str(name, "delivered-to");
	}
}

size_t data_header_feed(struct data_header *h, struct slice in)
{
	size_t taken = 0;
	while (taken < in.n && !h->done) {
		struct slice rest = slice_from(in, taken);
		size_t n = slice_find(rest, '\n');
		bool whole = n < rest.n;
		buf_add_slice(&h->text, slice_upto(rest, n + whole));
		if (h->text.overflow)
			return in.n;
		taken += n + whole;
		if (whole)
			line_ended(h);
	}
	return taken;
}

void data_header_end(struct data_header *h)
{
	if (h->done)
		return;
	h->done = h->no_blank = true;
	h->line = h->text.n;
}
