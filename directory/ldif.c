/* LDIF: see ldif.h.  RFC 2849, content records only, as slapadd and ldapadd read them.
 *
 * Runs in postern-directory and in the lint.  The file is the administrator's and trusted not to be hostile, but it is often
 * written by other programs: every fault is named with its line.  Linear; a value is copied only to unfold or decode it. */
#include "directory/ldif.h"

#include <stdarg.h>
#include <stdio.h>

int ldif_fault(struct err *e, int line, const char *format, ...)
{
	char reason[200];
	va_list ap;
	va_start(ap, format);
	vsnprintf(reason, sizeof reason, format, ap);
	va_end(ap);
	return err_set(e, E_SYNTAX, "directory.ldif:%d: %s", line, reason);
}

/* Octets of the first line of S without its line end (LF or CR LF); *WHOLE with it. */
static size_t line_octets(struct slice s, size_t *whole)
{
	const char *lf = s.n ? memchr(s.p, '\n', s.n) : NULL;
	size_t n = lf ? (size_t)(lf - s.p) : s.n;
	*whole = lf ? n + 1 : n;
	return n && s.p[n - 1] == '\r' ? n - 1 : n;
}

/* The first line of S with its continuation lines (RFC 2849 note 2); *LINES counts them. */
static size_t folded_octets(struct slice s, size_t *whole, int *lines)
{
	size_t n, more;
	n = line_octets(s, whole);
	for (*lines = 1; *whole < s.n && s.p[*whole] == ' '; ++*lines) {
		n = *whole + line_octets(slice_from(s, *whole), &more);
		*whole += more;
	}
	return n;
}

static void pass(struct ldif *l, size_t octets, int lines)
{
	l->rest = slice_from(l->rest, octets);
	l->line += lines;
}

/* Pass over empty lines, comments and, once at the beginning, "version: 1". */
static int pass_to_entry(struct ldif *l, struct err *e)
{
	size_t whole;
	int lines = 1;
	for (; l->rest.n; pass(l, whole, lines)) {
		if (line_octets(l->rest, &whole) == 0) { /* nothing continues an empty line */
			lines = 1;
			continue;
		}
		struct slice line = slice_upto(l->rest, folded_octets(l->rest, &whole, &lines));
		if (line.p[0] == '#')
			continue;
		if (l->begun || !slice_case_starts(line, "version:"))
			return 0;
		if (!slice_eq_str(slice_trim(slice_from(line, 8)), "1"))
			return ldif_fault(e, l->line + 1, "this version of LDIF is not known: only version: 1 is");
		l->begun = true;
	}
	return E_EOF;
}

int ldif_next(struct ldif_entry *out, struct ldif *l, struct err *e)
{
	size_t whole, octets = 0;
	int rc = pass_to_entry(l, e), lines = 0;
	if (rc < 0)
		return rc;
	l->begun = true;
	for (struct slice s = l->rest; line_octets(s, &whole) > 0; s = slice_from(s, whole), lines++)
		octets += whole;
	if (octets > LDIF_ENTRY_MAX)
		return ldif_fault(e, l->line + 1, "an entry of more than %zu octets", LDIF_ENTRY_MAX);
	*out = (struct ldif_entry){slice_upto(l->rest, octets), l->line + 1, false};
	pass(l, octets, lines);
	return 0;
}

