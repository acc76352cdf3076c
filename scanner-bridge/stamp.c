/* The fields that scanning adds to a header, and those it takes out: see verdict.h.  The header is hostile; only the fields named here
 * are touched, every other octet stays.  Field forms as SpamAssassin and clamav-milter write them, since users' filters know those. */
#include "lib/header.h"
#include "scanner-bridge/verdict.h"

#define LEVEL_MAX 50  /* stars */
#define LINE_OCTETS 76

static bool is_ours(struct slice name, struct stamp_names ours)
{
	if (ours.spam && slice_case_starts(name, "X-Spam-"))
		return true;
	return slice_case_eq_str(name, "X-Virus-Status") || slice_case_eq_str(name, "X-Virus-Scanned");
}

static bool has_ours(struct slice header, struct stamp_names ours)
{
	struct header_field f;
	while (header_next(&f, &header))
		if (is_ours(f.name, ours))
			return true;
	return false;
}

static void add_shown(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n && i < 200; i++)
		buf_add_char(b, s.p[i] >= ' ' && s.p[i] < 127 && !strchr("()\\\"", s.p[i]) ? s.p[i] : '?');
}

/* What is quarantined is marked too: it may be released. */
static bool told(const struct scanpolicy *p, enum cause cause)
{
	return p->rule[cause].action == ACTION_TAG || p->rule[cause].action == ACTION_QUARANTINE;
}

static void add_virus_fields(struct buf *b, const struct scanpolicy *p, const struct facts *f)
{
	if (f->virus[0] && told(p, CAUSE_VIRUS)) {
		buf_add_str(b, "X-Virus-Status: infected (");
		add_shown(b, slice_str(f->virus));
		buf_add_str(b, ")\n");
	}
	if (f->in.banned_count && told(p, CAUSE_BANNED)) {
		buf_add_str(b, "X-Virus-Status: banned (");
		add_shown(b, f->in.banned[0].name.n ? f->in.banned[0].name : f->in.banned[0].type);
		buf_add_str(b, ")\n");
	}
	if (f->in.malformed && told(p, CAUSE_MALFORMED)) {
		struct buf words = BUF_INIT(200);
		malformed_text(&words, f->in.malformed);
		buf_add_format(b, "X-Virus-Status: malformed (%.*s)\n", SLICE_FMT(buf_slice(&words)));
		buf_free(&words);
	}
	if (f->virus_unchecked)
		buf_add_str(b, "X-Virus-Status: unchecked\n");
	if (f->spam_unchecked)
		buf_add_str(b, "X-Spam-Status: unchecked\n");
}

static void add_milli(struct buf *b, long long milli)
{
	long long tenths = (milli < 0 ? -milli : milli) / 100;
	buf_add_format(b, "%s%lld.%lld", milli <= -100 ? "-" : "", tenths / 10, tenths % 10);
}

/* "tests=A,B,C", folded after commas. */
static void add_tests(struct buf *b, struct slice tests)
{
	struct slice one;
	size_t line = strlen("\ttests=");
	buf_add_str(b, "\n\ttests=");
	if (!tests.n)
		buf_add_str(b, "none");
	for (bool first = true; tests.p && tests.n && slice_cut(&one, &tests, ','); first = false) {
		if (!first)
			buf_add_char(b, ',');
		if (!first && line + one.n + 2 > LINE_OCTETS) {
			buf_add_str(b, "\n\t");
			line = 1;
		}
		buf_add_slice(b, one);
		line += one.n + 1;
	}
	buf_add_char(b, '\n');
}

/* The score from which on the policy does something; what spamd was told where it never does. */
static long long required(const struct scanpolicy *p, const struct facts *f)
{
	const struct scanpolicy_rule *low = NULL;
	for (size_t i = 0; i < p->spam_count; i++)
		if (p->spam[i].action != ACTION_PASS && (!low || p->spam[i].milli < low->milli))
			low = &p->spam[i];
	return low ? low->milli : f->spam.required_milli;
}

static void add_spam_fields(struct buf *b, const struct scanpolicy *p, const struct facts *f)
{
	const struct scanpolicy_rule *rule = scanpolicy_spam(p, f->spam.milli);
	bool yes = rule && rule->action != ACTION_PASS;
	long long stars = f->spam.milli / 1000;
	if (yes)
		buf_add_str(b, "X-Spam-Flag: YES\n");
	if (stars > 0) {
		buf_add_str(b, "X-Spam-Level: ");
		for (long long i = 0; i < stars && i < LEVEL_MAX; i++)
			buf_add_char(b, '*');
		buf_add_char(b, '\n');
	}
	buf_add_format(b, "X-Spam-Status: %s, score=", yes ? "Yes" : "No");
	add_milli(b, f->spam.milli);
	buf_add_str(b, " required=");
	add_milli(b, required(p, f));
	add_tests(b, slice_str(f->spam.tests));
}

bool stamp_header(struct buf *b, struct slice header, struct stamp_names ours, const struct scanpolicy *p,
	const struct facts *f)
{
	struct header_field field;
	add_virus_fields(b, p, f);
	if (f->spam_checked)
		add_spam_fields(b, p, f);
	if (!b->n && !has_ours(header, ours))
		return false;
	while (header_next(&field, &header))
		if (!is_ours(field.name, ours))
			buf_add_slice(b, field.whole);
	buf_add_slice(b, header);
	return true;
}
