/* control/skim as a whole: see config.h.  Read by postern-skim and `postern skim replay` at start and at each reload, and by the lint; input
 * from the administrator alone. */
#include "skim/config.h"

#include <stdlib.h>

#include "skim/config_value.h"

const struct number_info number_info[N_COUNT] = {
#define S(ident, section, key, def, least, most, what) {section, key, def, least, most, what},
	SKIM_NUMBERS(S)
#undef S
};

static const struct {
	const char *section, *key; /* key NULL: all that stand above do not have */
	config_entry *entry;
} entries[] = {
	{"global", "enable", value_enable},
	{"global", "dryrun", value_dryrun},
	{"global", NULL, value_number},
	{"phishhook", "safe_countries", value_safe_countries},
	{"phishhook", "safe_users", value_safe_users},
	{"phishhook", "test", value_test},
	{"phishhook", NULL, value_number},
	{"phishfrom", NULL, value_number},
	{"phishlimit", NULL, value_number},
	{"ratelimit", NULL, value_number},
	{"envelope", NULL, value_pattern_envelope},
	{"headers", NULL, value_pattern_header},
	{"body", NULL, value_pattern_body},
	{"score", NULL, value_number},
	{"limits", NULL, value_number},
	{"rules", NULL, value_rule},
	{"trustednets", NULL, value_trusted},
	{"hosting", NULL, value_hosting},
	{"mobile", NULL, value_mobile},
	{"anonymous", NULL, value_anonymous},
	{"travel", NULL, value_travel},
	{"urls", NULL, value_url},
	{"authorised", NULL, value_authorised},
	{"canary", NULL, value_canary},
};

/* Networks of large hosting providers and of anonymising services, by their registered numbers; [hosting] adds to them. */
static const uint32_t hosting[] = {
	9009, 12876, 14061, 14618, 16276, 16509, 20473, 24940, 31898, 35916, 36352, 45102, 46606, 46844, 51167, 51396, 53667, 55286, 60068,
	60781, 62240, 62567, 63949, 132203, 136787, 197540, 200651, 202425, 206092, 208046, 210558, 212238, 213230, 396982,
};

static int defaults(struct config_reader *r, struct err *e)
{
	for (int i = 0; i < N_COUNT; i++)
		r->out->number[i] = number_info[i].def;
	for (int i = 0; i < R_COUNT; i++)
		r->out->rule[i] = (struct rule_setting){i < R_FIRST_CHECK ? RULE_ON : RULE_OFF, rule_info[i].points, rule_info[i].half_life_hours};
	for (size_t i = 0; i < sizeof hosting / sizeof *hosting; i++) {
		struct asn *a = CONFIG_ADD(r->out->asns, e);
		if (!a)
			return E_SYS;
		*a = (struct asn){hosting[i], NET_HOSTING};
	}
	static const struct userclass classes[] = {
		{"student", 200, 500, -1, INT64_MAX}, {"staff", -1, -1, -1, INT64_MAX},
		{"bulk", 0, 0, 0, INT64_MAX}, {"list", 0, 0, 0, INT64_MAX}, {"role", 0, 0, 0, INT64_MAX}, {"service", 0, 0, 0, INT64_MAX},
	};
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		struct userclass *c = CONFIG_ADD(r->out->classes, e);
		if (!c)
			return E_SYS;
		*c = classes[i];
	}
	return 0;
}

static int entry(struct config_reader *r, struct err *e)
{
	struct slice section = r->in->section;
	if (slice_case_starts(section, "userclass "))
		return value_class(r, e);
	if (slice_case_eq_str(section, "sendlimit") || slice_case_starts(section, "sendlimit "))
		return value_sendlimit(r, e);
	for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
		if (slice_case_eq_str(section, entries[i].section) && (!entries[i].key || slice_case_eq_str(r->in->key, entries[i].key)))
			return entries[i].entry(r, e);
	return err_set(e, E_SYNTAX, "there is no section [%.*s]", (int)slice_upto(section, 40).n, section.p);
}

static int net_order(const void *va, const void *vb)
{
	const struct net *a = va, *b = vb;
	return a->bits != b->bits ? (a->bits < b->bits ? 1 : -1) : memcmp(&a->ip, &b->ip, sizeof a->ip);
}

static int asn_order(const void *va, const void *vb)
{
	const struct asn *a = va, *b = vb;
	return a->number < b->number ? -1 : a->number > b->number;
}

/* What was left open takes the general limit; dry runs log; look-ups are by bisection. */
static void finish(struct config_reader *r)
{
	struct skim_config *c = r->out;
	for (size_t i = 0; i < c->classes.n; i++) {
		struct userclass *u = &c->classes.at[i];
		u->recipients_hour = u->recipients_hour < 0 ? c->number[N_recipients_hour] : u->recipients_hour;
		u->recipients_day = u->recipients_day < 0 ? c->number[N_recipients_day] : u->recipients_day;
		u->message_recipients = u->message_recipients < 0 ? c->number[N_message_recipients] : u->message_recipients;
	}
	for (int k = R_FIRST_CHECK; k < R_COUNT; k++)
		c->rule[k].mode = !r->enabled[k] ? RULE_OFF : r->dryrun[k] ? RULE_LOG : RULE_ON;
	if (c->nets.n)
		qsort(c->nets.at, c->nets.n, sizeof *c->nets.at, net_order);
	qsort(c->asns.at, c->asns.n, sizeof *c->asns.at, asn_order);
}

static int check_ladder(const struct skim_config *c, struct err *e)
{
	if (c->number[N_hold] <= c->number[N_stop] && c->number[N_stop] <= c->number[N_lock])
		return 0;
	return control_fault(e, c->control, C_skim, 0, "[score] hold, stop and lock must rise");
}

int config_read(struct skim_config *out, const struct control *c, struct err *e)
{
	struct ini in = {.rest = control_blob(c, C_skim)};
	struct config_reader r = {.out = out, .in = &in};
	struct err why;
	*out = (struct skim_config){.control = c};
	int rc = defaults(&r, &why);
	while (rc == 0 && (rc = ini_next(&in, &why)) == 1)
		rc = entry(&r, &why);
	if (rc < 0)
		control_fault(e, c, C_skim, in.line, "%s", why.text);
	finish(&r);
	if (rc == 0)
		rc = check_ladder(out, e);
	if (rc < 0)
		config_free(out);
	return rc;
}

void config_free(struct skim_config *c)
{
	for (size_t i = 0; i < c->patterns.n; i++)
		pattern_free(&c->patterns.at[i]);
	free(c->patterns.at);
	free(c->safe.at);
	free(c->safe_users.at);
	free(c->classes.at);
	free(c->sendlimits.at);
	free(c->nets.at);
	free(c->asns.at);
	free(c->travels.at);
	free(c->bad_hosts.at);
	free(c->authorised.at);
	free(c->canaries.at);
	*c = (struct skim_config){0};
}

int skim_check(const struct control *c, struct err *e)
{
	struct skim_config cfg;
	int rc = config_read(&cfg, c, e);
	if (rc == 0)
		config_free(&cfg);
	return rc;
}
