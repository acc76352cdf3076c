/* DNS lists: see dnsbl.h.  Linked into postern-dns, which asks, and into what checks control files.  The file is the administrator's own; answers are
 * strangers' octets, whose form libunbound has checked and this file checks again. */
#include "smtpd-outside/dnsbl.h"

#include <stdio.h>

/* ---- the file ---- */

static uint32_t as_number(const unsigned char a[4])
{
	return (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3];
}

/* "127.0.0.2" or "127.0.0.2-11" */
static int parse_range(struct dnsbl_codes *out, struct slice text)
{
	struct ip ip;
	long long high;
	size_t dash = slice_find(text, '-'), dot = slice_rfind(slice_upto(text, dash), '.');
	if (ip_parse(&ip, slice_upto(text, dash)) < 0 || !ip_is4(&ip) || ip.a[12] != 127 || dot >= dash)
		return E_SYNTAX;
	out->low = out->high = as_number(ip.a + 12);
	if (dash == text.n)
		return 0;
	if (slice_number(&high, slice_from(text, dash + 1), ip.a[15], 255) < 0)
		return E_SYNTAX;
	out->high = (out->low & 0xffffff00u) | (uint32_t)high;
	return 0;
}

static int parse_codes(struct dnsbl_rule *out, struct slice text, struct err *e)
{
	struct slice part;
	while (slice_cut(&part, &text, ','))
		if (out->code_count == DNSBL_CODES_MAX || parse_range(&out->codes[out->code_count++], part) < 0)
			return err_set(e, E_SYNTAX, "codes= takes up to %d of 127.0.0.2 or 127.0.0.2-11, separated by commas", DNSBL_CODES_MAX);
	return 0;
}

static int parse_weight(struct dnsbl_rule *out, struct slice text, struct err *e)
{
	long long v;
	if (slice_number(&v, text, -DNSBL_WEIGHT_MAX, DNSBL_WEIGHT_MAX) < 0 || v == 0)
		return err_set(e, E_SYNTAX, "weight= is a number from -%d to %d, not 0", DNSBL_WEIGHT_MAX, DNSBL_WEIGHT_MAX);
	out->weight = (int)v;
	return 0;
}

static int parse_reply(struct dnsbl_rule *out, struct slice text, struct err *e)
{
	static const int codes[] = {451, 550, 553, 554};
	long long v;
	if (slice_number(&v, text, 0, 999) == 0)
		for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
			if (v == codes[i]) {
				out->reply = (int)v;
				return 0;
			}
	return err_set(e, E_SYNTAX, "reply= is 451, 550, 553 or 554");
}

/* text= has quotes, since it has blanks; it is the last on its line. */
static int parse_text(struct dnsbl_rule *out, struct slice text, struct err *e)
{
	if (text.n < 2 || text.p[0] != '"' || text.p[text.n - 1] != '"')
		return err_set(e, E_SYNTAX, "text= is put in double quotes and stands last");
	text = slice_make(text.p + 1, text.n - 2);
	if (!slice_printable(text) || slice_copy(out->text, sizeof out->text, text) < 0)
		return err_set(e, E_SYNTAX, "text= has up to %d printable ASCII characters", DNSBL_TEXT_MAX);
	return 0;
}

static int parse_zone(char *zone, struct slice name, struct err *e)
{
	if (slice_ends(name, "."))
		name.n--;
	if (addr_check_domain(name, false) < 0 || name.p[0] == '[' || slice_copy(zone, DNSBL_ZONE_MAX + 1, name) < 0)
		return err_set(e, E_SYNTAX, "the line begins with a list's zone, a domain of up to %d octets", DNSBL_ZONE_MAX);
	for (; *zone; zone++)
		if (*zone >= 'A' && *zone <= 'Z')
			*zone = (char)(*zone | 0x20);
	return 0;
}

static const struct {
	const char *word;
	int (*parse)(struct dnsbl_rule *out, struct slice text, struct err *e);
} options[] = {{"weight=", parse_weight}, {"codes=", parse_codes}, {"reply=", parse_reply}};

