/* Events as JSON (RFC 8259): see event.h.  The lines come from whoever feeds `postern skim replay`, and the texts in them from anybody: one pass,
 * no memory, every length bounded, nesting counted. */
#include "skim/event.h"

#include <stddef.h>
#include <stdlib.h>

#define DEPTH_MAX 16

struct cursor {
	char *p, *end;
};

static void blanks(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\r' || *c->p == '\n'))
		c->p++;
}

static bool take(struct cursor *c, char want)
{
	blanks(c);
	if (c->p == c->end || *c->p != want)
		return false;
	c->p++;
	return true;
}

static int hex4(unsigned *out, struct cursor *c)
{
	*out = 0;
	if (c->end - c->p < 4)
		return E_SYNTAX;
	for (int i = 0; i < 4; i++) {
		char d = *c->p++;
		unsigned v = d >= '0' && d <= '9' ? (unsigned)(d - '0') : d >= 'a' && d <= 'f' ? (unsigned)(d - 'a' + 10) :
			d >= 'A' && d <= 'F' ? (unsigned)(d - 'A' + 10) : 16;
		if (v == 16)
			return E_SYNTAX;
		*out = *out << 4 | v;
	}
	return 0;
}

static char *put_utf8(char *to, unsigned u)
{
	if (u < 0x80) {
		*to++ = (char)u;
	} else if (u < 0x800) {
		*to++ = (char)(0xc0 | u >> 6);
		*to++ = (char)(0x80 | (u & 0x3f));
	} else if (u < 0x10000) {
		*to++ = (char)(0xe0 | u >> 12);
		*to++ = (char)(0x80 | (u >> 6 & 0x3f));
		*to++ = (char)(0x80 | (u & 0x3f));
	} else {
		*to++ = (char)(0xf0 | u >> 18);
		*to++ = (char)(0x80 | (u >> 12 & 0x3f));
		*to++ = (char)(0x80 | (u >> 6 & 0x3f));
		*to++ = (char)(0x80 | (u & 0x3f));
	}
	return to;
}

/* \uXXXX, behind the "u".  A lone surrogate becomes U+FFFD. */
static int unicode(char **to, struct cursor *c)
{
	unsigned u, low;
	if (hex4(&u, c))
		return E_SYNTAX;
	if (u >= 0xd800 && u < 0xdc00 && c->end - c->p >= 6 && c->p[0] == '\\' && c->p[1] == 'u') {
		struct cursor ahead = {c->p + 2, c->end};
		if (hex4(&low, &ahead))
			return E_SYNTAX;
		if (low >= 0xdc00 && low < 0xe000) {
			c->p = ahead.p;
			u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
		}
	}
	*to = put_utf8(*to, u >= 0xd800 && u < 0xe000 ? 0xfffd : u);
	return 0;
}

static int escape(char **to, struct cursor *c)
{
	static const char from[] = "\"\\/bfnrt", becomes[] = "\"\\/\b\f\n\r\t";
	if (c->p == c->end)
		return E_SYNTAX;
	char k = *c->p++;
	if (k == 'u')
		return unicode(to, c);
	const char *at = k ? strchr(from, k) : NULL;
	if (!at)
		return E_SYNTAX;
	*(*to)++ = becomes[at - from];
	return 0;
}

/* A string behind its first quote; unescaped in place, which never makes it longer. */
static int string(struct slice *out, struct cursor *c)
{
	char *start = c->p, *to = c->p;
	while (c->p < c->end && *c->p != '"') {
		if ((unsigned char)*c->p < 0x20)
			return E_SYNTAX;
		if (*c->p != '\\') {
			*to++ = *c->p++;
			continue;
		}
		c->p++;
		if (escape(&to, c))
			return E_SYNTAX;
	}
	if (c->p == c->end)
		return E_SYNTAX;
	c->p++;
	*out = slice_make(start, (size_t)(to - start));
	return 0;
}

/* The end of a string behind its first quote, which stays as it is. */
static int skip_string(struct cursor *c)
{
	for (; c->p < c->end && *c->p != '"'; c->p++)
		if ((unsigned char)*c->p < 0x20 || (*c->p == '\\' && ++c->p == c->end))
			return E_SYNTAX;
	return c->p++ < c->end ? 0 : E_SYNTAX;
}

