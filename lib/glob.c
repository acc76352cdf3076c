/* See glob.h.  Patterns are the administrator's, texts come from strangers: the matcher keeps no stack and goes back to the last "*" only, so its
 * steps are bounded by the product of both lengths. */
#include "lib/glob.h"

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static bool same(char pattern, char c)
{
	return pattern == '?' || lower(pattern) == lower(c);
}

/* TEXT is as long as PATTERN, which has no "*". */
static bool same_all(struct slice pattern, struct slice text)
{
	for (size_t i = 0; i < pattern.n; i++)
		if (!same(pattern.p[i], text.p[i]))
			return false;
	return true;
}

/* PATTERN begins at a "*" or is used up; both ends are fixed already.  Each run between two "*" is found where it first stands. */
static bool match_middle(struct slice pattern, struct slice text)
{
	struct slice run;
	while (slice_cut(&run, &pattern, '*')) {
		while (run.n <= text.n && !same_all(run, text))
			text = slice_from(text, 1);
		if (run.n > text.n)
			return false;
		text = slice_from(text, run.n);
	}
	return true;
}

bool glob_match(struct slice pattern, struct slice text)
{
	size_t first = slice_find(pattern, '*'), last = slice_rfind(pattern, '*');
	if (first == pattern.n)
		return pattern.n == text.n && same_all(pattern, text);
	struct slice tail = slice_from(pattern, last + 1);
	if (text.n < first + tail.n || !same_all(slice_upto(pattern, first), text))
		return false;
	if (!same_all(tail, slice_from(text, text.n - tail.n)))
		return false;
	return match_middle(slice_make(pattern.p + first, last - first), slice_make(text.p + first, text.n - first - tail.n));
}
