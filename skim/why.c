/* Plain words for the helpdesk: see rules.h.  Numbers are ours, texts from the place database and from messages; json_escape() and the log's quoting make
 * them harmless where they are shown. */
#include <stdio.h>

#include "skim/rules.h"

#define RULE_BIT(r) ((uint64_t)1 << (r))

static const char *span(char text[32], int64_t sec)
{
	if (sec < 120)
		snprintf(text, 32, "%lld s", (long long)(sec < 0 ? 0 : sec));
	else if (sec < 2 * 3600)
		snprintf(text, 32, "%lld min", (long long)(sec / 60));
	else if (sec < 2 * DAY)
		snprintf(text, 32, "%lld h", (long long)(sec / 3600));
	else
		snprintf(text, 32, "%lld days", (long long)(sec / DAY));
	return text;
}

/* "Lagos/NG" */
static const char *where(char text[48], const struct hit *h)
{
	char cc[3];
	country_text(cc, h->to);
	snprintf(text, 48, "%.*s%s%s", CITY_MAX - 1, h->text, h->text[0] ? "/" : "", h->to ? cc : "an unknown country");
	return text;
}

static void login_words(struct buf *b, enum rule r, const struct hit *h)
{
	char at[48], time[32], from[3];
	where(at, h);
	country_text(from, h->from);
	switch (r) {
	case R_L1:
		buf_add_format(b, "logged in from %s %s after %s (%ld km)", at, span(time, h->a), from, h->b);
		break;
	case R_L2:
		buf_add_format(b, "logged in from %ld foreign countries within a day", h->a);
		break;
	case R_L3:
		buf_add_format(b, "logged in from %s %s after %s", at, span(time, h->a), from);
		break;
	case R_L4:
		buf_add_format(b, "logged in through a hosting provider never used before (AS%ld)", h->a);
		break;
	case R_L5:
		buf_add_format(b, "logged in from a network that nobody here used before (AS%ld, %s)", h->a, at);
		break;
	case R_L6:
		buf_add_str(b, "logged in through an anonymous proxy or a listed address");
		break;
	case R_L7:
		buf_add_format(b, "logged in from %ld %s within a day", h->a, h->b ? "addresses" : "networks");
		break;
	case R_L8:
		buf_add_format(b, "%ld wrong passwords from %ld or more networks within an hour before a login", h->a, h->b);
		break;
	case R_L9:
		buf_add_format(b, "logged in from an address that had failed for %ld users within an hour", h->a);
		break;
	case R_L10:
		buf_add_str(b, "logged in with a program never used before");
		break;
	case R_L11:
		buf_add_format(b, "used from %s and %s at the same time", at, from);
		break;
	case R_L12:
		buf_add_str(b, "active at an hour never used before");
		break;
	case R_L13:
		buf_add_format(b, "logged in from %s for the first time", at);
		break;
	default:
		break;
	}
}

static void send_words(struct buf *b, enum rule r, const struct hit *h)
{
	switch (r) {
	case R_S1:
		buf_add_format(b, "%ld recipients outside within an hour", h->a);
		break;
	case R_S2:
		buf_add_format(b, "%ld recipients within a day", h->a);
		break;
	case R_S3:
		buf_add_format(b, "%ld recipients, %ld of them nonexistent", h->b, h->a);
		break;
	case R_S4:
		buf_add_format(b, "%ld%% of %ld recipients within a day do not exist", h->a, h->b);
		break;
	case R_S5:
		buf_add_format(b, "%ld of %ld recipients within a day never written to before", h->a, h->b);
		break;
	case R_S6:
		buf_add_format(b, "%ld recipients in the order of an address book", h->a);
		break;
	case R_S7:
		buf_add_format(b, "one message to %ld recipients", h->a);
		break;
	case R_F1:
		buf_add_format(b, "sent under an address that is not the user's (%ld recipients within an hour)", h->a);
		break;
	case R_F2:
		buf_add_format(b, "answers are directed to a new address at %s", h->text);
		break;
	case R_C1:
		buf_add_format(b, "the same text with a link to %ld recipients", h->a);
		break;
	case R_C2:
		buf_add_format(b, h->a ? "a link to %s, which is listed as bad" : "a link to %s, which nobody here used before", h->text);
		break;
	case R_X1:
		buf_add_format(b, "%ld %s complained of mail from this user within a week", h->a, h->a == 1 ? "person" : "people");
		break;
	case R_X4:
		buf_add_str(b, h->a ? "this is a canary account, which nobody may use" : "used from an address that also used a canary account");
		break;
	case R_F3:
		buf_add_format(b, "sent under the name \"%s\"", h->text);
		break;
	case R_C3:
		buf_add_format(b, "%ld messages with spam or a virus within an hour", h->a);
		break;
	default:
		break;
	}
}

