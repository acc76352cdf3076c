/* See base64.h.  Runs in each session process on octets that the client chose, and in postern-directory.  One text has one encoding: what another
 * decoder might read otherwise is refused. */
#include "lib/base64.h"

#include "lib/err.h"

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters, the last PADS of which are padding. */
static bool quantum(unsigned long *bits, const char *p, size_t pads)
{
	*bits = 0;
	for (size_t i = 0; i < 4; i++) {
		int v = i < 4 - pads ? value_of(p[i]) : p[i] == '=' ? 0 : -1;
		if (v < 0)
			return false;
		*bits = *bits << 6 | (unsigned long)v;
	}
	return pads == 0 || !(*bits & ((1ul << 8 * pads) - 1));
}

static size_t padding(struct slice in)
{
	size_t pads = 0;
	while (pads < 2 && pads < in.n && in.p[in.n - 1 - pads] == '=')
		pads++;
	return pads;
}

int base64_decode(char *out, size_t size, size_t *used, struct slice in)
{
	unsigned long bits;
	size_t n = 0, pads = padding(in);
	if (in.n % 4)
		return E_SYNTAX;
	if (in.n / 4 * 3 - pads > size)
		return E_TOO_LONG;
	for (size_t i = 0; i < in.n; i += 4) {
		size_t here = i + 4 == in.n ? pads : 0;
		if (!quantum(&bits, in.p + i, here))
			return E_SYNTAX;
		for (size_t k = 0; k < 3 - here; k++)
			out[n++] = (char)(bits >> (16 - 8 * k) & 0xff);
	}
	*used = n;
	return 0;
}

void base64_encode(struct buf *b, struct slice in)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < in.n; i += 3) {
		size_t here = in.n - i < 3 ? in.n - i : 3;
		unsigned long bits = 0;
		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < here ? (unsigned char)in.p[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			buf_add_char(b, k <= here ? digit[bits >> (18 - 6 * k) & 63] : '=');
	}
}
