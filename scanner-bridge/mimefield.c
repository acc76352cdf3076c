/* Fields of MIME parts: see mimefield.h.  Input is hostile.  Names are only ever compared and shown, so they stay octets; what
 * matters is that every value which some reader of mail would show is among those given. */
#include "scanner-bridge/mimefield.h"

static bool token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] == 127 || strchr("()<>@,;:\\\"/[]?=", s.p[i]))
			return false;
	return s.n > 0;
}

void mime_type_parse(char type[MIME_TYPE_MAX + 1], unsigned *malformed, struct slice value)
{
	struct slice text = slice_trim(slice_upto(value, slice_find(value, ';')));
	size_t slash = slice_find(text, '/');
	bool fine = token(slice_upto(text, slash)) && token(slice_from(text, slash + 1));
	if (!fine && text.n && !slice_case_eq_str(text, "text"))
		*malformed |= MALFORMED_TYPE;
	/* "multipart/mixed (comment)" and the like: what stands before the oddity still says how readers take it apart. */
	for (size_t i = 0; !fine && i < text.n; i++)
		if (strchr(" \t\"(,", text.p[i])) {
			text = slice_upto(text, i);
			break;
		}
	if (slice_find(text, '/') == text.n || slice_copy(type, MIME_TYPE_MAX + 1, text) < 0)
		memcpy(type, "text/plain", sizeof "text/plain");
	for (char *p = type; *p; p++)
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
}

enum mime_encoding mime_encoding_parse(unsigned *malformed, struct slice value)
{
	struct slice s = slice_trim(value);
	if (slice_case_eq_str(s, "base64"))
		return ENCODING_BASE64;
	if (slice_case_eq_str(s, "quoted-printable"))
		return ENCODING_QP;
	if (!s.n || slice_case_eq_str(s, "7bit") || slice_case_eq_str(s, "8bit") || slice_case_eq_str(s, "binary"))
		return ENCODING_IDENTITY;
	*malformed |= MALFORMED_ENCODING;
	/* "base64;" or "base64 (x)": some readers decode it, so both views are looked at. */
	return slice_case_starts(s, "base64") ? ENCODING_BASE64 : slice_case_starts(s, "quoted-printable") ? ENCODING_QP : ENCODING_OTHER;
}

/* The octets of a quoted string after its first quote; *USED counts the closing quote too. */
static struct slice quoted(struct slice s, size_t *used, unsigned *malformed)
{
	size_t i = 0;
	while (i < s.n && s.p[i] != '"')
		i += s.p[i] == '\\' && i + 1 < s.n ? 2 : 1;
	if (i >= s.n)
		*malformed |= MALFORMED_TYPE;
	*used = i < s.n ? i + 1 : s.n;
	return slice_upto(s, i);
}

/* NAME, NAME*, NAME*N, NAME*N* */
static void split_name(struct mime_param *p, struct slice name, unsigned *malformed)
{
	long long section;
	size_t star = slice_find(name, '*');
	struct slice rest = slice_from(name, star + 1);
	p->section = -1;
	p->name = slice_upto(name, star);
	p->extended = star < name.n && (!rest.n || rest.p[rest.n - 1] == '*');
	if (rest.n && rest.p[rest.n - 1] == '*')
		rest.n--;
	if (star == name.n || !rest.n)
		return;
	if (slice_number(&section, rest, 0, MIME_PARAMS_MAX - 1) < 0 || (rest.p[0] == '0' && rest.n > 1))
		*malformed |= MALFORMED_PARAMETER_TWICE; /* then the value counts as a whole one */
	else
		p->section = (int)section;
}

/* One parameter off the front of *REST, up to and with its ";". */
static bool take_param(struct mime_param *p, struct slice *rest, unsigned *malformed)
{
	size_t end = slice_find(*rest, ';'), equals = slice_find(slice_upto(*rest, end), '='), used = 0;
	struct slice name = slice_trim(slice_upto(*rest, equals < end ? equals : end));
	struct slice value = slice_from(*rest, equals < end ? equals + 1 : end);
	split_name(p, name, malformed);
	while (value.n && (value.p[0] == ' ' || value.p[0] == '\t'))
		value = slice_from(value, 1);
	p->quoted = equals < end && value.n && value.p[0] == '"';
	if (p->quoted) {
		p->value = quoted(slice_from(value, 1), &used, malformed);
		value = slice_from(value, used + 1);
	}
	end = slice_find(value, ';');
	if (p->quoted && slice_trim(slice_upto(value, end)).n)
		*malformed |= MALFORMED_TYPE; /* a"b"c: readers differ */
	if (!p->quoted)
		p->value = slice_trim(slice_upto(value, end));
	if (slice_find(name, '(') < name.n || (!p->quoted && slice_find(p->value, '"') < p->value.n))
		*malformed |= MALFORMED_TYPE;
	*rest = slice_from(value, end + 1);
	return name.n > 0;
}

