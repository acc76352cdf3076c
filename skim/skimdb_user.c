/* Users as octets: see skimdb_user.h.  The table of columns is the format; a tag is never used again for something else.  What is read may be damaged: every
 * length, count and range is checked, and a user that makes no sense is none. */
#include "skim/skimdb_user.h"

#include <stddef.h>
#include <stdlib.h>

enum base { BASE_USER, BASE_LOGIN, BASE_SENT, BASE_TEXT, BASE_COUNTS };
enum { TAG_STATE = 7, TAG_GIVEN_BACK = 11, TAG_LOCATED = 59, TAG_HIT = 100, TAG_MARK = 101 };
#define TIME_MOST ((uint64_t)1 << 41) /* zigzag: seconds before and after 1970 */
#define POINTS_MOST 100000

static const struct column {
	unsigned char tag;
	enum base base;
	size_t at, stride;    /* of the first number; from one to the next */
	unsigned width;       /* octets of a number; negative ones are kept as their two's complement, zigzag */
	bool sign;
	unsigned count;       /* numbers; of an array: its limit */
} columns[] = {
#define U(tag, field, is_signed) {tag, BASE_USER, offsetof(struct user, field), 0, sizeof(((struct user *)0)->field), is_signed, 1}
#define L(tag, base, list, limit, type, field, is_signed) {tag, base, (base) == BASE_USER ? offsetof(struct user, list) + offsetof(type, field) : offsetof(type, field), \
	sizeof(type), sizeof(((type *)0)->field), is_signed, limit}
#define A(tag, field, is_signed) {tag, BASE_USER, offsetof(struct user, field), sizeof(((struct user *)0)->field[0]), sizeof(((struct user *)0)->field[0]), is_signed, \
	sizeof(((struct user *)0)->field) / sizeof(((struct user *)0)->field[0])}
