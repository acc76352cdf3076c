/* Mail addresses: see addr.h.
 * Input is whatever a peer or a control file says; it is scanned once from left to right, each scanner below returns the octets it
 * accepts (0: none).  Grammar first, lengths after it, so that E_TOO_LONG is only said of what is otherwise an address.
 * RFC 5321 4.1.2, 4.1.3, 4.5.3.1; RFC 6531 3.3; RFC 5891 for what no U-label may contain. */
#include "lib/addr.h"

#include <arpa/inet.h>

#define LOCAL_MAX 64
#define DOMAIN_MAX 255
#define LABEL_MAX 63
#define PATH_MAX_OCTETS 256 /* with its brackets */

static bool alnum(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool atext(unsigned char c)
{
	return alnum(c) || (c && c < 0x80 && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static unsigned char octet(struct slice s, size_t at)
{
	return at < s.n ? (unsigned char)s.p[at] : 0;
}

/* The code point of the UTF-8 sequence at AT and its octets, 2 to 4; 0 when it is none (overlong, surrogate, cut off). */
static size_t utf8_at(unsigned *code, struct slice s, size_t at)
{
	unsigned char c = octet(s, at);
	size_t n = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
	unsigned v = n == 2 ? c & 0x1fu : n == 3 ? c & 0x0fu : c & 0x07u;
	for (size_t i = 1; i < n; i++) {
		unsigned char k = octet(s, at + i);
		if ((k & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (k & 0x3fu);
	}
	if ((n == 3 && (v < 0x800 || (v >= 0xd800 && v <= 0xdfff))) || (n == 4 && (v < 0x10000 || v > 0x10ffff)))
		return 0;
	*code = v;
	return n;
}

/* No U-label contains these (RFC 5892 DISALLOWED): they are blanks, controls, or forms that some software takes for "." or "@". */
static bool never_in_label(unsigned v)
{
	return v < 0xb7 || (v >= 0x2000 && v <= 0x206f && v != 0x200c && v != 0x200d) || (v >= 0x2100 && v <= 0x214d) ||
		(v >= 0x2460 && v <= 0x24ff) || (v >= 0x3000 && v <= 0x3004) || (v >= 0xe000 && v <= 0xf8ff) ||
		(v >= 0xfe00 && v <= 0xffff) || v >= 0xe0000;
}

static size_t wide(struct slice s, size_t at, bool utf8)
{
	unsigned code;
	return utf8 ? utf8_at(&code, s, at) : 0;
}

static size_t label_octets(struct slice s, size_t at, bool utf8)
{
	unsigned code;
	size_t n;
	if (alnum(octet(s, at)) || octet(s, at) == '-')
		return 1;
	n = utf8 ? utf8_at(&code, s, at) : 0;
	return n && !never_in_label(code) ? n : 0;
}

static size_t scan_dot_string(struct slice in, bool utf8)
{
	size_t at = 0, n;
	bool open = false; /* an atom has begun: a dot or the end may follow */
	for (;;) {
		n = atext(octet(in, at)) ? 1 : wide(in, at, utf8);
		if (n == 0 && !(open && octet(in, at) == '.'))
			return open ? at : 0;
		open = n > 0;
		at += n ? n : 1;
	}
}

static size_t scan_quoted(struct slice in, bool utf8)
{
	size_t at = 1, n;
	if (octet(in, 0) != '"')
		return 0;
	while (octet(in, at) != '"') {
		if (octet(in, at) == '\\')
			at++;
		n = octet(in, at) >= 0x20 && octet(in, at) <= 0x7e ? 1 : wide(in, at, utf8);
		if (n == 0)
			return 0;
		at += n;
	}
	return at + 1;
}

static size_t scan_local(struct slice in, bool utf8)
{
	return octet(in, 0) == '"' ? scan_quoted(in, utf8) : scan_dot_string(in, utf8);
}

/* Labels with dots between them and at most one at the end. */
static size_t scan_host(struct slice in, bool utf8, bool *too_long)
{
	size_t at = 0;
	for (;;) {
		size_t start = at, n;
		while ((n = label_octets(in, at, utf8)) > 0)
			at += n;
		if (at == start)
			return at;
		if (in.p[start] == '-' || in.p[at - 1] == '-')
			return 0;
		*too_long |= at - start > LABEL_MAX;
		if (octet(in, at) != '.')
			return at;
		at++;
	}
}

static size_t scan_literal(struct slice in)
{
	struct ip ip;
	size_t end = slice_find(slice_upto(in, INET6_ADDRSTRLEN + 8), ']');
	struct slice text = slice_from(slice_upto(in, end), 1);
	bool six = slice_case_starts(text, "IPv6:");
	if (end >= in.n || in.p[end] != ']')
		return 0;
	if (six)
		text = slice_from(text, 5);
	if (six != (slice_find(text, ':') < text.n) || ip_parse(&ip, text))
		return 0;
	return end + 1;
}

static size_t scan_domain(struct slice in, bool utf8, bool *too_long)
{
	size_t n = octet(in, 0) == '[' ? scan_literal(in) : scan_host(in, utf8, too_long);
	*too_long |= n > DOMAIN_MAX;
	return n;
}

/* local@domain at the start of IN; a bare <postmaster> only where BARE is allowed. */
static size_t scan_mailbox(struct addr *out, struct slice in, bool utf8, bool bare, bool *too_long)
{
	size_t local = scan_local(in, utf8), domain;
	out->local = slice_upto(in, local);
	out->domain = slice_make(in.p + local, 0);
	if (bare && octet(in, local) == '>' && slice_case_eq_str(out->local, "postmaster"))
		return local;
	if (local == 0 || octet(in, local) != '@')
		return 0;
	domain = scan_domain(slice_from(in, local + 1), utf8, too_long);
	if (domain == 0)
		return 0;
	out->domain = slice_make(in.p + local + 1, domain);
	*too_long |= local > LOCAL_MAX;
	return local + 1 + domain;
}

/* "@a,@b:" */
static size_t scan_route(struct slice in, bool utf8, bool *too_long)
{
	size_t at = 0, n;
	while (octet(in, at) == '@') {
		n = scan_host(slice_from(in, at + 1), utf8, too_long);
		if (n == 0)
			return 0;
		at += 1 + n;
		if (octet(in, at) == ':')
			return at + 1;
		if (octet(in, at) != ',')
			return 0;
		at++;
	}
	return 0;
}

int addr_parse_path(struct addr *out, size_t *used, struct slice in, bool utf8)
{
	struct addr a = {slice_make(in.p, 0), slice_make(in.p, 0)};
	bool too_long = false;
	size_t at = 1, n;
	if (octet(in, 0) != '<')
		return E_SYNTAX;
	if (octet(in, at) != '>') {
		bool routed = octet(in, at) == '@';
		n = routed ? scan_route(slice_from(in, at), utf8, &too_long) : 0;
		if (routed && n == 0)
			return E_SYNTAX;
		at += n;
		n = scan_mailbox(&a, slice_from(in, at), utf8, !routed, &too_long);
		at += n;
		if (n == 0 || octet(in, at) != '>')
			return E_SYNTAX;
	}
	if (too_long || at + 1 > PATH_MAX_OCTETS)
		return E_TOO_LONG;
	*out = a;
	*used = at + 1;
	return 0;
}

int addr_parse_mailbox(struct addr *out, struct slice in, bool utf8)
{
	struct addr a;
	bool too_long = false;
	size_t n = scan_mailbox(&a, in, utf8, false, &too_long);
	if (n == 0 || n != in.n)
		return E_SYNTAX;
	if (too_long || n > PATH_MAX_OCTETS - 2)
		return E_TOO_LONG;
	*out = a;
	return 0;
}

int addr_check_domain(struct slice domain, bool utf8)
{
	bool too_long = false;
	size_t n = scan_domain(domain, utf8, &too_long);
	if (n == 0 || n != domain.n)
		return E_SYNTAX;
	return too_long ? E_TOO_LONG : 0;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* What stands between the quotes would do as a dot-string. */
static bool quotes_not_needed(struct slice inner)
{
	bool open = false;
	for (size_t i = 0; i < inner.n; i++) {
		bool pair = inner.p[i] == '\\';
		unsigned char c = octet(inner, i + pair);
		i += pair;
		if (!(atext(c) || c >= 0x80 || (c == '.' && open)))
			return false;
		open = c != '.';
	}
	return open;
}

static void add_local(struct buf *b, struct slice local, bool fold_case)
{
	bool quoted = local.n >= 2 && local.p[0] == '"' && local.p[local.n - 1] == '"';
	struct slice inner = quoted ? slice_make(local.p + 1, local.n - 2) : local;
	bool quote = quoted && !quotes_not_needed(inner);
	if (quote)
		buf_add_char(b, '"');
	for (size_t i = 0; i < inner.n; i++) {
		if (quoted && inner.p[i] == '\\' && i + 1 < inner.n)
			i++;
		if (quote && (inner.p[i] == '"' || inner.p[i] == '\\'))
			buf_add_char(b, '\\');
		buf_add_char(b, fold_case ? lower(inner.p[i]) : inner.p[i]);
	}
	if (quote)
		buf_add_char(b, '"');
}

static void add_address(struct buf *b, const struct addr *a, bool fold_case)
{
	struct slice domain = a->domain;
	add_local(b, a->local, fold_case);
	if (domain.n && domain.p[domain.n - 1] == '.')
		domain.n--;
	if (domain.n)
		buf_add_char(b, '@');
	for (size_t i = 0; i < domain.n; i++)
		buf_add_char(b, lower(domain.p[i]));
}

void addr_canonical(struct buf *b, const struct addr *a)
{
	add_address(b, a, false);
}

void addr_lookup_key(struct buf *b, const struct addr *a)
{
	add_address(b, a, true);
}

struct slice addr_domain_of(struct slice mailbox)
{
	return slice_from(mailbox, slice_rfind(mailbox, '@') + 1);
}

bool addr_domain_matches(struct slice domain, struct slice pattern)
{
	if (domain.n == 0 || pattern.n == 0)
		return false;
	if (pattern.p[0] == '.' && pattern.n > 1 && domain.n > pattern.n)
		domain = slice_from(domain, domain.n - pattern.n);
	return slice_case_eq(domain, pattern);
}
