/* The patterns of [envelope], [headers] and [body]: exact text or a Perl regular expression with bounded effort. */
#ifndef POSTERN_SKIM_MATCH_H
#define POSTERN_SKIM_MATCH_H
#include "lib/arena.h"
#include "lib/err.h"

#define PATTERN_SUBJECT_MAX ((size_t)1 << 20) /* octets looked at; the rest of a longer text is not */

enum pattern_kind { PATTERN_SENDER, PATTERN_RECIPIENT, PATTERN_HEADER, PATTERN_BODY };

struct pattern {
	enum pattern_kind kind;
	struct slice header; /* PATTERN_HEADER: the field's name */
	struct slice text;   /* as written, "~" included */
	void *code;          /* compiled; NULL: exact */
};
/* TEXT is "~REGEX" or exact text; in [body] always a regular expression, with or without "~".  All slices are borrowed.
 * 0; E_SYNTAX with the reason and place in the expression. */
MUST_CHECK int pattern_make(struct pattern *out, enum pattern_kind kind, struct slice header, struct slice text, struct err *e);
void pattern_free(struct pattern *p);
/* 1: matches, 0: does not, E_TOO_LONG: gave up (limit of steps or memory): to be logged and taken as no match. */
int pattern_match(const struct pattern *p, struct slice subject);
#endif
