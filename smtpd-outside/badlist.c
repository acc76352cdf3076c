/* See badlist.h.  Runs in the parent (reading, as the administrator wrote it) and in sessions (asking, with what the client says). */
#include "smtpd-outside/badlist.h"

#include <stdlib.h>

#include "lib/addr.h"
#include "lib/glob.h"

static const char *check_address(struct slice text)
{
	size_t at = slice_rfind(text, '@');
	struct slice domain = slice_from(text, at + 1);
	if (at == text.n)
		return "user@host, @host, @.suffix, user@ or a pattern with * and ? is wanted";
	if (!domain.n)
		return at ? NULL : "an @ alone says nothing";
	if (domain.p[0] == '.')
		domain = slice_from(domain, 1);
	return addr_check_domain(domain, true) ? "what follows the @ is no domain" : NULL;
}

static const char *check_host(struct slice text)
{
	struct slice name = text.p[0] == '.' ? slice_from(text, 1) : text;
	return name.n ? NULL : "a dot alone says nothing";
}

/* ".*" and "^" can begin no address and no host: whoever writes so means a regular expression, which would never match here. */
static bool regular_expression(struct slice text)
{
	return slice_starts(text, "!") || slice_starts(text, ".*") || slice_starts(text, "^");
}

int badlist_parse_line(struct badlist_line *out, struct slice text, bool hosts, struct err *e)
{
	const char *why = NULL;
	*out = (struct badlist_line){.except = slice_starts(text, "-")};
	out->text = out->except ? slice_from(text, 1) : text;
	out->pattern = slice_find(out->text, '*') < out->text.n || slice_find(out->text, '?') < out->text.n;
	if (regular_expression(out->text))
		why = "lines with !, ^ or .* in front are regular expressions of another patch and are not read; * stands for any text, - excepts an address";
	else if (text.n > BADLIST_LINE_MAX)
		why = "longer than any address";
	else if (!out->text.n || slice_find(out->text, ' ') < out->text.n || slice_find(out->text, '\t') < out->text.n)
		why = "one word is wanted";
	else if (!out->pattern)
		why = hosts ? check_host(out->text) : check_address(out->text);
	return why ? err_set(e, E_SYNTAX, "%s", why) : 0;
}

/* The place of TEXT, or the empty one where it would be. */
static struct badlist_line *place(const struct badlist *b, struct slice text)
{
	char space[BADLIST_LINE_MAX];
	text = slice_upto(text, sizeof space);
	for (size_t i = 0; i < text.n; i++)
		space[i] = text.p[i] >= 'A' && text.p[i] <= 'Z' ? (char)(text.p[i] + 32) : text.p[i];
	size_t at = (size_t)hash_of(&b->key, 0, slice_make(space, text.n)) & (b->room - 1);
	while (b->exact[at].text.n && !slice_case_eq(b->exact[at].text, text))
		at = (at + 1) & (b->room - 1);
	return &b->exact[at];
}

static int add(struct badlist *b, const struct badlist_line *line, struct err *e)
{
	if (line->pattern && b->patterns == BADLIST_PATTERNS_MAX)
		return err_set(e, E_SYNTAX, "more than %d patterns", BADLIST_PATTERNS_MAX);
	if (line->pattern) {
		b->pattern[b->patterns++] = *line;
		return 0;
	}
	struct badlist_line *p = place(b, line->text);
	bool except = p->except || line->except;
	*p = *line;
	p->except = except;
	b->count++;
	return 0;
}

static size_t count_lines(const struct control *c, const enum control_id *files, size_t count)
{
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		for (struct control_line line = {0}; control_next(c, files[i], &line); )
			n++;
	return n;
}

static int read_file(struct badlist *b, const struct control *c, enum control_id file, bool hosts, struct err *e)
{
	struct badlist_line out;
	struct err why;
	if (slice_case_starts(control_blob(c, file), "#regex"))
		return control_fault(e, c, file, 1, "regular expressions are not read: write patterns with * and ?, and - before exceptions");
	for (struct control_line line = {0}; control_next(c, file, &line); )
		if (badlist_parse_line(&out, line.text, hosts, &why) < 0 || add(b, &out, &why) < 0)
			return control_fault(e, c, file, line.number, "%s", why.text);
	return 0;
}

int badlist_read(struct badlist *b, const struct control *c, const enum control_id *files, size_t count, bool hosts, struct err *e)
{
	size_t lines = count_lines(c, files, count);
	int rc = 0;
	*b = (struct badlist){.room = 16};
	if (!lines)
		return 0;
	while (b->room < 2 * lines)
		b->room *= 2;
	b->key = hash_key_make();
	b->exact = calloc(b->room, sizeof *b->exact);
	b->pattern = calloc(lines < BADLIST_PATTERNS_MAX ? lines : BADLIST_PATTERNS_MAX, sizeof *b->pattern);
	if (!b->exact || !b->pattern)
		rc = err_sys(e, "%s", control_files[files[0]].name);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = read_file(b, c, files[i], hosts, e);
	if (rc < 0)
		badlist_free(b);
	return rc;
}

void badlist_free(struct badlist *b)
{
	free(b->exact);
	free(b->pattern);
	*b = (struct badlist){0};
}

struct asking {
	const struct badlist *b;
	struct slice which;
	bool refused, except;
};

static void told(struct asking *a, const struct badlist_line *line)
{
	a->except |= line->except;
	if (!line->except && !a->refused) {
		a->refused = true;
		a->which = line->text;
	}
}

static void ask(struct asking *a, struct slice text)
{
	const struct badlist_line *line = text.n && text.n <= BADLIST_LINE_MAX ? place(a->b, text) : NULL;
	if (line && line->text.n)
		told(a, line);
}

static void ask_patterns(struct asking *a, struct slice text)
{
	for (size_t i = 0; i < a->b->patterns; i++)
		if (glob_match(a->b->pattern[i].text, text))
			told(a, &a->b->pattern[i]);
}

/* PREFIX and every ".suffix" of DOMAIN. */
static void ask_suffixes(struct asking *a, const char *prefix, struct slice domain)
{
	char space[BADLIST_LINE_MAX];
	for (size_t at = slice_find(domain, '.'); at < domain.n; at += 1 + slice_find(slice_from(domain, at + 1), '.')) {
		struct buf key = {space, 0, sizeof space, sizeof space, false};
		buf_add_str(&key, prefix);
		buf_add_slice(&key, slice_from(domain, at));
		if (!key.overflow)
			ask(a, buf_slice(&key));
	}
}

static bool verdict(const struct asking *a, struct slice *which)
{
	*which = a->which;
	return a->refused && !a->except;
}

bool badlist_address(const struct badlist *b, struct slice address, struct slice *which)
{
	struct asking a = {.b = b};
	size_t at = slice_rfind(address, '@');
	*which = slice_make("", 0);
	if (!b->exact)
		return false;
	ask(&a, address);
	ask(&a, slice_from(address, at));
	ask(&a, slice_upto(address, at + 1));
	ask_suffixes(&a, "@", slice_from(address, at + 1));
	ask_patterns(&a, address);
	return verdict(&a, which);
}

bool badlist_host(const struct badlist *b, struct slice host, struct slice *which)
{
	struct asking a = {.b = b};
	*which = slice_make("", 0);
	if (!b->exact)
		return false;
	ask(&a, host);
	ask_suffixes(&a, "", host);
	ask_patterns(&a, host);
	return verdict(&a, which);
}
