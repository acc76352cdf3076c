/* Values of control/skim; each reader takes one entry.  Internal to skim/config*.c. */
#ifndef POSTERN_SKIM_CONFIG_VALUE_H
#define POSTERN_SKIM_CONFIG_VALUE_H
#include "skim/config.h"
#include "skim/ini.h"

struct config_reader {
	struct skim_config *out;
	const struct ini *in;
	bool enabled[R_COUNT], dryrun[R_COUNT]; /* the checks of qmail-skim.conf */
};
/* 0; E_SYNTAX, E_TOO_LONG with the reason; E_SYS. */
typedef int config_entry(struct config_reader *r, struct err *e);
config_entry value_number, value_enable, value_dryrun, value_safe_countries, value_safe_users, value_test, value_pattern_envelope,
	value_pattern_header, value_pattern_body, value_rule, value_class, value_trusted, value_hosting, value_mobile, value_anonymous,
	value_travel, value_url, value_authorised, value_canary, value_sendlimit;

/* Room for one more in a CONFIG_LIST; NULL with the reason in *E. */
void *config_grow(void *at, size_t n, size_t *size, size_t each, struct err *e);
#define CONFIG_ADD(list, e) \
	(((list).at = (typeof((list).at))config_grow((list).at, (list).n, &(list).size, sizeof *(list).at, (e))) ? &(list).at[(list).n++] : NULL)
/* "YYYY-MM-DD": the first second after that day, UTC.  0 or E_SYNTAX. */
MUST_CHECK int config_date(int64_t *out, struct slice text, struct err *e);
MUST_CHECK int config_country(country *out, struct slice text, struct err *e);
#endif
