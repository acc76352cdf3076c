/* control/scanpolicy: see scanpolicy.h.  The administrator's own file; its mistakes are named, never guessed at. */
#include "scanner-bridge/scanpolicy.h"

#define SCORE_MOST 10000

const char *const action_names[ACTION_COUNT] = {"pass", "tag", "quarantine", "tempfail", "discard", "reject"};
const char *const cause_names[CAUSE_COUNT] = {"none", "virus", "banned", "malformed", "error", "spam"};

int milli_parse(long long *out, struct slice s, long long most)
{
	bool minus = s.n && s.p[0] == '-';
	struct slice digits = slice_from(s, minus), whole, places;
	long long n, part = 0;
	size_t dot = slice_find(digits, '.');
	whole = slice_upto(digits, dot);
	places = slice_from(digits, dot + 1);
	if (slice_number(&n, whole, 0, most) < 0 || (dot < digits.n && slice_number(&part, places, 0, 999) < 0))
		return -1;
	if (places.n > 3 || (dot < digits.n && !places.n))
		return -1;
	for (size_t i = places.n; i < 3; i++)
		part *= 10;
	n = n * 1000 + part;
	if (n > most * 1000)
		return -1;
	*out = minus ? -n : n;
	return 0;
}

static int parse_action(enum action *out, struct slice word, struct err *e)
{
	for (int i = 0; i < ACTION_COUNT; i++) {
		if (!slice_eq_str(word, action_names[i]))
			continue;
		*out = (enum action)i;
		return 0;
	}
	return err_set(e, E_SYNTAX, "unknown action \"%.*s\"; it is one of pass, tag, quarantine, discard, reject, tempfail",
		SLICE_FMT(slice_upto(word, 40)));
}

static int add_spam(struct scanpolicy *p, struct slice score, struct scanpolicy_rule r, struct err *e)
{
	if (milli_parse(&r.milli, score, SCORE_MOST) < 0)
		return err_set(e, E_SYNTAX, "after spam>= comes a score such as 6.3 (at most three places, at most %d)", SCORE_MOST);
	for (size_t i = 0; i < p->spam_count; i++)
		if (p->spam[i].milli == r.milli)
			return err_set(e, E_SYNTAX, "line %d has the same score", p->spam[i].line);
	if (p->spam_count == SCANPOLICY_SPAM_MAX)
		return err_set(e, E_SYNTAX, "more than %d spam lines", SCANPOLICY_SPAM_MAX);
	p->spam[p->spam_count++] = r;
	return 0;
}

static int add_rule(struct scanpolicy *p, struct slice what, struct scanpolicy_rule r, struct err *e)
{
	if (slice_starts(what, "spam>="))
		return add_spam(p, slice_from(what, strlen("spam>=")), r, e);
	for (int k = CAUSE_VIRUS; k < CAUSE_SPAM; k++) {
		if (!slice_eq_str(what, cause_names[k]))
			continue;
		if (p->rule[k].line)
			return err_set(e, E_SYNTAX, "line %d speaks of %s already", p->rule[k].line, cause_names[k]);
		p->rule[k] = r;
		return 0;
	}
	return err_set(e, E_SYNTAX, "a line begins with virus, banned, malformed, error or spam>=SCORE");
}

static int parse_line(struct scanpolicy *p, struct slice line, int number, struct err *e)
{
	struct scanpolicy_rule r = {.line = number};
	struct slice what, action, more;
	if (!slice_word(&what, &line) || !slice_word(&action, &line) || slice_word(&more, &line))
		return err_set(e, E_SYNTAX, "a line is virus, banned, malformed, error or spam>=SCORE and then one action");
	if (parse_action(&r.action, action, e) < 0)
		return E_SYNTAX;
	return add_rule(p, what, r, e);
}

static void spam_defaults(struct scanpolicy *p)
{
	p->spam[0] = (struct scanpolicy_rule){.action = ACTION_REJECT, .milli = 15000};
	p->spam[1] = (struct scanpolicy_rule){.action = ACTION_TAG, .milli = 5000};
	p->spam_count = 2;
}

int scanpolicy_parse(struct scanpolicy *out, const struct control *c, struct err *e)
{
	struct control_line line = {0};
	struct err why;
	struct scanpolicy p = {.rule = {
		[CAUSE_VIRUS] = {.action = ACTION_REJECT}, [CAUSE_BANNED] = {.action = ACTION_REJECT},
		[CAUSE_MALFORMED] = {.action = ACTION_TAG}, [CAUSE_ERROR] = {.action = ACTION_TEMPFAIL},
	}};
	while (control_next(c, C_scanpolicy, &line))
		if (parse_line(&p, line.text, line.number, &why) < 0)
			return control_fault(e, c, C_scanpolicy, line.number, "%s", why.text);
	if (!p.spam_count)
		spam_defaults(&p);
	*out = p;
	return 0;
}

bool scanpolicy_quarantines(const struct control *c)
{
	struct scanpolicy p;
	struct err e;
	bool yes = false;
	if (!control_present(c, C_scanpolicy) || scanpolicy_parse(&p, c, &e) < 0)
		return false;
	for (int k = 0; k < CAUSE_SPAM; k++)
		yes |= p.rule[k].action == ACTION_QUARANTINE;
	for (size_t i = 0; i < p.spam_count; i++)
		yes |= p.spam[i].action == ACTION_QUARANTINE;
	return yes;
}

const struct scanpolicy_rule *scanpolicy_spam(const struct scanpolicy *p, long long milli)
{
	const struct scanpolicy_rule *best = NULL;
	for (size_t i = 0; i < p->spam_count; i++)
		if (p->spam[i].milli <= milli && (!best || p->spam[i].milli > best->milli))
			best = &p->spam[i];
	return best;
}
