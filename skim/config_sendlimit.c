/* [sendlimit], [sendlimit class NAME] and [sendlimit user NAME] of control/skim: see config.h, postern-skim(5).  Input: lines from the administrator; the
 * questions carry names that clients gave. */
#include "skim/config_value.h"
#include "skim/sendlimit.h"

/* The section's own limits, made at its first key; NULL with the reason in *E. */
static struct sendlimit_for *limits_of(struct config_reader *r, bool user, struct slice name, struct err *e)
{
	struct skim_config *c = r->out;
	for (size_t i = 0; i < c->sendlimits.n; i++)
		if (c->sendlimits.at[i].user == user && slice_case_eq(c->sendlimits.at[i].name, name))
			return &c->sendlimits.at[i];
	if (c->sendlimits.n == SENDLIMITS_MAX || name.n == 0 || name.n > (user ? ADDRESS_MAX : CLASS_NAME_MAX)) {
		if (c->sendlimits.n == SENDLIMITS_MAX)
			err_set(e, E_TOO_LONG, "more than %d sections [sendlimit ...]", SENDLIMITS_MAX);
		else
			err_set(e, E_SYNTAX, "a section is [sendlimit], [sendlimit class NAME] or [sendlimit user NAME]");
		return NULL;
	}
	struct sendlimit_for *f = CONFIG_ADD(c->sendlimits, e);
	if (f)
		*f = (struct sendlimit_for){user, name, {{-1, -1, -1, -1}}, INT64_MAX};
	return f;
}

static int number(struct sendlimit *l, const struct ini *in, struct err *e)
{
	long long v;
	for (enum send_counter k = 0; k < SEND_COUNTERS; k++)
		if (slice_case_eq_str(in->key, sendlimit_names[k])) {
			if (slice_number(&v, in->value, 0, 10000000))
				return err_set(e, E_SYNTAX, "%s is a whole number from 0 (no limit) to 10000000", sendlimit_names[k]);
			l->most[k] = (long)v;
			return 0;
		}
	return err_set(e, E_SYNTAX, "a sendlimit has the keys messages_hour, recipients_hour, messages_day, recipients_day, for a user or class until too");
}

int value_sendlimit(struct config_reader *r, struct err *e)
{
	struct slice rest = slice_trim(slice_from(r->in->section, strlen("sendlimit"))), kind;
	if (rest.n == 0)
		return number(&r->out->sendlimit, r->in, e);
	bool user = slice_word(&kind, &rest) && slice_case_eq_str(kind, "user");
	if (!user && !slice_case_eq_str(kind, "class"))
		return err_set(e, E_SYNTAX, "a section is [sendlimit], [sendlimit class NAME] or [sendlimit user NAME]");
	struct sendlimit_for *f = limits_of(r, user, slice_trim(rest), e);
	if (!f)
		return e->code;
	return slice_case_eq_str(r->in->key, "until") ? config_date(&f->until, r->in->value, e) : number(&f->limit, r->in, e);
}

static void take(struct sendlimit *out, const struct skim_config *c, bool user, struct slice name, int64_t now)
{
	for (size_t i = 0; name.n && i < c->sendlimits.n; i++) {
		const struct sendlimit_for *f = &c->sendlimits.at[i];
		if (f->user != user || now >= f->until || !slice_case_eq(f->name, name))
			continue;
		for (enum send_counter k = 0; k < SEND_COUNTERS; k++)
			if (f->limit.most[k] >= 0)
				out->most[k] = f->limit.most[k];
	}
}

struct sendlimit config_sendlimit(const struct skim_config *c, struct slice user, struct slice class, int64_t now)
{
	struct sendlimit l = c->sendlimit;
	take(&l, c, false, class, now);
	take(&l, c, true, user, now);
	return l;
}
