/* Fields of messages between programs: see fields.h.  The other program may have been taken over: every field is checked for
 * its length and its kind before it is believed. */
#include "lib/fields.h"

struct slice fields_take(struct fields *f, size_t max)
{
	struct slice s;
	if (!f->bad && netstring_take(&s, &f->rest, max) == 0)
		return s;
	f->bad = true;
	return slice_make(NULL, 0);
}

struct slice fields_take_text(struct fields *f, size_t max)
{
	struct slice s = fields_take(f, max);
	if (slice_printable(s))
		return s;
	f->bad = true;
	return slice_make(NULL, 0);
}

long long fields_take_number(struct fields *f, long long least, long long most)
{
	long long v;
	if (!f->bad && netstring_take_number(&v, &f->rest, least, most) == 0)
		return v;
	f->bad = true;
	return 0;
}

char fields_take_letter(struct fields *f, const char *set)
{
	struct slice s = fields_take(f, 1);
	if (s.n == 1 && s.p[0] && strchr(set, s.p[0]))
		return s.p[0];
	f->bad = true;
	return 0;
}

void fields_take_copy(struct fields *f, char *dst, size_t size)
{
	if (slice_copy(dst, size, fields_take_text(f, size - 1)) < 0)
		f->bad = true;
}
