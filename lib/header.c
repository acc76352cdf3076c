/* Header fields: see header.h.  Input is the header of any message; only its line structure is looked at, and nothing
 * is copied.  RFC 5322 2.2, 3.6.8, and 4.5 for blanks before the colon. */
#include "lib/header.h"

#include "lib/calendar.h"

static bool blank(struct slice s, size_t at)
{
	return at < s.n && (s.p[at] == ' ' || s.p[at] == '\t');
}

/* The offset after the LF that ends the line at AT, or the end. */
static size_t line_end(struct slice s, size_t at)
{
	size_t lf = at + slice_find(slice_from(s, at), '\n');
	return lf < s.n ? lf + 1 : s.n;
}

/* Octets of the field name at the start of S; *COLON is where its colon is.  0: no field begins here. */
static size_t name_octets(size_t *colon, struct slice s)
{
	size_t n = 0, at;
	while (n < s.n && s.p[n] > 0x20 && s.p[n] < 0x7f && s.p[n] != ':')
		n++;
	for (at = n; blank(s, at); at++)
		;
	*colon = at;
	return at < s.n && s.p[at] == ':' ? n : 0;
}

bool header_next(struct header_field *field, struct slice *rest)
{
	size_t colon, end, name = name_octets(&colon, *rest);
	if (name == 0)
		return false;
	end = line_end(*rest, colon);
	while (blank(*rest, end))
		end = line_end(*rest, end);
	field->name = slice_upto(*rest, name);
	field->whole = slice_upto(*rest, end);
	field->value = slice_from(field->whole, colon + 1);
	if (field->value.n && field->value.p[field->value.n - 1] == '\n')
		field->value.n--;
	*rest = slice_from(*rest, end);
	return true;
}

bool header_find(struct header_field *field, struct slice header, const char *name)
{
	struct header_field f;
	while (header_next(&f, &header))
		if (slice_case_eq_str(f.name, name)) {
			*field = f;
			return true;
		}
	return false;
}

size_t header_count(struct slice header, const char *name)
{
	struct header_field f;
	size_t n = 0;
	while (header_next(&f, &header))
		n += slice_case_eq_str(f.name, name);
	return n;
}

void header_unfold(struct buf *b, struct slice value)
{
	value = slice_trim(value);
	while (value.n) {
		size_t at = slice_find(value, '\n');
		buf_add_slice(b, slice_upto(value, at));
		if (at < value.n && !blank(value, at + 1))
			buf_add_char(b, '\n');
		value = slice_from(value, at + 1);
	}
}

size_t header_length(struct slice message, bool *no_blank)
{
	struct header_field f;
	struct slice rest = message;
	while (header_next(&f, &rest))
		;
	*no_blank = rest.n == 0 || rest.p[0] != '\n';
	return message.n - rest.n + !*no_blank;
}

void header_date(struct buf *b, int64_t wall_usec)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct calendar c;
	calendar_of(&c, wall_usec / 1000000 - (wall_usec % 1000000 < 0));
	buf_add_format(b, "%s, %d %s %04lld %02d:%02d:%02d +0000", days[c.weekday], c.day, months[c.month - 1], c.year, c.hour, c.minute, c.second);
}
