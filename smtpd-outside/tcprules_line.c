/* One line of tcprules text: ADDRESS:allow,NAME="value",!NAME or ADDRESS:deny.  See tcprules_line.h, postern-tcprules(5).
 *
 * The administrator's own file.  Where tcprules(1) would pass over a mistake in silence (a line without colon, a range that ends
 * before it begins), here it is an error. */
#include "smtpd-outside/tcprules_line.h"

#include "lib/control.h"
#include "smtpd-outside/rates.h"
#include "smtpd-outside/session_vars.h"

int tcprules_split(struct slice *address, struct slice *instruction, struct slice line, struct err *e)
{
	/* An IPv6 address has colons of its own, but none is followed by these words. */
	for (size_t i = 0; i < line.n; i++) {
		struct slice rest = slice_from(line, i + 1);
		if (line.p[i] == ':' && (slice_starts(rest, "allow") || slice_starts(rest, "deny"))) {
			*address = slice_trim(slice_upto(line, i));
			*instruction = rest;
			return 0;
		}
	}
	return err_set(e, E_SYNTAX, "after the address comes :allow or :deny");
}

/* Addresses. */

static int octet(unsigned *out, struct slice s)
{
	long long v;
	if ((s.n > 1 && s.p[0] == '0') || s.n > 3 || slice_number(&v, s, 0, 255) < 0)
		return E_SYNTAX;
	*out = (unsigned)v;
	return 0;
}

/* One of up to four parts between dots: a number, or once in an address a range. */
static int part(struct tcprules_address *a, unsigned at, struct slice s)
{
	unsigned low, high;
	size_t dash = slice_find(s, '-');
	if (octet(&low, slice_upto(s, dash)) < 0)
		return E_SYNTAX;
	a->first.ip.a[at] = (unsigned char)low;
	if (dash == s.n)
		return 0;
	if (a->count > 1 || octet(&high, slice_from(s, dash + 1)) < 0 || high < low)
		return E_SYNTAX;
	a->count = high - low + 1;
	a->octet = at;
	return 0;
}

static const struct ip mapped = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0}};

/* "1.2.3.4", "1.2.", "1.2.3.37-53", "10.2-3." */
static int dotted(struct tcprules_address *a, struct slice text)
{
	bool prefix = text.n > 0 && text.p[text.n - 1] == '.';
	struct slice rest = prefix ? slice_upto(text, text.n - 1) : text, s;
	unsigned parts = 0;
	a->first.ip = mapped;
	for (; slice_cut(&s, &rest, '.'); parts++)
		if (parts == 4 || part(a, 12 + parts, s) < 0)
			return E_SYNTAX;
	if (prefix ? parts > 3 : parts != 4)
		return E_SYNTAX;
	a->first.bits = 8 * parts;
	return 0;
}

/* "2001:db8:": whole groups of 16 bits, then a colon; "2001:db8::" is an address. */
static int groups(struct tcprules_address *a, struct slice text)
{
	char whole[64];
	unsigned colons = 0;
	for (size_t i = 0; i < text.n; i++)
		colons += text.p[i] == ':';
	if (colons > 7 || text.n + 8 > sizeof whole)
		return E_SYNTAX;
	struct buf b = BUF_INIT(sizeof whole);
	buf_add_slice(&b, text);
	buf_add_str(&b, colons == 7 ? "0" : ":");
	int r = b.overflow ? E_SYNTAX : ip_parse(&a->first.ip, buf_slice(&b));
	buf_free(&b);
	a->first.bits = 16 * colons;
	return r == 0 && ip_is4(&a->first.ip) ? E_SYNTAX : r;
}

/* ADDRESS/BITS */
static int cidr(struct tcprules_address *a, struct slice text, size_t slash, struct err *hint)
{
	long long bits;
	if (ip_parse(&a->first.ip, slice_upto(text, slash)) < 0)
		return E_SYNTAX;
	if (slice_number(&bits, slice_from(text, slash + 1), 0, ip_is4(&a->first.ip) ? 32 : 128) < 0)
		return E_SYNTAX;
	a->first.bits = (unsigned)bits;
	struct ip network = ip_network(&a->first.ip, a->first.bits);
	if (memcmp(&network, &a->first.ip, sizeof network) != 0)
		err_set(hint, E_REFUSED, "the address has bits beyond the /%lld; they do not count", bits);
	a->first.ip = network;
	return 0;
}

static int six(struct tcprules_address *a, struct slice text)
{
	if (slice_ends(text, ":") && !slice_ends(text, "::"))
		return groups(a, text);
	a->first.bits = 128;
	if (ip_parse(&a->first.ip, text) < 0)
		return E_SYNTAX;
	if (ip_is4(&a->first.ip))
		a->first.bits = 32;
	return 0;
}

static struct slice unbracket(struct slice s)
{
	return s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']' ? slice_make(s.p + 1, s.n - 2) : s;
}