static void check_words(struct buf *b, enum rule r, const struct hit *h)
{
	char at[48], time[32], from[3];
	country_text(from, h->from);
	if (r == R_PHISHHOOK && h->b == 2)
		buf_add_str(b, "phishhook: this is the test user");
	else if (r == R_PHISHHOOK && h->b == 1)
		buf_add_format(b, "phishhook: logged in from %ld countries that are not safe", h->a);
	else if (r == R_PHISHHOOK)
		buf_add_format(b, "phishhook: logged in from %s %s after %s", where(at, h), span(time, h->a), from);
	else if (r == R_PHISHFROM)
		buf_add_format(b, "phishfrom: sent as somebody else to %ld recipients", h->a);
	else if (r == R_PHISHLIMIT || r == R_RATELIMIT)
		buf_add_format(b, "%s: %ld recipients within %ld s", rule_info[r].name, h->a, h->b);
	else
		buf_add_format(b, "matches a pattern of control/skim (%s)", h->text);
}

static void words(struct buf *b, const struct user *u, enum rule r, bool old, int64_t now)
{
	const struct hit *h = &u->hits->of[r];
	char time[32];
	if (b->n > WHY_MAX - 200)
		return;
	buf_add_str(b, b->n ? "; " : "");
	if (r >= R_FIRST_CHECK)
		check_words(b, r, h);
	else if (rule_info[r].family == FAMILY_LOGIN)
		login_words(b, r, h);
	else
		send_words(b, r, h);
	if (old && now - h->time >= 120)
		buf_add_format(b, " %s ago", span(time, now - h->time));
}

void why_rule(char out[WHY_MAX + 1], const struct user *u, enum rule r, int64_t now)
{
	struct buf b = BUF_INIT(WHY_MAX);
	words(&b, u, r, false, now);
	memcpy(out, b.p ? b.p : "", b.n);
	out[b.n] = 0;
	buf_free(&b);
}

void why_text(char out[WHY_MAX + 1], const struct user *u, const struct skim_config *cfg, uint64_t first, int64_t now)
{
	struct buf b = BUF_INIT(WHY_MAX);
	char time[32];
	if (u->state == USER_LOCKED && u->since < now)
		buf_add_format(&b, "the account was locked %s ago (%s)", span(time, now - u->since), u->code);
	if (u->mark)
		buf_add_format(&b, "%san operator said %s ago: %s", b.n ? "; " : "", span(time, now - u->mark->time), u->mark->why);
	for (int r = 0; u->hits && r < R_COUNT; r++)
		if (first & RULE_BIT(r))
			words(&b, u, r, false, now);
	for (int r = 0; u->hits && r < R_COUNT; r++)
		if (!(first & RULE_BIT(r)) && hit_points(&u->hits->of[r], &cfg->rule[r], now) > 0)
			words(&b, u, r, true, now);
	memcpy(out, b.p ? b.p : "", b.n);
	out[b.n] = 0;
	buf_free(&b);
}