#define C(tag, field, is_signed) {tag, BASE_COUNTS, offsetof(struct send_counts, field), sizeof(((struct send_counts *)0)->field[0]), \
	sizeof(((struct send_counts *)0)->field[0]), is_signed, sizeof(((struct send_counts *)0)->field) / sizeof(((struct send_counts *)0)->field[0])}
	U(1, first, true), U(2, last, true), U(3, logins_total, false), U(4, failing, true), U(5, failures, false), A(6, failure_nets, false),
	U(7, state, false), U(8, since, true), U(9, recovering_until, true), A(10, code, false), U(11, given_back, false),
	L(12, BASE_USER, place, PLACES_MAX, struct known_place, country, false), L(13, BASE_USER, place, PLACES_MAX, struct known_place, days, false),
	L(14, BASE_USER, place, PLACES_MAX, struct known_place, last_day, false), L(15, BASE_USER, place, PLACES_MAX, struct known_place, asn, false),
	L(16, BASE_USER, client, CLIENTS_MAX, struct known, hash, false), L(17, BASE_USER, client, CLIENTS_MAX, struct known, days, false),
	L(18, BASE_USER, client, CLIENTS_MAX, struct known, last_day, false),
	L(19, BASE_USER, from, FROMS_MAX, struct known, hash, false), L(20, BASE_USER, from, FROMS_MAX, struct known, days, false),
	L(21, BASE_USER, from, FROMS_MAX, struct known, last_day, false),
	L(22, BASE_USER, host, HOSTS_MAX, struct known, hash, false), L(23, BASE_USER, host, HOSTS_MAX, struct known, days, false),
	L(24, BASE_USER, host, HOSTS_MAX, struct known, last_day, false),
	L(25, BASE_USER, reply_to, REPLIES_MAX, struct known, hash, false), L(26, BASE_USER, reply_to, REPLIES_MAX, struct known, days, false),
	L(27, BASE_USER, reply_to, REPLIES_MAX, struct known, last_day, false),
	A(28, hours, false), A(29, usual_day, false), U(30, today, false), U(31, today_day, false), A(32, travel, false), U(33, travel_until, true),
	U(34, reported, true), U(35, reports, false), A(36, class, false), U(37, logins, false), U(38, sents, false),
	/* arrays of their own, behind their counts */
	L(50, BASE_LOGIN, login, LOGINS_MAX, struct login, time, true), L(51, BASE_LOGIN, login, LOGINS_MAX, struct login, first, true),
	{52, BASE_LOGIN, offsetof(struct login, ip), sizeof(struct login), 8, false, LOGINS_MAX},
	{53, BASE_LOGIN, offsetof(struct login, ip) + 8, sizeof(struct login), 8, false, LOGINS_MAX},
	L(54, BASE_LOGIN, login, LOGINS_MAX, struct login, country, false), L(55, BASE_LOGIN, login, LOGINS_MAX, struct login, radius_km, false),
	L(56, BASE_LOGIN, login, LOGINS_MAX, struct login, latitude, true), L(57, BASE_LOGIN, login, LOGINS_MAX, struct login, longitude, true),
	L(58, BASE_LOGIN, login, LOGINS_MAX, struct login, asn, false), L(59, BASE_LOGIN, login, LOGINS_MAX, struct login, located, false),
	L(60, BASE_LOGIN, login, LOGINS_MAX, struct login, kinds, false),
	L(70, BASE_SENT, sent, SENDS_MAX, struct sent, time, true), L(71, BASE_SENT, sent, SENDS_MAX, struct sent, recipients, false),
	L(72, BASE_SENT, sent, SENDS_MAX, struct sent, external, false), L(73, BASE_SENT, sent, SENDS_MAX, struct sent, unknown, false),
	L(74, BASE_SENT, sent, SENDS_MAX, struct sent, fresh, false), L(75, BASE_SENT, sent, SENDS_MAX, struct sent, bad, false),
	L(80, BASE_TEXT, text, TEXTS_MAX, struct text_seen, time, true), L(81, BASE_TEXT, text, TEXTS_MAX, struct text_seen, hash, false),
	L(82, BASE_TEXT, text, TEXTS_MAX, struct text_seen, recipients, false),
	C(90, last, true), C(91, hour[0], false), C(92, hour[1], false), C(93, day[0], false), C(94, day[1], false),
#undef C
#undef U
#undef L
#undef A
};
#define COLUMNS (sizeof columns / sizeof *columns)

static void put_number(struct buf *b, uint64_t v)
{
	char octets[10];
	size_t n = 0;
	for (; v >= 0x80; v >>= 7)
		octets[n++] = (char)(v | 0x80);
	octets[n++] = (char)v;
	buf_add(b, octets, n);
}