static int networks(struct tcprules_address *a, struct slice text, struct err *hint)
{
	size_t slash = slice_find(text, '/');
	if (slash < text.n)
		return cidr(a, text, slash, hint);
	return slice_find(text, ':') < text.n ? six(a, text) : dotted(a, text);
}

/* "=mail.example.org", "=.example.org", "=" */
static int host(struct tcprules_address *out, struct slice text, struct err *e)
{
	struct slice name = slice_from(text, slice_starts(text, "."));
	if (text.n && (name.n > 255 || name.p[0] == '[' || addr_check_domain(name, false) < 0))
		return err_set(e, E_SYNTAX, "after = comes a host's name, .domain for all below it, or nothing");
	out->kind = ADDRESS_HOST;
	out->host = text;
	return 0;
}

bool tcprules_lines_name(struct slice text)
{
	struct control_line l = {0};
	while (control_next_in(text, &l))
		if (l.text.p[0] == '=')
			return true;
	return false;
}

bool tcprules_lines_set(struct slice text, const char *variable)
{
	struct control_line l = {0};
	while (control_next_in(text, &l))
		for (struct slice rest = l.text; rest.n; rest = slice_from(rest, 1))
			if (rest.p[0] == ',' && slice_starts(slice_from(rest, 1), variable) && slice_starts(slice_from(rest, 1 + strlen(variable)), "="))
				return true;
	return false;
}

int tcprules_address(struct tcprules_address *out, struct slice text, struct err *hint, struct err *e)
{
	*out = (struct tcprules_address){.kind = ADDRESS_NETWORKS, .count = 1};
	if (text.n == 0) {
		out->kind = ADDRESS_ANY;
		return 0;
	}
	if (slice_find(text, '@') < text.n) {
		out->kind = ADDRESS_NEVER;
		err_set(hint, E_REFUSED, "rules by ident (@) never match: the door asks no client's ident server; write addresses");
		return 0;
	}
	if (text.p[0] == '=')
		return host(out, slice_from(text, 1), e);
	if (networks(out, unbracket(text), hint) == 0)
		return 0;
	return err_set(e, E_SYNTAX, "\"%.*s\" is no address: 192.0.2.1, 192.0.2. (all below it), 192.0.2.7-9, 192.0.2.0/24, 2001:db8::1, "
		"2001:db8::/32, =host, =.domain or nothing", SLICE_FMT(slice_upto(text, 60)));
}

struct tcprules_network tcprules_address_network(const struct tcprules_address *a, unsigned n)
{
	struct tcprules_network net = a->first;
	if (n)
		net.ip.a[a->octet] = (unsigned char)(net.ip.a[a->octet] + n);
	return net;
}

/* Instructions. */

static void unset(struct tcprule *rule, struct handover_pair *pairs, struct slice name)
{
	size_t kept = 0;
	for (size_t i = 0; i < rule->vars; i++)
		if (!slice_eq(pairs[i].name, name))
			pairs[kept++] = pairs[i];
	rule->vars = kept;
}

/* NAME=QvalueQ at the start of *REST, Q any character that is not in the value. */
static int setting(struct tcprule *rule, struct handover_pair *pairs, struct slice *rest, struct err *e)
{
	struct slice name = slice_upto(*rest, slice_find(*rest, '='));
	struct slice quoted = slice_from(*rest, name.n + 1);
	if (name.n == rest->n || !handover_name_valid(name))
		return err_set(e, E_SYNTAX, "after a comma comes NAME=\"value\" or !NAME; names are capital letters, digits, _, at most %d",
			HANDOVER_NAME_MAX);
	struct slice value = quoted.n ? slice_from(quoted, 1) : quoted;
	size_t end = quoted.n ? slice_find(value, quoted.p[0]) : 0;
	if (quoted.n == 0 || end == value.n)
		return err_set(e, E_SYNTAX, "the value of %.*s does not end with the quote it begins with", SLICE_FMT(name));
	*rest = slice_from(value, end + 1);
	value = slice_upto(value, end);
	if (!handover_value_valid(value))
		return err_set(e, E_SYNTAX, "the value of %.*s is longer than %d octets or has control characters", SLICE_FMT(name),
			HANDOVER_VALUE_MAX);
	unset(rule, pairs, name); /* as in an environment, the last one counts */
	if (rule->vars == HANDOVER_VARS_MAX)
		return err_set(e, E_SYNTAX, "more than %d variables", HANDOVER_VARS_MAX);
	pairs[rule->vars++] = (struct handover_pair){name, value};
	return 0;
}

static int unsetting(struct tcprule *rule, struct handover_pair *pairs, struct slice *rest, struct err *e)
{
	struct slice name = slice_from(slice_upto(*rest, slice_find(*rest, ',')), 1);
	if (!handover_name_valid(name))
		return err_set(e, E_SYNTAX, "after ! comes the name of a variable");
	*rest = slice_from(*rest, name.n + 1);
	unset(rule, pairs, name);
	return 0;
}