/* attribute-description: letters, digits, hyphens, dots (an OID) and options after semicolons. */
static size_t name_octets(struct slice s)
{
	size_t i = 0;
	while (i < s.n && ((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') || (s.p[i] >= '0' && s.p[i] <= '9')
			   || s.p[i] == '-' || s.p[i] == ';' || s.p[i] == '.' || s.p[i] == '_'))
		i++;
	return i;
}

static int attribute_parse(struct ldif_line *out, struct slice line, struct err *e)
{
	size_t n = name_octets(line);
	out->name = slice_upto(line, n);
	if (n == 0 || n == line.n || line.p[n] != ':') {
		if (line.p[0] == ' ')
			return ldif_fault(e, out->number, "a line that begins with a blank continues the line before, and there is none");
		return ldif_fault(e, out->number, "not \"attribute: value\"");
	}
	n++;
	out->base64 = n < line.n && line.p[n] == ':';
	if (n < line.n && line.p[n] == '<')
		return ldif_fault(e, out->number, "values by URL (:<) are not read: give the value itself");
	n += out->base64;
	while (n < line.n && line.p[n] == ' ')
		n++;
	out->raw = slice_from(line, n);
	return 0;
}

static int check_sense(const struct ldif_line *line, bool begun, struct err *e)
{
	bool dn = slice_case_eq_str(line->name, "dn");
	if (!begun && !dn)
		return ldif_fault(e, line->number, "an entry begins with dn:");
	if (begun && dn)
		return ldif_fault(e, line->number, "a second dn: put an empty line between entries");
	if (slice_case_eq_str(line->name, "changetype") || slice_case_eq_str(line->name, "control"))
		return ldif_fault(e, line->number, "change records are not read: give the entry as it shall be");
	return 0;
}

int ldif_attribute(struct ldif_line *out, struct ldif_entry *at, struct err *e)
{
	size_t whole;
	int lines, rc;
	while (at->text.n) {
		struct slice line = slice_upto(at->text, folded_octets(at->text, &whole, &lines));
		*out = (struct ldif_line){.number = at->line, .folded = lines > 1};
		at->text = slice_from(at->text, whole);
		at->line += lines;
		if (line.p[0] == '#')
			continue;
		if ((rc = attribute_parse(out, line, e)) == 0)
			rc = check_sense(out, at->begun, e);
		at->begun = true;
		return rc;
	}
	return E_EOF;
}

/* RAW with each line end and the one blank after it taken out.  Returns the octets written. */
static size_t unfold(char *to, struct slice raw)
{
	size_t n = 0, whole;
	for (bool first = true; raw.n; first = false) {
		size_t octets = line_octets(raw, &whole);
		size_t skip = first ? 0 : 1;
		memcpy(to + n, raw.p + skip, octets - skip);
		n += octets - skip;
		raw = slice_from(raw, whole);
	}
	return n;
}

static int base64_digit(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52
		: c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648 4, in place (the output is never longer than the input).  The octets, or -1. */
static long base64_decode(char *to, struct slice in)
{
	unsigned long bits = 0;
	size_t pad = 0, n = 0;
	while (pad < 2 && in.n && in.p[in.n - 1] == '=')
		pad++, in.n--;
	if ((in.n + pad) % 4)
		return -1;
	for (size_t i = 0; i < in.n; i++) {
		int v = base64_digit(in.p[i]);
		if (v < 0)
			return -1;
		bits = bits << 6 | (unsigned long)v;
		if (i % 4)
			to[n++] = (char)(bits >> (6 - i % 4 * 2) & 0xff);
	}
	return (long)n;
}

int ldif_value(struct slice *out, size_t *used, char *space, const struct ldif_line *line, struct err *e)
{
	struct slice v = line->raw;
	*used = 0;
	if (line->folded || line->base64) {
		v = slice_make(space, unfold(space, v));
		*used = line->raw.n;
	}
	if (!line->base64) {
		if (v.n && memchr(v.p, 0, v.n))
			return ldif_fault(e, line->number, "a NUL in the value of %.*s", SLICE_FMT(slice_upto(line->name, 60)));
		*out = slice_trim(v);
		return 0;
	}
	long n = base64_decode(space, slice_trim(v));
	if (n < 0)
		return ldif_fault(e, line->number, "the value of %.*s is not base64", SLICE_FMT(slice_upto(line->name, 60)));
	*out = slice_make(space, (size_t)n);
	return 0;
}