static uint64_t zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static uint64_t load(const char *p, unsigned width, bool sign)
{
	uint64_t v = 0;
	memcpy(&v, p, width); /* little-endian machines alone: see the assertion below */
	if (sign && width < 8 && v >> (8 * width - 1))
		v |= ~0ull << (8 * width);
	return sign ? zigzag((int64_t)v) : v;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers of several widths are copied by their first octets");

static const char *base_of(const struct user *u, enum base base, unsigned *count)
{
	switch (base) {
	case BASE_LOGIN:
		*count = u->logins;
		return (const char *)u->login;
	case BASE_SENT:
		*count = u->sents;
		return (const char *)u->sent;
	case BASE_TEXT:
		*count = u->text ? TEXTS_MAX : 0;
		return (const char *)u->text;
	case BASE_COUNTS:
		*count = u->counts ? *count : 0;
		return (const char *)u->counts;
	default:
		return (const char *)u;
	}
}

/* Tag, length, octets; nothing where there is nothing. */
static void put_field(struct buf *b, unsigned tag, const struct buf *payload)
{
	if (payload->overflow)
		b->overflow = true;
	if (payload->n == 0)
		return;
	put_number(b, tag);
	put_number(b, payload->n);
	buf_add(b, payload->p, payload->n);
}

#define BUF_OVER(space) ((struct buf){(space), 0, sizeof(space), sizeof(space), false})

static void put_column(struct buf *b, const struct user *u, const struct column *c)
{
	char space[SENDS_MAX * 10];
	struct buf payload = BUF_OVER(space);
	unsigned n = c->count;
	const char *from = base_of(u, c->base, &n);
	while (n > 0 && load(from + c->at + (n - 1) * c->stride, c->width, c->sign) == 0)
		n--;
	for (unsigned i = 0; i < n; i++)
		put_number(&payload, load(from + c->at + i * c->stride, c->width, c->sign));
	put_field(b, c->tag, &payload);
}

static void put_text(struct buf *b, const char *text)
{
	size_t n = strlen(text);
	put_number(b, n);
	buf_add(b, text, n);
}

/* By the rule's name: numbers of rules change. */
static void put_hits(struct buf *b, const struct user *u)
{
	char space[256];
	for (int r = 0; u->hits && r < R_COUNT; r++) {
		const struct hit *h = &u->hits->of[r];
		struct buf payload = BUF_OVER(space);
		if (h->points == 0)
			continue;
		put_text(&payload, rule_info[r].name);
		const int64_t numbers[] = {h->time, h->points, h->a, h->b, h->from, h->to};
		for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
			put_number(&payload, zigzag(numbers[i]));
		put_text(&payload, h->text);
		put_field(b, TAG_HIT, &payload);
	}
}

void skimdb_user_encode(struct buf *b, const struct user *u)
{
	char space[MARK_WHY_MAX + 32];
	for (size_t i = 0; i < COLUMNS; i++)
		put_column(b, u, &columns[i]);
	put_hits(b, u);
	if (!u->mark)
		return;
	struct buf payload = BUF_OVER(space);
	put_number(&payload, zigzag(u->mark->time));
	put_number(&payload, u->mark->uid);
	put_text(&payload, u->mark->why);
	put_field(b, TAG_MARK, &payload);
}

struct reader {
	struct slice rest;
	bool bad;
};

static uint64_t take_number(struct reader *r)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (r->rest.n == 0)
			break;
		unsigned char c = (unsigned char)*r->rest.p;
		r->rest = slice_from(r->rest, 1);
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return v;
	}
	r->bad = true;
	return 0;
}

