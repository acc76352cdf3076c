/* The sections of control/skim that are Postern's own: see config_value.h and postern-skim(5).  Input: lines from the administrator. */
#include <ctype.h>
#include <time.h>

#include "skim/config_value.h"

int config_date(int64_t *out, struct slice text, struct err *e)
{
	struct tm tm = {0}, back;
	long long y, m, d;
	text = slice_trim(text);
	if (text.n != 10 || text.p[4] != '-' || text.p[7] != '-' || slice_number(&y, slice_upto(text, 4), 1970, 9999) ||
		slice_number(&m, slice_make(text.p + 5, 2), 1, 12) || slice_number(&d, slice_make(text.p + 8, 2), 1, 31))
		return err_set(e, E_SYNTAX, "\"%.*s\" is not a date YYYY-MM-DD", (int)slice_upto(text, 20).n, text.p);
	tm.tm_year = (int)y - 1900, tm.tm_mon = (int)m - 1, tm.tm_mday = (int)d;
	back = tm;
	time_t t = timegm(&back);
	if (back.tm_mday != tm.tm_mday || back.tm_mon != tm.tm_mon)
		return err_set(e, E_SYNTAX, "there is no day %.*s", 10, text.p);
	*out = (int64_t)t + 86400;
	return 0;
}

/* NAME = on|log|off [POINTS [HOURS]] */
int value_rule(struct config_reader *r, struct err *e)
{
	enum rule k = rule_find(r->in->key);
	struct slice rest = r->in->value, word;
	long long v;
	if (k >= R_FIRST_CHECK)
		return err_set(e, E_SYNTAX, "there is no rule \"%.*s\"", (int)slice_upto(r->in->key, 40).n, r->in->key.p);
	struct rule_setting *s = &r->out->rule[k];
	if (!slice_word(&word, &rest))
		return err_set(e, E_SYNTAX, "a rule is on, log or off, then perhaps its points and the hours in which they halve");
	if (slice_case_eq_str(word, "on"))
		s->mode = RULE_ON;
	else if (slice_case_eq_str(word, "log"))
		s->mode = RULE_LOG;
	else if (slice_case_eq_str(word, "off"))
		s->mode = RULE_OFF;
	else
		return err_set(e, E_SYNTAX, "a rule is on, log or off");
	if (slice_word(&word, &rest)) {
		if (slice_number(&v, word, 0, 1000))
			return err_set(e, E_SYNTAX, "points are a whole number from 0 to 1000");
		s->points = (int)v;
	}
	if (slice_word(&word, &rest)) {
		if (slice_number(&v, word, 1, 10000))
			return err_set(e, E_SYNTAX, "the hours are a whole number from 1 to 10000");
		s->half_life_hours = (int)v;
	}
	return slice_word(&word, &rest) ? err_set(e, E_SYNTAX, "there is more than mode, points and hours") : 0;
}

static struct userclass *class_of(struct config_reader *r, struct slice name, struct err *e)
{
	for (size_t i = 0; i < r->out->classes.n; i++)
		if (slice_case_eq_str(name, r->out->classes.at[i].name))
			return &r->out->classes.at[i];
	if (r->out->classes.n == CLASSES_MAX) {
		err_set(e, E_TOO_LONG, "more than %d user classes", CLASSES_MAX);
		return NULL;
	}
	struct userclass *c = CONFIG_ADD(r->out->classes, e);
	if (!c)
		return NULL;
	*c = (struct userclass){"", -1, -1, -1, INT64_MAX};
	if (slice_copy(c->name, sizeof c->name, name)) {
		err_set(e, E_SYNTAX, "a user class has a name of at most %d letters", CLASS_NAME_MAX);
		return NULL;
	}
	return c;
}

static int class_number(long *out, struct slice value, struct err *e)
{
	long long v;
	if (slice_number(&v, value, 0, 1000000))
		return err_set(e, E_SYNTAX, "recipients are a whole number from 0 (no limit) to 1000000");
	*out = (long)v;
	return 0;
}

/* [userclass NAME] */
int value_class(struct config_reader *r, struct err *e)
{
	struct userclass *c = class_of(r, slice_trim(slice_from(r->in->section, strlen("userclass"))), e);
	if (!c)
		return E_SYNTAX;
	if (slice_case_eq_str(r->in->key, "recipients_hour"))
		return class_number(&c->recipients_hour, r->in->value, e);
	if (slice_case_eq_str(r->in->key, "recipients_day"))
		return class_number(&c->recipients_day, r->in->value, e);
	if (slice_case_eq_str(r->in->key, "message_recipients"))
		return class_number(&c->message_recipients, r->in->value, e);
	if (slice_case_eq_str(r->in->key, "until"))
		return config_date(&c->until, r->in->value, e);
	return err_set(e, E_SYNTAX, "a user class has the keys recipients_hour, recipients_day, message_recipients, until");
}

static int network(struct config_reader *r, enum net_kind kind, struct slice text, struct err *e)
{
	size_t at = slice_find(text, '/');
	struct ip ip;
	long long bits = 128;
	if (ip_parse(&ip, slice_upto(text, at)))
		return err_set(e, E_SYNTAX, "\"%.*s\" is not a network (ADDRESS or ADDRESS/BITS)", (int)slice_upto(text, 60).n, text.p);
	if (at < text.n && slice_number(&bits, slice_from(text, at + 1), 0, ip_is4(&ip) ? 32 : 128))
		return err_set(e, E_SYNTAX, "/BITS must be a whole number from 0 to %d", ip_is4(&ip) ? 32 : 128);
	struct net *n = CONFIG_ADD(r->out->nets, e);
	if (!n)
		return E_TOO_LONG;
	*n = (struct net){ip_network(&ip, (unsigned)bits), at < text.n && ip_is4(&ip) ? (unsigned)bits + 96 : (unsigned)bits, kind};
	return 0;
}