/* A number, true, false, null. */
static struct slice bare(struct cursor *c)
{
	char *start = c->p;
	while (c->p < c->end && (*c->p == '+' || *c->p == '-' || *c->p == '.' || (*c->p >= '0' && *c->p <= '9') || (*c->p >= 'a' && *c->p <= 'z') || *c->p == 'E'))
		c->p++;
	return slice_make(start, (size_t)(c->p - start));
}

static bool is_number(struct slice s)
{
	size_t i = s.n && s.p[0] == '-', digits = i;
	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	if (i == digits || (s.p[digits] == '0' && i > digits + 1))
		return false;
	if (i < s.n && s.p[i] == '.')
		for (i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
			;
	if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E'))
		for (i += i + 1 < s.n && (s.p[i + 1] == '-' || s.p[i + 1] == '+') ? 2 : 1; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
			;
	return i == s.n && s.p[s.n - 1] >= '0' && s.p[s.n - 1] <= '9';
}

static bool is_word(struct slice s)
{
	return slice_eq_str(s, "true") || slice_eq_str(s, "false") || slice_eq_str(s, "null");
}

/* Any value, kept as it is.  Objects and arrays are only counted and their strings walked over. */
static int skip(struct slice *out, struct cursor *c)
{
	char *start = c->p;
	int depth = 0;
	do {
		blanks(c);
		if (c->p == c->end)
			return E_SYNTAX;
		if (*c->p == '{' || *c->p == '[') {
			c->p++;
			if (++depth > DEPTH_MAX)
				return E_TOO_LONG;
		} else if (*c->p == '}' || *c->p == ']') {
			c->p++;
			if (--depth < 0)
				return E_SYNTAX;
		} else if (depth && (*c->p == ',' || *c->p == ':')) {
			c->p++;
		} else if (*c->p == '"') {
			c->p++;
			if (skip_string(c))
				return E_SYNTAX;
		} else {
			struct slice s = bare(c);
			if (!is_number(s) && !is_word(s))
				return E_SYNTAX;
		}
	} while (depth);
	*out = slice_make(start, (size_t)(c->p - start));
	return 0;
}

enum kind { RAW, TEXT, NAME, NUMBER, BOOL, TYPE, TIME };
static const struct key {
	const char *name;
	enum kind kind;
	size_t at;
} keys[] = {
	{"id", RAW, offsetof(struct skim_event, id)},
	{"time", TIME, offsetof(struct skim_event, time_text)},
	{"type", TYPE, 0},
	{"user", NAME, offsetof(struct skim_event, user)},
	{"class", TEXT, offsetof(struct skim_event, class)},
	{"ip", TEXT, offsetof(struct skim_event, ip)},
	{"service", TEXT, offsetof(struct skim_event, service)},
	{"success", BOOL, 0},
	{"client", TEXT, offsetof(struct skim_event, client)},
	{"mail_from", NAME, offsetof(struct skim_event, mail_from)},
	{"header_from", TEXT, offsetof(struct skim_event, header_from)},
	{"reply_to", TEXT, offsetof(struct skim_event, reply_to)},
	{"recipients", NUMBER, offsetof(struct skim_event, recipients)},
	{"external", NUMBER, offsetof(struct skim_event, external)},
	{"unknown_recipients", NUMBER, offsetof(struct skim_event, unknown_recipients)},
	{"new_recipients", NUMBER, offsetof(struct skim_event, new_recipients)},
	{"size", NUMBER, offsetof(struct skim_event, size)},
	{"subject_hash", TEXT, offsetof(struct skim_event, subject_hash)},
	{"body_hash", TEXT, offsetof(struct skim_event, body_hash)},
	{"url_host", TEXT, offsetof(struct skim_event, url_host)},
	{"peer", TEXT, offsetof(struct skim_event, peer)},
	{"verdict", TEXT, offsetof(struct skim_event, verdict)},
};

static int set_text(struct skim_event *ev, const struct key *k, struct slice s, struct err *e)
{
	if (k->kind == NAME && s.n > ADDRESS_MAX)
		return err_set(e, E_TOO_LONG, "%s is longer than %d octets", k->name, ADDRESS_MAX);
	if (k->kind == TIME && event_time(&ev->time, s))
		return err_set(e, E_SYNTAX, "time is not of the form 2026-11-22T10:36:00Z (RFC 3339)");
	memcpy((char *)ev + k->at, &(struct slice){s.p, s.n < EVENT_FIELD_MAX ? s.n : EVENT_FIELD_MAX}, sizeof s);
	return 0;
}

static int set_type(struct skim_event *ev, struct slice s, bool *typed, struct err *e)
{
	*typed = true;
	ev->send = slice_eq_str(s, "send");
	return ev->send || slice_eq_str(s, "login") ? 0 : err_set(e, E_SYNTAX, "type is neither login nor send");
}

static int set_number(struct skim_event *ev, const struct key *k, struct slice s, struct err *e)
{
	long long v;
	if (slice_number(&v, s, 0, 1000000000000000))
		return err_set(e, E_SYNTAX, "%s is not a whole number", k->name);
	memcpy((char *)ev + k->at, &(long){(long)v}, sizeof(long));
	return 0;
}

static int set_bool(struct skim_event *ev, const struct key *k, struct slice s, struct err *e)
{
	ev->success = slice_eq_str(s, "true");
	return ev->success || slice_eq_str(s, "false") ? 0 : err_set(e, E_SYNTAX, "%s is neither true nor false", k->name);
}

static int unquote(struct slice *s, bool *quoted, struct err *e)
{
	*quoted = s->n && s->p[0] == '"';
	if (!*quoted)
		return 0;
	char *p = (char *)(uintptr_t)s->p;
	struct cursor c = {p + 1, p + s->n};
	return string(s, &c) ? err_set(e, E_SYNTAX, "a string has a wrong escape") : 0;
}

static int set(struct skim_event *ev, const struct key *k, struct slice s, bool *typed, struct err *e)
{
	bool quoted;
	if (slice_eq_str(s, "null"))
		return 0;
	if (s.n && (s.p[0] == '{' || s.p[0] == '['))
		return err_set(e, E_SYNTAX, "%s is neither text nor a number", k->name);
	if (k->kind == RAW) {
		ev->id = slice_upto(s, s.n > EVENT_FIELD_MAX ? 0 : s.n);
		return 0;
	}
	int rc = unquote(&s, &quoted, e);
	if (rc)
		return rc;
	if (k->kind == NUMBER || k->kind == BOOL) {
		if (quoted)
			return err_set(e, E_SYNTAX, "%s stands in quotes", k->name);
		return k->kind == NUMBER ? set_number(ev, k, s, e) : set_bool(ev, k, s, e);
	}
	return k->kind == TYPE ? set_type(ev, s, typed, e) : set_text(ev, k, s, e);
}

static int member(struct skim_event *ev, struct cursor *c, bool *typed, struct err *e)
{
	struct slice name, v;
	if (!take(c, '"') || string(&name, c))
		return err_set(e, E_SYNTAX, "a key in double quotes is wanted");
	if (!take(c, ':'))
		return err_set(e, E_SYNTAX, "a colon is wanted after a key");
	blanks(c);
	int rc = skip(&v, c);
	if (rc)
		return err_set(e, rc, rc == E_TOO_LONG ? "nested too deep" : "a value is not JSON");
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (slice_eq_str(name, keys[i].name))
			return set(ev, &keys[i], v, typed, e);
	return 0;
}

int event_parse(struct skim_event *out, char *line, size_t n, struct err *e)
{
	struct cursor c = {line, line + n};
	bool typed = false;
	int rc = 0;
	*out = (struct skim_event){.time = INT64_MIN, .success = true, .recipients = EVENT_NONE, .external = EVENT_NONE,
		.unknown_recipients = EVENT_NONE, .new_recipients = EVENT_NONE, .size = EVENT_NONE, .swept = EVENT_NONE};
	if (n > EVENT_LINE_MAX)
		return err_set(e, E_TOO_LONG, "longer than %d octets", EVENT_LINE_MAX);
	if (!take(&c, '{'))
		return err_set(e, E_SYNTAX, "not a JSON object");
	if (!take(&c, '}')) {
		do
			rc = member(out, &c, &typed, e);
		while (rc == 0 && take(&c, ','));
		if (rc)
			return rc;
		if (!take(&c, '}'))
			return err_set(e, E_SYNTAX, "the object does not end");
	}
	blanks(&c);
	if (c.p != c.end)
		return err_set(e, E_SYNTAX, "there is something after the object");
	if (!typed)
		out->send = out->recipients != EVENT_NONE || out->mail_from.n || out->header_from.n;
	return 0;
}

/* Days since 1970 in the Gregorian calendar. */
static int64_t days(int64_t y, int64_t m, int64_t d)
{
	y -= m <= 2;
	int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool digits(long long *out, struct slice s, size_t at, size_t n, long long least, long long most)
{
	return at + n <= s.n && slice_number(out, slice_make(s.p + at, n), least, most) == 0;
}

/* What stands after the seconds: fraction, then Z or an offset. */
static int zone(int64_t *minutes, struct slice s)
{
	long long h, m;
	size_t i = 0;
	if (s.n && s.p[0] == '.')
		for (i = 1; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
			;
	if (i == 1)
		return E_SYNTAX;
	s = slice_from(s, i);
	*minutes = 0;
	if (s.n == 1 && (s.p[0] == 'Z' || s.p[0] == 'z'))
		return 0;
	if (s.n != 6 || (s.p[0] != '+' && s.p[0] != '-') || s.p[3] != ':' || !digits(&h, s, 1, 2, 0, 23) || !digits(&m, s, 4, 2, 0, 59))
		return E_SYNTAX;
	*minutes = (s.p[0] == '-' ? 1 : -1) * (h * 60 + m);
	return 0;
}

int event_time(int64_t *out, struct slice s)
{
	static const int length[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	long long y, mo, d, h, mi, sec;
	int64_t minutes;
	if (s.n < 20 || s.p[4] != '-' || s.p[7] != '-' || (s.p[10] != 'T' && s.p[10] != 't' && s.p[10] != ' ') || s.p[13] != ':' || s.p[16] != ':')
		return E_SYNTAX;
	if (!digits(&y, s, 0, 4, 0, 9999) || !digits(&mo, s, 5, 2, 1, 12) || !digits(&d, s, 8, 2, 1, 31) || !digits(&h, s, 11, 2, 0, 23) ||
		!digits(&mi, s, 14, 2, 0, 59) || !digits(&sec, s, 17, 2, 0, 60) || zone(&minutes, slice_from(s, 19)))
		return E_SYNTAX;
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	if (d > length[mo - 1] + (mo == 2 && leap))
		return E_SYNTAX;
	*out = days(y, mo, d) * 86400 + h * 3600 + (mi + minutes) * 60 + sec;
	return 0;
}

const char *action_name(enum skim_action a)
{
	static const char *const name[] = {"pass", "log", "hold", "stop", "lock"};
	return name[a];
}

/* Octets of the UTF-8 character at S, 0: it is none (RFC 3629 4). */
static size_t utf8(struct slice s)
{
	unsigned char c = (unsigned char)s.p[0], d = s.n > 1 ? (unsigned char)s.p[1] : 0;
	size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
	if (n > s.n || (c == 0xe0 && d < 0xa0) || (c == 0xed && d >= 0xa0) || (c == 0xf0 && d < 0x90) || (c == 0xf4 && d >= 0x90))
		return 0;
	for (size_t i = 1; i < n; i++)
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

void json_escape(struct buf *b, struct slice s)
{
	while (s.n) {
		size_t n = utf8(s);
		unsigned char c = (unsigned char)s.p[0];
		if (n == 0)
			buf_add_str(b, "\\ufffd");
		else if (c == '"' || c == '\\')
			buf_add_format(b, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_add_format(b, "\\u%04x", c);
		else
			buf_add(b, s.p, n);
		s = slice_from(s, n ? n : 1);
	}
}