/* Variables that the door heeds.  The name that comes first in the table wins over its alias. */
struct known {
	const char *name;
	size_t offset;
	int least, most;
	int if_empty; /* -1: must not be empty */
};
static const struct known knowns[] = {
	{"SMTPD_GREETDELAY", offsetof(struct tcprule, greetdelay_sec), 0, 300, 0},
	{"GREETDELAY", offsetof(struct tcprule, greetdelay_sec), 0, 300, 0},
	{"DROPRUSHGREET", offsetof(struct tcprule, drop_pre_greet), 0, 1, 1},
	{"DROP_PRE_GREET", offsetof(struct tcprule, drop_pre_greet), 0, 1, 0},
	{"MAXPERIP", offsetof(struct tcprule, maxperip), 0, 20000, -1},
	{"MAXPERNET", offsetof(struct tcprule, maxpernet), 0, 20000, -1},
	{"DNSBLSKIP", offsetof(struct tcprule, dnsblskip), 0, 1, 1},
	{"GREYLIST", offsetof(struct tcprule, greylist), 0, 1, -1},
	{"DNSBLFAILCLOSED", offsetof(struct tcprule, dnsblfailclosed), 0, 1, 1},
};

static int heed(struct tcprule *rule, const struct known *k, struct slice value, struct err *e)
{
	long long v = k->if_empty;
	if ((value.n || k->if_empty < 0) && slice_number(&v, value, k->least, k->most) < 0)
		return err_set(e, E_SYNTAX, "%s is a number from %d to %d", k->name, k->least, k->most);
	int n = (int)v;
	memcpy((char *)rule + k->offset, &n, sizeof n);
	return 0;
}

/* What the session heeds (smtpd_settings.c): a wrong one is found here, not by the first client. */
static int check_session_var(const struct handover_pair *pair, struct err *e)
{
	long long v, most = session_var_most(pair->name);
	if (most >= 0 && slice_number(&v, pair->value, 0, most) < 0)
		return err_set(e, E_SYNTAX, "%.*s is a number from 0 to %lld", SLICE_FMT(pair->name), most);
	if (slice_eq_str(pair->name, "RELAYCLIENT") && pair->value.n > RELAY_SUFFIX_MAX)
		return err_set(e, E_SYNTAX, "RELAYCLIENT has more than %d octets", RELAY_SUFFIX_MAX);
	if (slice_eq_str(pair->name, "SMTPGREETING") && (!pair->value.n || pair->value.n > GREETING_MAX || !slice_printable(pair->value)))
		return err_set(e, E_SYNTAX, "SMTPGREETING has 1 to %d printable octets", GREETING_MAX);
	return 0;
}

static int heed_rate(struct tcprule *rule, const struct handover_pair *pair, struct err *e)
{
	enum rate_scope scope;
	enum rate_counter counter;
	struct rate_limit limit;
	struct err why;
	if (!rate_variable(&scope, &counter, pair->name))
		return 0;
	rule->rates = true;
	return rate_parse(&limit, pair->value, &why) < 0 ? err_set(e, E_SYNTAX, "%.*s: %s", SLICE_FMT(pair->name), why.text) : 0;
}

static int heed_all(struct tcprule *rule, const struct handover_pair *pairs, struct err *e)
{
	for (size_t k = 0; k < sizeof knowns / sizeof *knowns; k++)
		for (size_t i = 0; i < rule->vars; i++)
			if (slice_eq_str(pairs[i].name, knowns[k].name) && heed(rule, &knowns[k], pairs[i].value, e) < 0)
				return E_SYNTAX;
	for (size_t i = 0; i < rule->vars; i++) {
		if (check_session_var(&pairs[i], e) < 0)
			return E_SYNTAX;
		if (heed_rate(rule, &pairs[i], e) < 0)
			return E_SYNTAX;
		if (slice_eq_str(pairs[i].name, "RBLSMTPD"))
			rule->rblsmtpd = pairs[i].value;
		if (slice_eq_str(pairs[i].name, "RELAYCLIENT"))
			rule->relay = true;
	}
	return 0;
}

int tcprules_instruction(struct tcprule *rule, struct handover_pair *pairs, struct slice text, struct err *e)
{
	rule->deny = slice_starts(text, "deny");
	struct slice rest = slice_from(text, rule->deny ? strlen("deny") : strlen("allow"));
	while (rest.n) {
		if (rest.p[0] != ',')
			return err_set(e, E_SYNTAX, "after allow, deny and each value comes a comma or the end of the line");
		rest = slice_from(rest, 1);
		int r = slice_starts(rest, "!") ? unsetting(rule, pairs, &rest, e) : setting(rule, pairs, &rest, e);
		if (r < 0)
			return r;
	}
	return heed_all(rule, pairs, e);
}