static int net_or_asn(struct config_reader *r, enum net_kind kind, struct err *e)
{
	struct slice list = r->in->value, one;
	bool is_asn = slice_case_eq_str(r->in->key, "asn");
	if (!is_asn && !slice_case_eq_str(r->in->key, "net"))
		return err_set(e, E_SYNTAX, "[%.*s] has the keys net and asn", (int)slice_upto(r->in->section, 40).n, r->in->section.p);
	while (slice_cut(&one, &list, ',')) {
		long long v;
		int rc;
		one = slice_trim(one);
		if (!is_asn) {
			if ((rc = network(r, kind, one, e)))
				return rc;
			continue;
		}
		if (slice_case_starts(one, "AS"))
			one = slice_from(one, 2);
		if (slice_number(&v, one, 1, 4294967295))
			return err_set(e, E_SYNTAX, "the number of a network (AS) is a whole number from 1 to 4294967295");
		struct asn *a = CONFIG_ADD(r->out->asns, e);
		if (!a)
			return E_TOO_LONG;
		*a = (struct asn){(uint32_t)v, kind};
	}
	return 0;
}

/* net = NETWORK [LABEL]; the label webmail says that the network's hosts are webmail servers. */
int value_trusted(struct config_reader *r, struct err *e)
{
	struct slice rest = r->in->value, text, label = {0};
	if (!slice_case_eq_str(r->in->key, "net"))
		return err_set(e, E_SYNTAX, "[trustednets] has the key net");
	if (!slice_word(&text, &rest))
		return err_set(e, E_SYNTAX, "net is NETWORK [LABEL]");
	bool webmail = slice_word(&label, &rest) && slice_case_eq_str(label, "webmail");
	return network(r, webmail ? NET_WEBMAIL : NET_TRUSTED, text, e);
}

int value_hosting(struct config_reader *r, struct err *e)
{
	return net_or_asn(r, NET_HOSTING, e);
}

int value_mobile(struct config_reader *r, struct err *e)
{
	return net_or_asn(r, NET_MOBILE, e);
}

int value_anonymous(struct config_reader *r, struct err *e)
{
	return net_or_asn(r, NET_ANONYMOUS, e);
}

static int travel_countries(struct travel *t, struct slice list, struct err *e)
{
	struct slice one;
	for (int i = 0; slice_cut(&one, &list, ','); i++) {
		if (i == TRAVEL_COUNTRIES_MAX)
			return err_set(e, E_TOO_LONG, "more than %d countries", TRAVEL_COUNTRIES_MAX);
		int rc = config_country(&t->to[i], one, e);
		if (rc)
			return rc;
	}
	return 0;
}

/* USER = CC,CC until YYYY-MM-DD */
int value_travel(struct config_reader *r, struct err *e)
{
	struct slice rest = r->in->value, countries, word, date;
	struct travel *t = CONFIG_ADD(r->out->travels, e);
	if (!t)
		return E_TOO_LONG;
	*t = (struct travel){.user = r->in->key};
	if (!slice_word(&countries, &rest) || !slice_word(&word, &rest) || !slice_case_eq_str(word, "until") || !slice_word(&date, &rest) ||
		slice_word(&word, &rest))
		return err_set(e, E_SYNTAX, "travel is USER = CC,CC until YYYY-MM-DD (the end date is a must)");
	int rc = travel_countries(t, countries, e);
	return rc ? rc : config_date(&t->until, date, e);
}

/* bad = HOST,HOST */
int value_url(struct config_reader *r, struct err *e)
{
	struct slice list = r->in->value, one;
	if (!slice_case_eq_str(r->in->key, "bad"))
		return err_set(e, E_SYNTAX, "[urls] has the key bad");
	while (slice_cut(&one, &list, ',')) {
		struct slice *to = CONFIG_ADD(r->out->bad_hosts, e);
		if (!to)
			return E_TOO_LONG;
		*to = slice_trim(one);
		if (to->n == 0)
			return err_set(e, E_SYNTAX, "an empty name of a host");
	}
	return 0;
}

/* USER = ADDRESS,ADDRESS or @domain */
int value_authorised(struct config_reader *r, struct err *e)
{
	struct slice list = r->in->value, one;
	while (slice_cut(&one, &list, ',')) {
		struct authorised *to = CONFIG_ADD(r->out->authorised, e);
		if (!to)
			return E_TOO_LONG;
		to->user = r->in->key, to->address = slice_trim(one);
		if (slice_find(to->address, '@') == to->address.n)
			return err_set(e, E_SYNTAX, "an address or @domain is wanted");
	}
	return 0;
}

/* [canary] user = NAME[, NAME] */
int value_canary(struct config_reader *r, struct err *e)
{
	struct slice list = r->in->value, one;
	if (!slice_case_eq_str(r->in->key, "user"))
		return err_set(e, E_SYNTAX, "[canary] has the key user");
	while (slice_cut(&one, &list, ',')) {
		one = slice_trim(one);
		if (one.n == 0 || one.n > ADDRESS_MAX)
			return err_set(e, E_SYNTAX, "user names the canary accounts, separated by commas");
		struct slice *to = CONFIG_ADD(r->out->canaries, e);
		if (!to)
			return E_TOO_LONG;
		*to = one;
	}
	return 0;
}