void mime_params_parse(struct mime_params *out, unsigned *malformed, struct slice value)
{
	struct slice rest = slice_from(value, slice_find(value, ';') + 1);
	out->count = 0;
	while (rest.n) {
		if (out->count == MIME_PARAMS_MAX) {
			*malformed |= MALFORMED_LIMIT;
			return;
		}
		out->count += take_param(&out->at[out->count], &rest, malformed);
	}
}

struct values {
	unsigned *malformed;
	mime_value *each;
	void *arg;
	size_t count;
};

/* VALUE, and what encoded words in it come to. */
static void give(struct values *v, struct slice value)
{
	v->each(v->arg, value);
	v->count++;
	for (size_t i = 0; i + 1 < value.n; i++)
		if (value.p[i] == '=' && value.p[i + 1] == '?') {
			struct buf b = BUF_INIT(MIME_FIELD_MAX * 2);
			mime_decode_words(&b, v->malformed, value);
			v->each(v->arg, buf_slice(&b));
			buf_free(&b);
			return;
		}
}

static void unescape(struct buf *b, struct slice value)
{
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] == '\\' && i + 1 < value.n)
			i++;
		buf_add_char(b, value.p[i]);
	}
}

/* "%41" at the start of S: its octet, else -1. */
static int percent_octet(struct slice s)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *high = s.n > 2 && s.p[0] == '%' ? memchr(digits, s.p[1], 32) : NULL;
	const char *low = high ? memchr(digits, s.p[2], 32) : NULL;
	return low ? (int)((high - digits) % 16 * 16 + (low - digits) % 16) : -1;
}

static void percent(struct buf *b, struct slice value)
{
	while (value.n) {
		int octet = percent_octet(value);
		buf_add_char(b, octet < 0 ? value.p[0] : (char)octet);
		value = slice_from(value, octet < 0 ? 1 : 3);
	}
}

/* One piece decoded; the first of an extended value begins with charset'language'. */
static void add_piece(struct buf *b, const struct mime_param *p, bool first, unsigned *malformed)
{
	struct slice value = p->value;
	size_t one = slice_find(value, '\''), two = slice_find(slice_from(value, one + 1), '\'');
	if (p->extended && first && one + 1 + two < value.n) {
		mime_check_charset(malformed, slice_upto(value, one));
		value = slice_from(value, one + 1 + two + 1);
	}
	if (p->extended)
		percent(b, value);
	else if (p->quoted)
		unescape(b, value);
	else
		buf_add_slice(b, value);
}

/* A value in one piece: as given, decoded, and the first word of an unquoted value with blanks. */
static void give_whole(struct values *v, const struct mime_param *p)
{
	struct buf b = BUF_INIT(MIME_FIELD_MAX);
	struct slice rest = p->value, word;
	add_piece(&b, p, true, v->malformed);
	give(v, buf_slice(&b));
	if (!slice_eq(buf_slice(&b), p->value))
		give(v, p->value);
	if (!p->quoted && slice_word(&word, &rest) && word.n < p->value.n)
		give(v, word);
	buf_free(&b);
}

/* The sections in the order of their numbers; gaps, repeats and other orders are flagged, as readers differ there. */
static void give_joined(struct values *v, const struct mime_params *p, const char *name)
{
	const struct mime_param *by[MIME_PARAMS_MAX] = {0};
	struct buf b = BUF_INIT(MIME_FIELD_MAX);
	int last = -1, most = -1;
	size_t found = 0;
	for (size_t i = 0; i < p->count; i++) {
		const struct mime_param *one = &p->at[i];
		if (one->section < 0 || !slice_case_eq_str(one->name, name))
			continue;
		if (by[one->section] || one->section != last + 1)
			*v->malformed |= MALFORMED_PARAMETER_TWICE;
		last = one->section;
		most = last > most ? last : most;
		by[last] = one;
		found++;
	}
	for (int i = 0; i <= most; i++)
		if (by[i])
			add_piece(&b, by[i], i == 0, v->malformed);
	if (found)
		give(v, buf_slice(&b));
	buf_free(&b);
}

size_t mime_param_values(const struct mime_params *p, const char *name, unsigned *malformed, mime_value *each, void *arg)
{
	struct values v = {malformed, each, arg, 0};
	size_t plain = 0, extended = 0;
	for (size_t i = 0; i < p->count; i++) {
		if (p->at[i].section >= 0 || !slice_case_eq_str(p->at[i].name, name))
			continue;
		give_whole(&v, &p->at[i]);
		extended += p->at[i].extended;
		plain += !p->at[i].extended;
	}
	if (plain > 1 || extended > 1)
		*malformed |= MALFORMED_PARAMETER_TWICE;
	give_joined(&v, p, name);
	return v.count;
}
