/* From findings to an action and its words: see verdict.h.  Names of viruses and attachments come from hostile octets through
 * processes that may be taken over: they are shown as printable ASCII, cut, and decide nothing. */
#include "scanner-bridge/verdict.h"

#include <stdio.h>

#define SHOWN_MAX 100 /* octets of a name shown to people */

static void set_text(char dst[INSPECT_TEXT_MAX + 1], struct slice text)
{
	size_t n = text.n < INSPECT_TEXT_MAX ? text.n : INSPECT_TEXT_MAX;
	for (size_t i = 0; i < n; i++)
		dst[i] = (char)(text.p[i] >= ' ' && text.p[i] < 127 ? text.p[i] : '?');
	dst[n] = '\0';
}

void facts_add(struct facts *f, enum virus_verdict verdict, struct slice text)
{
	if (verdict == VIRUS_FOUND && !f->virus[0])
		set_text(f->virus, text);
	if (verdict == VIRUS_ERROR && !f->error[0])
		set_text(f->error, text.n ? text : slice_str("unknown error"));
}

static void consider(struct decision *d, enum cause cause, const struct scanpolicy_rule *rule)
{
	if (d->cause == CAUSE_NONE || rule->action > d->action)
		*d = (struct decision){rule->action, cause, rule->line};
}

struct decision decide(const struct scanpolicy *p, const struct facts *f)
{
	struct decision d = {ACTION_PASS, CAUSE_NONE, 0};
	const struct scanpolicy_rule *spam = f->spam_checked ? scanpolicy_spam(p, f->spam.milli) : NULL;
	if (f->virus[0])
		consider(&d, CAUSE_VIRUS, &p->rule[CAUSE_VIRUS]);
	if (f->in.banned_count)
		consider(&d, CAUSE_BANNED, &p->rule[CAUSE_BANNED]);
	if (f->error[0])
		consider(&d, CAUSE_ERROR, &p->rule[CAUSE_ERROR]);
	if (spam)
		consider(&d, CAUSE_SPAM, spam);
	if (f->in.malformed)
		consider(&d, CAUSE_MALFORMED, &p->rule[CAUSE_MALFORMED]);
	return d;
}

void malformed_text(struct buf *b, unsigned malformed)
{
	const char *comma = "";
	for (int i = 0; i < MALFORMED_KINDS; i++)
		if (malformed & 1u << i) {
			buf_add_format(b, "%s%s", comma, malformed_words[i]);
			comma = ",";
		}
}

static void shown(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n && i < SHOWN_MAX; i++)
		buf_add_char(b, s.p[i] >= ' ' && s.p[i] < 127 && s.p[i] != '"' && s.p[i] != '\\' ? s.p[i] : '?');
}

static void add_score(struct buf *b, long long milli)
{
	long long tenths = (milli < 0 ? -milli : milli) / 100;
	buf_add_format(b, "%s%lld.%lld", milli <= -100 ? "-" : "", tenths / 10, tenths % 10);
}

void verdict_reason(struct buf *b, const struct decision *d, const struct facts *f)
{
	switch (d->cause) {
	case CAUSE_VIRUS:
		buf_add_str(b, "virus ");
		shown(b, slice_str(f->virus));
		break;
	case CAUSE_BANNED:
		buf_add_str(b, "attachment \"");
		shown(b, f->in.banned[0].name.n ? f->in.banned[0].name : f->in.banned[0].type);
		buf_add_str(b, "\" is not accepted here");
		break;
	case CAUSE_MALFORMED:
		buf_add_str(b, "its MIME structure is ambiguous: ");
		malformed_text(b, f->in.malformed);
		break;
	case CAUSE_SPAM:
		buf_add_str(b, "it looks like spam, score ");
		add_score(b, f->spam.milli);
		break;
	default:
		buf_add_str(b, "it could not be scanned");
	}
}

void verdict_answer(char text[512], const struct decision *d, const struct facts *f, const char *id)
{
	struct buf why = BUF_INIT(400);
	if (d->action == ACTION_REJECT) {
		verdict_reason(&why, d, f);
		snprintf(text, 512, "550 5.7.1 message refused: %.*s (%s)", SLICE_FMT(buf_slice(&why)), id);
	} else if (d->action == ACTION_DISCARD) {
		snprintf(text, 512, "250 2.0.0 ok %s", id);
	} else if (d->cause == CAUSE_ERROR) {
		snprintf(text, 512, "451 4.7.1 message could not be scanned now, try again later (%s)", id);
	} else {
		verdict_reason(&why, d, f);
		snprintf(text, 512, "451 4.7.1 message not accepted now: %.*s (%s)", SLICE_FMT(buf_slice(&why)), id);
	}
	buf_free(&why);
}