static int parse_option(struct dnsbl_rule *out, struct slice word, struct err *e)
{
	for (size_t i = 0; i < sizeof options / sizeof *options; i++)
		if (slice_starts(word, options[i].word))
			return options[i].parse(out, slice_from(word, strlen(options[i].word)), e);
	return err_set(e, E_SYNTAX, "after the zone come weight=, codes=, reply= and text=\"…\"");
}

int dnsbl_parse_line(struct dnsbl_rule *out, char *zone, struct slice line, struct err *e)
{
	struct dnsbl_rule rule = {.weight = 1, .reply = 550};
	struct slice word, rest = line;
	if (!slice_word(&word, &rest) || parse_zone(zone, word, e) < 0)
		return err_set(e, E_SYNTAX, "the line begins with a list's zone, a domain of up to %d octets", DNSBL_ZONE_MAX);
	for (;;) {
		rest = slice_trim(rest);
		if (slice_starts(rest, "text=")) {
			if (parse_text(&rule, slice_from(rest, strlen("text=")), e) < 0)
				return E_SYNTAX;
			break;
		}
		if (!slice_word(&word, &rest))
			break;
		if (parse_option(&rule, word, e) < 0)
			return E_SYNTAX;
	}
	rule.zone = out->zone;
	*out = rule;
	return 0;
}

/* The zone's number, a new one where it is new; -1: too many. */
static int zone_number(struct dnsbl *d, const char *zone)
{
	for (unsigned i = 0; i < d->zones; i++)
		if (strcmp(d->zone[i], zone) == 0)
			return (int)i;
	if (d->zones == DNSBL_ZONES_MAX)
		return -1;
	memcpy(d->zone[d->zones], zone, strlen(zone) + 1);
	return (int)d->zones++;
}

int dnsbl_parse(struct dnsbl *out, const struct control *c, struct err *e)
{
	struct control_line line = {0};
	char zone[DNSBL_ZONE_MAX + 1];
	struct err why;
	memset(out, 0, sizeof *out);
	out->threshold = control_number(c, C_dnsblthreshold);
	while (control_present(c, C_dnsbl) && control_next(c, C_dnsbl, &line)) {
		int at;
		if (out->rules == DNSBL_RULES_MAX)
			return control_fault(e, c, C_dnsbl, line.number, "more than %d lines", DNSBL_RULES_MAX);
		struct dnsbl_rule *rule = &out->rule[out->rules++];
		if (dnsbl_parse_line(rule, zone, line.text, &why) < 0)
			return control_fault(e, c, C_dnsbl, line.number, "%s", why.text);
		if ((at = zone_number(out, zone)) < 0)
			return control_fault(e, c, C_dnsbl, line.number, "more than %d zones", DNSBL_ZONES_MAX);
		rule->zone = (unsigned)at;
	}
	return 0;
}

/* ---- names ---- */

static void reversed(char out[DNSBL_NAME_MAX], const struct ip *client, const char *four, const char *six)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *a = client->a;
	size_t n = 0;
	if (ip_is4(client)) {
		snprintf(out, DNSBL_NAME_MAX, "%u.%u.%u.%u.%s", a[15], a[14], a[13], a[12], four);
		return;
	}
	for (int i = 15; i >= 0; i--) {
		out[n++] = hex[a[i] & 15];
		out[n++] = '.';
		out[n++] = hex[a[i] >> 4];
		out[n++] = '.';
	}
	snprintf(out + n, DNSBL_NAME_MAX - n, "%s", six);
}

void dnsbl_name(char out[DNSBL_NAME_MAX], const struct ip *client, const char *zone)
{
	reversed(out, client, zone, zone);
}

void dnsbl_reverse_name(char out[DNSBL_NAME_MAX], const struct ip *client)
{
	reversed(out, client, "in-addr.arpa", "ip6.arpa");
}

/* ---- answers ---- */

static bool code_matches(const struct dnsbl_rule *rule, uint32_t code)
{
	for (unsigned i = 0; i < rule->code_count; i++)
		if (code >= rule->codes[i].low && code <= rule->codes[i].high)
			return true;
	return rule->code_count == 0;
}

