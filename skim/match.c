/* Patterns: see match.h.  The expressions come from the administrator, the subjects from anybody: match, depth and heap limits keep a
 * hostile message from taking long.  No JIT, so no executable memory. */
#include "skim/match.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MATCH_LIMIT 1000000
#define DEPTH_LIMIT 10000
#define HEAP_LIMIT_KIB 4096

int pattern_make(struct pattern *out, enum pattern_kind kind, struct slice header, struct slice text, struct err *e)
{
	bool regex = slice_starts(text, "~");
	struct slice source = regex ? slice_from(text, 1) : text;
	*out = (struct pattern){kind, header, text, NULL};
	if (source.n == 0)
		return err_set(e, E_SYNTAX, "an empty pattern would match everything");
	if (!regex && kind != PATTERN_BODY)
		return 0;
	int code;
	size_t at;
	out->code = pcre2_compile((PCRE2_SPTR)source.p, source.n, PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
	if (out->code)
		return 0;
	char why[120];
	pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
	return err_set(e, E_SYNTAX, "the regular expression is wrong at its character %zu: %s", at + 1, why);
}

void pattern_free(struct pattern *p)
{
	pcre2_code_free(p->code);
	p->code = NULL;
}

static int match_regex(const struct pattern *p, struct slice subject)
{
	static pcre2_match_data *data;
	static pcre2_match_context *limits;
	if (!data)
		data = pcre2_match_data_create(1, NULL);
	if (!limits && (limits = pcre2_match_context_create(NULL))) {
		pcre2_set_match_limit(limits, MATCH_LIMIT);
		pcre2_set_depth_limit(limits, DEPTH_LIMIT);
		pcre2_set_heap_limit(limits, HEAP_LIMIT_KIB);
	}
	if (!data || !limits)
		return E_TOO_LONG;
	subject = slice_upto(subject, PATTERN_SUBJECT_MAX);
	int rc = pcre2_match(p->code, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0, 0, data, limits);
	return rc >= 0 ? 1 : rc == PCRE2_ERROR_NOMATCH ? 0 : E_TOO_LONG;
}

int pattern_match(const struct pattern *p, struct slice subject)
{
	return p->code ? match_regex(p, subject) : slice_eq(p->text, subject);
}
