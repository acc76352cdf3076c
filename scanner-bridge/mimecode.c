/* Transfer decodings and encoded words: see mimefield.h.  Input is hostile; output never exceeds the buffer's maximum and is
 * at most as long as the input.  RFC 2045 6.7 and 6.8, RFC 2047 2. */
#include "scanner-bridge/mimefield.h"

#include <stdint.h>

/* The value of a base64 character, 64 for blanks, 65 for "=", 66 for what has no place there. */
static unsigned base64_value(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26u;
	if (c >= '0' && c <= '9')
		return c - '0' + 52u;
	if (c == '+' || c == '/')
		return c == '+' ? 62 : 63;
	return c == '=' ? 65 : c == ' ' || c == '\t' || c == '\n' || c == '\r' ? 64 : 66;
}

/* Padding ends a quantum and decoding goes on: readers differ in what they do with what follows, so that it is flagged. */
static void decode_base64(struct buf *b, unsigned *malformed, struct slice raw)
{
	char *out = buf_room(b, raw.n / 4 * 3 + 3);
	uint32_t bits = 0;
	unsigned have = 0;
	bool padded = false;
	for (size_t i = 0; out && i < raw.n; i++) {
		unsigned v = base64_value((unsigned char)raw.p[i]);
		if (v == 65) {
			*malformed |= have < 2 && !padded ? MALFORMED_BASE64 : 0;
			padded = true;
			have = 0;
		} else if (v < 64) {
			*malformed |= padded ? MALFORMED_BASE64 : 0;
			bits = bits << 6 | v;
			if (have++)
				b->p[b->n++] = (char)(bits >> (have == 2 ? 4 : have == 3 ? 2 : 0));
			have %= 4;
		} else if (v == 66) {
			*malformed |= MALFORMED_BASE64;
		}
	}
	*malformed |= have ? MALFORMED_BASE64 : 0; /* cut off: readers keep or drop what is left over */
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Length of a soft line break after "=" at AT: blanks, then LF or CR LF; 0 when there is none. */
static size_t soft_break(struct slice raw, size_t at)
{
	size_t i = at + 1;
	while (i < raw.n && (raw.p[i] == ' ' || raw.p[i] == '\t' || raw.p[i] == '\r'))
		i++;
	return i == raw.n || raw.p[i] == '\n' ? i - at : 0;
}

static void decode_qp(struct buf *b, struct slice raw, char escape, bool words)
{
	size_t gap_end = 0;
	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];
		int high = c == escape && i + 2 < raw.n ? hex(raw.p[i + 1]) : -1, low = high < 0 ? -1 : hex(raw.p[i + 2]);
		if (low >= 0) {
			buf_add_char(b, (char)(high << 4 | low));
			i += 2;
		} else if (!words && c == escape && i >= gap_end && soft_break(raw, i)) {
			gap_end = i + soft_break(raw, i);
			i = gap_end;
		} else {
			buf_add_char(b, words && c == '_' ? ' ' : c);
		}
	}
}

void mime_decode(struct buf *b, enum mime_encoding encoding, unsigned *malformed, struct slice raw)
{
	if (encoding == ENCODING_BASE64)
		decode_base64(b, malformed, raw);
	else if (encoding == ENCODING_QP)
		decode_qp(b, raw, '=', false);
	else
		buf_add_slice(b, raw);
}

/* ASCII does not stand for itself in these; a name in one of them is flagged. */
static bool opaque_charset(struct slice charset)
{
	return slice_case_starts(charset, "utf-16") || slice_case_starts(charset, "utf-32") || slice_case_starts(charset, "utf-7") ||
	       slice_case_starts(charset, "ucs") || slice_case_starts(charset, "iso-10646") || slice_case_starts(charset, "unicode") ||
	       slice_case_starts(charset, "ebcdic") || slice_case_starts(charset, "ibm03") || slice_case_starts(charset, "cp03") ||
	       slice_case_starts(charset, "hz") || slice_case_starts(charset, "imap");
}

void mime_check_charset(unsigned *malformed, struct slice charset)
{
	if (opaque_charset(charset))
		*malformed |= MALFORMED_NAME;
}

/* "=?charset?B?text?=" at the start of TEXT: its length, or 0. */
static size_t take_word(struct buf *b, unsigned *malformed, struct slice text)
{
	struct slice rest = slice_from(text, 2), charset, kind, data;
	if (!slice_starts(text, "=?") || !slice_cut(&charset, &rest, '?') || !slice_cut(&kind, &rest, '?') || kind.n != 1)
		return 0;
	if (!slice_cut(&data, &rest, '?') || !rest.n || rest.p[0] != '=')
		return 0;
	mime_check_charset(malformed, charset);
	if (kind.p[0] == 'B' || kind.p[0] == 'b')
		decode_base64(b, malformed, data);
	else if (kind.p[0] == 'Q' || kind.p[0] == 'q')
		decode_qp(b, data, '=', true);
	else
		return 0;
	return (size_t)(rest.p + 1 - text.p);
}

static size_t blanks(struct slice s)
{
	size_t n = 0;
	while (n < s.n && strchr(" \t\r\n", s.p[n]) && s.p[n])
		n++;
	return n;
}

/* A word that is none costs a look to its third "?", so that a field of MIME_FIELD_MAX octets bounds the work. */
void mime_decode_words(struct buf *b, unsigned *malformed, struct slice text)
{
	bool after_word = false;
	while (text.n) {
		size_t gap = after_word ? blanks(text) : 0;
		size_t used = take_word(b, malformed, slice_from(text, gap));
		after_word = used > 0;
		if (used) {
			text = slice_from(text, gap + used);
		} else {
			buf_add_char(b, text.p[0]);
			text = slice_from(text, 1);
		}
	}
}
