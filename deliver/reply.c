/* The parser of replies: see reply.h.  Runs in postern-remote and postern-lmtp; every octet comes from a stranger.  RFC 5321 4.2, RFC 2034 4. */
#include "deliver/reply.h"

#include <stdio.h>

void reply_begin(struct reply *r)
{
	memset(r, 0, sizeof *r);
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Octets of the enhanced code at the start of TEXT (class "." 1-3 digits "." 1-3 digits, then a blank or the end); 0: none. */
static size_t enhanced_octets(struct slice text, char class)
{
	size_t i = 2, n;
	if (text.n < 5 || text.p[0] != class || text.p[1] != '.')
		return 0;
	for (n = 0; i < text.n && digit(text.p[i]); i++)
		n++;
	if (n < 1 || n > 3 || i >= text.n || text.p[i++] != '.')
		return 0;
	for (n = 0; i < text.n && digit(text.p[i]); i++)
		n++;
	return n >= 1 && n <= 3 && (i == text.n || text.p[i] == ' ') ? i : 0;
}

static void add(struct reply *r, struct slice s)
{
	size_t n = strlen(r->text);
	for (size_t i = 0; i < s.n && n < REPLY_TEXT_MAX; i++)
		r->text[n++] = s.p[i] == '\t' ? ' ' : s.p[i] >= 0x20 && s.p[i] <= 0x7e ? s.p[i] : '?';
	r->text[n] = 0;
}

static void first_line(struct reply *r, struct slice text, size_t enhanced)
{
	char start[5];
	snprintf(start, sizeof start, "%d ", r->code);
	if (enhanced)
		memcpy(r->enhanced, text.p, enhanced);
	else
		snprintf(r->enhanced, sizeof r->enhanced, "%c.0.0", start[0]);
	add(r, slice_str(start));
	add(r, text.n ? text : slice_str("(no text)"));
}

int reply_add(struct reply *r, struct slice line, struct slice *text, struct err *e)
{
	if (r->lines >= REPLY_LINES_MAX)
		return err_set(e, E_PEER, "a reply of more than %d lines", REPLY_LINES_MAX);
	if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' || !digit(line.p[1]) || !digit(line.p[2]) || (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-'))
		return err_set(e, E_PEER, "what is no reply at all");
	int code = (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + line.p[2] - '0';
	if (r->lines && code != r->code)
		return err_set(e, E_PEER, "a reply of several lines with different codes");
	struct slice rest = slice_from(line, 4);
	size_t enhanced = enhanced_octets(rest, line.p[0]);
	r->code = code;
	if (r->lines++ == 0)
		first_line(r, rest, enhanced);
	else if (rest.n > enhanced) {
		add(r, slice_str(" "));
		add(r, slice_trim(slice_from(rest, enhanced)));
	}
	if (text)
		*text = rest;
	return line.n > 3 && line.p[3] == '-';
}
