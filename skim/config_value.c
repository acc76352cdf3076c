/* The checks of qmail-skim.conf and the numbers: see config_value.h.  Input: lines of control/skim, from the administrator. */
#include "skim/config_value.h"

#include <ctype.h>
#include <stdlib.h>

void *config_grow(void *at, size_t n, size_t *size, size_t each, struct err *e)
{
	if (n < *size)
		return at;
	if (n >= CONFIG_LIST_MAX) {
		err_set(e, E_TOO_LONG, "more than %d entries of this kind", CONFIG_LIST_MAX);
		return NULL;
	}
	size_t more = *size ? *size * 2 : 16;
	void *p = reallocarray(at, more, each);
	if (!p) {
		err_sys(e, "control/skim");
		return NULL;
	}
	*size = more;
	return p;
}

int value_number(struct config_reader *r, struct err *e)
{
	for (int i = 0; i < N_COUNT; i++) {
		const struct number_info *n = &number_info[i];
		long long v;
		if (!slice_case_eq_str(r->in->section, n->section) || !slice_case_eq_str(r->in->key, n->key))
			continue;
		if (slice_number(&v, r->in->value, n->least, n->most))
			return err_set(e, E_SYNTAX, "%s must be a whole number from %ld to %ld", n->key, n->least, n->most);
		r->out->number[i] = (long)v;
		return 0;
	}
	return err_set(e, E_SYNTAX, "[%.*s] has no key \"%.*s\"", (int)slice_upto(r->in->section, 40).n, r->in->section.p,
		(int)slice_upto(r->in->key, 60).n, r->in->key.p);
}

static int checks(bool set[R_COUNT], struct slice list, struct err *e)
{
	struct slice name;
	while (slice_cut(&name, &list, ',')) {
		name = slice_trim(name);
		enum rule k = rule_find(name);
		if (name.n == 0)
			continue;
		if (k < R_FIRST_CHECK || k == R_COUNT)
			return err_set(e, E_SYNTAX, "there is no check \"%.*s\"; there are phishhook, phishfrom, phishlimit, ratelimit, envelope, headers, body",
				(int)slice_upto(name, 40).n, name.p);
		set[k] = true;
	}
	return 0;
}

int value_enable(struct config_reader *r, struct err *e)
{
	return checks(r->enabled, r->in->value, e);
}

int value_dryrun(struct config_reader *r, struct err *e)
{
	return checks(r->dryrun, r->in->value, e);
}

int config_country(country *out, struct slice text, struct err *e)
{
	text = slice_trim(text);
	if (text.n != 2 || !isalpha((unsigned char)text.p[0]) || !isalnum((unsigned char)text.p[1]))
		return err_set(e, E_SYNTAX, "\"%.*s\" is not a country of two letters (ISO 3166)", (int)slice_upto(text, 20).n, text.p);
	*out = country_code((char)toupper((unsigned char)text.p[0]), (char)toupper((unsigned char)text.p[1]));
	return 0;
}

/* A1 (anonymous proxy) and A2 (satellite) are no countries: loaded, but never safe. */
int value_safe_countries(struct config_reader *r, struct err *e)
{
	struct slice list = r->in->value, one;
	while (slice_cut(&one, &list, ',')) {
		country cc;
		if (slice_trim(one).n == 0)
			continue;
		int rc = config_country(&cc, one, e);
		if (rc)
			return rc;
		if (cc == country_code('A', '1') || cc == country_code('A', '2'))
			continue;
		country *to = CONFIG_ADD(r->out->safe, e);
		if (!to)
			return E_TOO_LONG;
		*to = cc;
	}
	return 0;
}

int value_safe_users(struct config_reader *r, struct err *e)
{
	struct slice list = r->in->value, one;
	while (slice_cut(&one, &list, ',')) {
		if (slice_trim(one).n == 0)
			continue;
		struct slice *to = CONFIG_ADD(r->out->safe_users, e);
		if (!to)
			return E_TOO_LONG;
		*to = slice_trim(one);
	}
	return 0;
}

/* USER,TIME,ADDRESS,LOG: the user alone is of use here, where history is no log file. */
int value_test(struct config_reader *r, struct err *e)
{
	struct slice list = r->in->value;
	if (!slice_cut(&r->out->test_user, &list, ',') || slice_trim(r->out->test_user).n == 0)
		return err_set(e, E_SYNTAX, "test is USER[,TIME,ADDRESS,LOG]");
	r->out->test_user = slice_trim(r->out->test_user);
	return 0;
}

static int pattern(struct config_reader *r, enum pattern_kind kind, struct err *e)
{
	struct pattern *p = CONFIG_ADD(r->out->patterns, e);
	if (!p)
		return E_TOO_LONG;
	return pattern_make(p, kind, r->in->key, r->in->value, e);
}

int value_pattern_envelope(struct config_reader *r, struct err *e)
{
	if (slice_case_eq_str(r->in->key, "mailfrom"))
		return pattern(r, PATTERN_SENDER, e);
	if (slice_case_eq_str(r->in->key, "rcptto"))
		return pattern(r, PATTERN_RECIPIENT, e);
	return err_set(e, E_SYNTAX, "[envelope] has the keys mailfrom and rcptto");
}

int value_pattern_header(struct config_reader *r, struct err *e)
{
	return pattern(r, PATTERN_HEADER, e);
}

int value_pattern_body(struct config_reader *r, struct err *e)
{
	if (!slice_case_eq_str(r->in->key, "body"))
		return err_set(e, E_SYNTAX, "[body] has the key body");
	return pattern(r, PATTERN_BODY, e);
}
