/* Address lists in header fields: see addrlist.h.
 * Input is hostile: comments nest 10^5 deep, a million "<" stand in a row.  One token of look-ahead, each octet is read once (an
 * encoded word at most ENCODED_MAX octets twice), nesting is counted, nothing is copied.
 * RFC 5322 3.2, 3.4, 4.4; RFC 2047 2 and 5 (encoded words are one token even with "," or "<" inside, which occurs). */
#include "lib/addrlist.h"

#define ENCODED_MAX 255

enum { WORD = 256, QUOTED, LITERAL, END, BAD }; /* other kinds are the special itself: '<' '>' '@' ',' ';' ':' '.' */

static bool is_atext(unsigned char c)
{
	return c > 0x20 && c != 0x7f && !strchr("()<>[]:;@\\,.\"", c);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The offset after a run that begins at FROM and ends with CLOSE (a backslash takes the next octet with it); 0: not closed.
 * Where OPEN is given, runs nest. */
static size_t closed(struct slice in, size_t from, char open, char close)
{
	size_t depth = 1;
	for (size_t i = from + 1; i < in.n; i++) {
		if (in.p[i] == '\\')
			i++;
		else if (in.p[i] == close && --depth == 0)
			return i + 1;
		else if (open && in.p[i] == open)
			depth++;
	}
	return 0;
}

/* Octets of the part of an encoded word that begins at AT and ends with "?"; the "?" counts.  0: no. */
static size_t encoded_part(struct slice in, size_t at)
{
	for (size_t i = at; i < in.n && i < at + ENCODED_MAX && in.p[i] > 0x20 && in.p[i] < 0x7f; i++)
		if (in.p[i] == '?')
			return i - at + 1;
	return 0;
}

/* "=?charset?Q?text?=" at AT: its octets, or 0. */
static size_t encoded_word(struct slice in, size_t at)
{
	size_t charset, text, i = at + 2;
	if (!slice_starts(slice_from(in, at), "=?") || (charset = encoded_part(in, i)) < 2)
		return 0;
	i += charset;
	if (encoded_part(in, i) != 2 || !strchr("BbQq", in.p[i]))
		return 0;
	i += 2;
	text = encoded_part(in, i);
	i += text;
	return text && i < in.n && in.p[i] == '=' ? i + 1 - at : 0;
}

static size_t skip_cfws(struct slice in, size_t at, bool *closed_ok)
{
	while (at < in.n && (is_blank(in.p[at]) || in.p[at] == '(')) {
		size_t end = in.p[at] == '(' ? closed(in, at, '(', ')') : at + 1;
		if (end == 0) {
			*closed_ok = false;
			return at;
		}
		at = end;
	}
	return at;
}

static void bad_token(struct addrlist *l, const char *why)
{
	l->token.kind = BAD;
	l->at = l->in.n;
	l->why = why;
}

/* A bad token is the better reason. */
static int fail(struct addrlist *l, const char *why)
{
	if (l->token.kind != BAD)
		l->why = why;
	return E_SYNTAX;
}

static size_t end_of_atom(struct slice in, size_t at)
{
	at += encoded_word(in, at);
	while (at < in.n && is_atext((unsigned char)in.p[at]))
		at++;
	return at;
}

/* Take the token in hand, read the next one. */
static void advance(struct addrlist *l)
{
	struct slice in = l->in;
	bool ok = true;
	size_t at = skip_cfws(in, l->at, &ok), end;
	char c = at < in.n ? in.p[at] : 0;
	l->token.spaced = at > l->at;
	l->token.from = at;
	if (!ok) {
		bad_token(l, "a comment is not closed");
		return;
	}
	if (at == in.n) {
		l->token.kind = END;
		end = at;
	} else if (is_atext((unsigned char)c)) {
		l->token.kind = WORD;
		end = end_of_atom(in, at);
	} else if (c == '"' || c == '[') {
		l->token.kind = c == '"' ? QUOTED : LITERAL;
		end = closed(in, at, 0, c == '"' ? '"' : ']');
	} else {
		l->token.kind = c;
		end = c && strchr("<>@,;:.", c) ? at + 1 : 0;
	}
	l->token.to = l->at = end;
	if (end == 0 && in.n)
		bad_token(l, c == '"' ? "a quoted string is not closed" : c == '[' ? "a domain literal is not closed" :
			"an octet that cannot stand here");
}

void addrlist_start(struct addrlist *l, struct slice value)
{
	*l = (struct addrlist){.in = value};
	advance(l);
}

/* A run of words and dots: a display name, or a local part, or a domain. */
struct run {
	size_t from, to;
	bool any;    /* not empty */
	bool dotted; /* word *("." word) */
	bool plain;  /* no blank or comment inside */
	bool quoted; /* a quoted string among the words */
};

static void take_run(struct run *r, struct addrlist *l)
{
	int before = '.';
	*r = (struct run){.from = l->token.from, .to = l->token.from, .dotted = true, .plain = true};
	while (l->token.kind == WORD || l->token.kind == QUOTED || l->token.kind == '.') {
		if ((before == '.') == (l->token.kind == '.'))
			r->dotted = false;
		r->plain &= !(r->any && l->token.spaced);
		r->quoted |= l->token.kind == QUOTED;
		r->any = true;
		r->to = l->token.to;
		before = l->token.kind == '.' ? '.' : WORD;
		advance(l);
	}
	r->dotted &= before != '.';
}

static struct slice part(const struct addrlist *l, const struct run *r)
{
	return slice_make(l->in.p + r->from, r->to - r->from);
}

/* What follows "@".  0 or E_SYNTAX. */
static int take_domain(struct run *r, struct addrlist *l)
{
	if (l->token.kind == LITERAL) {
		*r = (struct run){.from = l->token.from, .to = l->token.to, .any = true, .plain = true};
		advance(l);
		return 0;
	}
	take_run(r, l);
	return r->any && r->dotted && !r->quoted ? 0 : fail(l, "no domain after @");
}

/* "@" domain, LOCAL came before.  1 or E_SYNTAX. */
static int take_rest(struct addrlist_item *item, struct addrlist *l, const struct run *local)
{
	struct run domain;
	if (!local->any || !local->dotted)
		return fail(l, "what stands before @ is not a local part");
	advance(l);
	if (take_domain(&domain, l))
		return E_SYNTAX;
	*item = (struct addrlist_item){part(l, local), part(l, &domain), local->plain && domain.plain};
	return 1;
}

/* obs-route: "@a,,@b:" */
static int skip_route(struct addrlist *l)
{
	struct run domain;
	bool any = false;
	while (l->token.kind == '@' || l->token.kind == ',') {
		bool at = l->token.kind == '@';
		advance(l);
		if (at && take_domain(&domain, l))
			return E_SYNTAX;
		any = true;
	}
	if (!any)
		return 0;
	if (l->token.kind != ':')
		return fail(l, "a source route without colon");
	advance(l);
	return 0;
}

/* A local part without a domain, where the caller wants those.  1, 0 or E_SYNTAX. */
static int take_bare(struct addrlist_item *item, struct addrlist *l, const struct run *local)
{
	if (!l->bare || !local->any)
		return 0;
	if (!local->dotted)
		return fail(l, "words that are no address");
	*item = (struct addrlist_item){part(l, local), {l->in.p + local->to, 0}, local->plain};
	return 1;
}

/* From "<" on.  1, 0 (no address with a domain) or E_SYNTAX. */
static int take_angle(struct addrlist_item *item, struct addrlist *l)
{
	struct run local;
	int found = 0;
	advance(l);
	if (skip_route(l))
		return E_SYNTAX;
	take_run(&local, l);
	if (l->token.kind == '@' && (found = take_rest(item, l, &local)) < 0)
		return found;
	if (l->token.kind == '>' && !found && (found = take_bare(item, l, &local)) < 0)
		return found;
	if (l->token.kind != '>')
		return fail(l, "no > after an address");
	advance(l);
	return found;
}

/* The separator after an element. */
static int take_separator(struct addrlist *l)
{
	int kind = l->token.kind;
	if (kind == END)
		return 0;
	if (kind == ';') {
		if (!l->in_group)
			return fail(l, "a semicolon outside a group");
		l->in_group = false;
		advance(l);
		kind = l->token.kind;
		if (kind == END)
			return 0;
	}
	if (kind != ',')
		return fail(l, "something other than a comma after an address");
	advance(l);
	return 0;
}

/* One mailbox, group start or empty element, and its separator.  1, 0 or E_SYNTAX. */
static int take_element(struct addrlist_item *item, struct addrlist *l)
{
	struct run words;
	int found = 0;
	bool angle;
	take_run(&words, l);
	if (l->token.kind == ':') {
		if (l->in_group || !words.any)
			return fail(l, "a colon that begins no group");
		l->in_group = true;
		advance(l);
		return 0;
	}
	if (l->token.kind == '@' && (found = take_rest(item, l, &words)) < 0)
		return found;
	angle = l->token.kind == '<';
	if (angle && (found = take_angle(item, l)) < 0)
		return found;
	if (!angle && !found && (found = take_bare(item, l, &words)) < 0)
		return found;
	return take_separator(l) < 0 ? E_SYNTAX : found;
}

int addrlist_next(struct addrlist_item *item, struct addrlist *l)
{
	while (!l->why && l->token.kind != END) {
		int found = take_element(item, l);
		if (found < 0)
			return found;
		if (found && ++l->count > ADDRLIST_MAX) {
			l->why = "too many addresses";
			return E_TOO_LONG;
		}
		if (found)
			return 1;
	}
	return l->why ? E_SYNTAX : 0;
}