static int64_t take_signed(struct reader *r)
{
	uint64_t v = take_number(r);
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static struct slice take_octets(struct reader *r, uint64_t n)
{
	if (n > r->rest.n) {
		r->bad = true;
		n = 0;
	}
	struct slice s = slice_upto(r->rest, (size_t)n);
	r->rest = slice_from(r->rest, (size_t)n);
	return s;
}

static void take_text(struct reader *r, char *to, size_t size)
{
	struct slice s = take_octets(r, take_number(r));
	r->bad |= slice_copy(to, size, s) < 0;
}

static bool store(char *to, unsigned width, bool sign, uint64_t v)
{
	if (sign) {
		int64_t x = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
		int64_t most = width == 8 ? INT64_MAX : (INT64_C(1) << (8 * width - 1)) - 1;
		memcpy(to, &x, width);
		return x <= most && x >= -most - 1;
	}
	memcpy(to, &v, width);
	return width == 8 || v >> (8 * width) == 0;
}

/* Arrays are as long as their counts, which come first, say. */
static char *room_for(struct user *u, enum base base, unsigned *most)
{
	if (base == BASE_LOGIN) {
		*most = u->logins;
		if (!u->login && u->logins)
			u->login = calloc(u->logins_room = u->logins, sizeof *u->login);
		return (char *)u->login;
	}
	if (base == BASE_SENT) {
		*most = u->sents;
		if (!u->sent && u->sents)
			u->sent = calloc(u->sents_room = u->sents, sizeof *u->sent);
		return (char *)u->sent;
	}
	if (base == BASE_TEXT && !u->text)
		u->text = calloc(TEXTS_MAX, sizeof *u->text);
	if (base == BASE_COUNTS) {
		if (!u->counts)
			u->counts = calloc(1, sizeof *u->counts);
		return (char *)u->counts;
	}
	return base == BASE_TEXT ? (char *)u->text : (char *)u;
}

/* A state that there is, yes or no, a time that can be reckoned with. */
static bool sensible(const struct column *c, uint64_t v)
{
	if (c->tag == TAG_STATE)
		return v <= USER_RECOVERING;
	if (c->tag == TAG_GIVEN_BACK || c->tag == TAG_LOCATED)
		return v <= 1;
	return !(c->sign && c->width == 8) || v < TIME_MOST;
}

static void take_column(struct reader *r, struct user *u, const struct column *c)
{
	unsigned most = c->count;
	char *to = room_for(u, c->base, &most);
	for (unsigned i = 0; r->rest.n && !r->bad; i++) {
		uint64_t v = take_number(r);
		if (!to || i >= most || !sensible(c, v))
			r->bad = true;
		else
			r->bad |= !store(to + c->at + i * c->stride, c->width, c->sign, v);
	}
	/* counts are limits for all that follows */
	r->bad |= u->logins > LOGINS_MAX || u->sents > SENDS_MAX || (u->login && u->logins_room != u->logins) || (u->sent && u->sents_room != u->sents);
}

static void take_hit(struct reader *r, struct user *u)
{
	char name[32];
	struct hit h = {0};
	take_text(r, name, sizeof name);
	h.time = take_signed(r), h.points = (int)take_signed(r), h.a = (long)take_signed(r), h.b = (long)take_signed(r);
	h.from = (country)take_signed(r), h.to = (country)take_signed(r);
	take_text(r, h.text, sizeof h.text);
	enum rule rule = rule_find(slice_str(name));
	r->bad |= zigzag(h.time) >= TIME_MOST || h.points < 0 || h.points > POINTS_MOST;
	if (r->bad || rule == R_COUNT)
		return;
	if (!u->hits)
		u->hits = calloc(1, sizeof *u->hits);
	if (u->hits)
		u->hits->of[rule] = h;
}

static void take_mark(struct reader *r, struct user *u)
{
	if (!u->mark)
		u->mark = calloc(1, sizeof *u->mark);
	if (!u->mark) {
		r->bad = true;
		return;
	}
	u->mark->time = take_signed(r);
	u->mark->uid = (uint32_t)take_number(r);
	take_text(r, u->mark->why, sizeof u->mark->why);
}

static void take_field(struct reader *all, struct user *u)
{
	uint64_t tag = take_number(all);
	struct reader r = {take_octets(all, take_number(all)), false};
	if (tag == TAG_HIT)
		take_hit(&r, u);
	if (tag == TAG_MARK)
		take_mark(&r, u);
	for (size_t i = 0; i < COLUMNS; i++)
		if (columns[i].tag == tag)
			take_column(&r, u, &columns[i]);
	all->bad |= r.bad;
}

struct user *skimdb_user_decode(struct slice name, struct slice data)
{
	struct reader r = {data, false};
	if (name.n == 0 || name.n > ADDRESS_MAX || data.n > SKIMDB_USER_MAX)
		return NULL;
	struct user *u = calloc(1, sizeof *u + name.n);
	if (!u)
		return NULL;
	u->name_n = (uint16_t)name.n;
	memcpy(u->name, name.p, name.n);
	while (r.rest.n && !r.bad)
		take_field(&r, u);
	u->code[sizeof u->code - 1] = 0;
	u->class[sizeof u->class - 1] = 0;
	unsigned n;
	if (!r.bad && (!u->logins || room_for(u, BASE_LOGIN, &n)) && (!u->sents || room_for(u, BASE_SENT, &n)))
		return u;
	history_user_free(u);
	return NULL;
}