void dnsbl_answer(struct dnsbl_score *s, const struct dnsbl *d, unsigned zone, const unsigned char *address)
{
	uint32_t code = as_number(address);
	if (address[0] != 127 || (code & 0xffffff00u) == 0x7fffff00u) {
		s->failed |= 1ull << zone; /* a list never says this of a client: an error, or a domain that changed hands */
		return;
	}
	for (unsigned i = 0; i < d->rules; i++)
		if (d->rule[i].zone == zone && code_matches(&d->rule[i], code))
			s->matched |= 1ull << i;
}

long dnsbl_sum(const struct dnsbl_score *s, const struct dnsbl *d)
{
	long sum = 0;
	for (unsigned i = 0; i < d->rules; i++)
		if (s->matched & 1ull << i)
			sum += d->rule[i].weight;
	return sum;
}

bool dnsbl_refuses(const struct dnsbl_score *s, const struct dnsbl *d)
{
	return s->matched && dnsbl_sum(s, d) >= d->threshold;
}

const struct dnsbl_rule *dnsbl_speaker(const struct dnsbl_score *s, const struct dnsbl *d)
{
	const struct dnsbl_rule *best = NULL;
	for (unsigned i = 0; i < d->rules; i++)
		if (s->matched & 1ull << i && (!best || d->rule[i].weight > best->weight))
			best = &d->rule[i];
	return best;
}

static void add_printable(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_add_char(b, s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?');
}

static void expand(struct buf *b, struct slice text, const char *zone, const char *ip)
{
	while (text.n) {
		bool is_ip = slice_starts(text, "%IP%"), is_zone = slice_starts(text, "%ZONE%");
		if (is_ip || is_zone)
			buf_add_str(b, is_ip ? ip : zone);
		else
			buf_add_char(b, text.p[0]);
		text = slice_from(text, is_ip ? strlen("%IP%") : is_zone ? strlen("%ZONE%") : 1);
	}
}

void dnsbl_text(char *out, size_t size, const struct dnsbl_rule *rule, const char *zone, struct slice txt, const struct ip *client)
{
	char ip[INET6_ADDRSTRLEN];
	struct buf b = BUF_INIT(2048);
	ip_text(ip, client);
	if (rule->text[0]) {
		expand(&b, slice_str(rule->text), zone, ip);
	} else {
		buf_add_format(&b, "%s is listed by %s", ip, zone);
		if (txt.n)
			buf_add_str(&b, ": ");
		add_printable(&b, txt);
	}
	(void)!slice_copy(out, size, slice_upto(buf_slice(&b), size - 1));
	buf_free(&b);
}

int dnsbl_txt(char *out, size_t size, struct slice data)
{
	size_t n = 0;
	while (data.n) {
		size_t len = (unsigned char)data.p[0];
		if (len >= data.n)
			return E_SYNTAX;
		for (size_t i = 1; i <= len && n + 1 < size; i++)
			out[n++] = data.p[i] >= 0x20 && data.p[i] < 0x7f ? data.p[i] : '?';
		data = slice_from(data, len + 1);
	}
	out[n] = 0;
	return 0;
}

int dnsbl_host(char out[DNSBL_NAME_MAX], struct slice data)
{
	size_t n = 0;
	while (data.n && data.p[0]) {
		size_t len = (unsigned char)data.p[0];
		if (len > 63 || len + 1 >= data.n || n + len + 2 > DNSBL_NAME_MAX)
			return E_SYNTAX;
		if (n)
			out[n++] = '.';
		for (size_t i = 1; i <= len; i++)
			out[n++] = data.p[i] >= 'A' && data.p[i] <= 'Z' ? (char)(data.p[i] | 0x20) : data.p[i];
		data = slice_from(data, len + 1);
	}
	struct slice whole = slice_make(out, n);
	if (data.n != 1 || n == 0 || addr_check_domain(whole, false) < 0 || out[0] == '[')
		return E_SYNTAX;
	out[n] = 0;
	return 0;
}
