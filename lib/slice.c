/* Slices: comparison, searching, cutting, whole numbers.  No allocation, linear in the input. */
#include "lib/slice.h"

#include <limits.h>

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool slice_eq_str(struct slice a, const char *b)
{
	return slice_eq(a, slice_str(b));
}

bool slice_case_eq(struct slice a, struct slice b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool slice_case_eq_str(struct slice a, const char *b)
{
	return slice_case_eq(a, slice_str(b));
}

bool slice_starts(struct slice s, const char *prefix)
{
	return slice_eq_str(slice_upto(s, strlen(prefix)), prefix);
}

bool slice_case_starts(struct slice s, const char *prefix)
{
	return slice_case_eq_str(slice_upto(s, strlen(prefix)), prefix);
}

bool slice_ends(struct slice s, const char *suffix)
{
	size_t n = strlen(suffix);
	return s.n >= n && slice_eq_str(slice_from(s, s.n - n), suffix);
}

size_t slice_find(struct slice s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
	return at ? (size_t)(at - s.p) : s.n;
}

size_t slice_rfind(struct slice s, char c)
{
	const char *at = s.n ? memrchr(s.p, c, s.n) : NULL;
	return at ? (size_t)(at - s.p) : s.n;
}

struct slice slice_from(struct slice s, size_t at)
{
	if (at > s.n)
		at = s.n;
	return slice_make(s.p + at, s.n - at);
}

struct slice slice_upto(struct slice s, size_t at)
{
	return slice_make(s.p, at < s.n ? at : s.n);
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
	while (s.n && blank(s.p[0]))
		s = slice_from(s, 1);
	while (s.n && blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

bool slice_cut(struct slice *part, struct slice *rest, char sep)
{
	if (!rest->p)
		return false;
	size_t at = slice_find(*rest, sep);
	*part = slice_upto(*rest, at);
	*rest = at < rest->n ? slice_from(*rest, at + 1) : slice_make(NULL, 0);
	return true;
}

bool slice_word(struct slice *word, struct slice *rest)
{
	size_t i = 0, k;
	while (i < rest->n && blank(rest->p[i]))
		i++;
	for (k = i; k < rest->n && !blank(rest->p[k]); k++)
		;
	*word = slice_make(rest->p + i, k - i);
	*rest = slice_from(*rest, k);
	return word->n > 0;
}

int slice_number(long long *out, struct slice s, long long least, long long most)
{
	bool minus = s.n && s.p[0] == '-' && least < 0;
	long long v = 0;
	if (minus)
		s = slice_from(s, 1);
	if (s.n == 0 || s.n > 19)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -1;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s.p[i] - '0', &v))
			return -1;
	}
	if (minus)
		v = -v;
	if (v < least || v > most)
		return -1;
	*out = v;
	return 0;
}

int slice_copy(char *dst, size_t size, struct slice s)
{
	if (size)
		dst[0] = 0;
	if (s.n >= size || (s.n && memchr(s.p, 0, s.n)))
		return -1;
	if (s.n)
		memcpy(dst, s.p, s.n);
	dst[s.n] = 0;
	return 0;
}

bool slice_printable(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return false;
	return true;
}
