/* Netstrings: see netstring.h.  Input is not trusted: nine digits at most, no leading zero, the comma must be there. */
#include "lib/netstring.h"

void netstring_add(struct buf *b, struct slice s)
{
	buf_add_number(b, (long long)s.n);
	buf_add_char(b, ':');
	buf_add_slice(b, s);
	buf_add_char(b, ',');
}

void netstring_add_str(struct buf *b, const char *s)
{
	netstring_add(b, slice_str(s));
}

void netstring_add_number(struct buf *b, long long v)
{
	char text[24];
	struct buf digits = BUF_OVER(text);
	buf_add_number(&digits, v);
	netstring_add(b, buf_slice(&digits));
}

int netstring_take(struct slice *out, struct slice *rest, size_t max)
{
	size_t n = 0, i = 0;
	for (; i < rest->n && rest->p[i] >= '0' && rest->p[i] <= '9'; i++) {
		if (i == 9)
			return E_TOO_LONG;
		if (i == 1 && n == 0)
			return E_SYNTAX;
		n = n * 10 + (size_t)(rest->p[i] - '0');
	}
	if (i == rest->n)
		return E_EOF;
	if (i == 0 || rest->p[i] != ':')
		return E_SYNTAX;
	if (n > max)
		return E_TOO_LONG;
	if (rest->n - i - 1 < n + 1)
		return E_EOF;
	if (rest->p[i + 1 + n] != ',')
		return E_SYNTAX;
	*out = slice_make(rest->p + i + 1, n);
	*rest = slice_from(*rest, i + n + 2);
	return 0;
}

int netstring_take_number(long long *out, struct slice *rest, long long least, long long most)
{
	struct slice text, try = *rest;
	int rc = netstring_take(&text, &try, 20);
	if (rc < 0)
		return rc == E_EOF ? E_EOF : E_SYNTAX;
	if (slice_number(out, text, least, most) < 0)
		return E_SYNTAX;
	*rest = try;
	return 0;
}
