/* control/banned: see banned.h.  Patterns are the administrator's, names come from hostile mail. */
#include "scanner-bridge/banned.h"

#include "lib/glob.h"

static const char *check_type(struct slice line)
{
	struct slice rest = line, kind, sub;
	slice_cut(&kind, &rest, '/');
	slice_cut(&sub, &rest, '/');
	if (!kind.n || !sub.n || rest.p)
		return "a MIME type is TYPE/SUBTYPE or TYPE/*; a name pattern has no slash";
	if (slice_find(kind, '*') < kind.n || (slice_find(sub, '*') < sub.n && sub.n > 1))
		return "in a MIME type \"*\" stands only for the whole subtype: TYPE/*";
	return NULL;
}

static const char *add_line(struct banned *b, struct slice line)
{
	bool type = slice_find(line, '/') < line.n;
	if (line.n > BANNED_LINE_MAX)
		return "the pattern is longer than 128 octets";
	if (type && check_type(line))
		return check_type(line);
	if (!type && slice_find(line, '\\') < line.n)
		return "a name pattern has no backslash: folders do not count";
	if (b->name_count + b->type_count == BANNED_MAX)
		return "more than 1000 lines";
	if (type)
		b->types[b->type_count++] = line;
	else
		b->names[b->name_count++] = line;
	return NULL;
}

int banned_parse(struct banned *out, const struct control *c, struct err *e)
{
	struct control_line line = {0};
	out->name_count = out->type_count = 0;
	while (control_next(c, C_banned, &line)) {
		const char *why = add_line(out, line.text);
		if (why)
			return control_fault(e, c, C_banned, line.number, "%s", why);
	}
	return 0;
}

static struct slice match_names(const struct banned *b, struct slice name)
{
	for (size_t i = 0; i < b->name_count; i++)
		if (glob_match(b->names[i], name))
			return b->names[i];
	return (struct slice){0};
}

static struct slice match_trimmed(const struct banned *b, struct slice name)
{
	struct slice hit = match_names(b, name), cut = name;
	while (cut.n && strchr(". \t\r\n", cut.p[cut.n - 1]) && cut.p[cut.n - 1])
		cut.n--;
	return hit.n || cut.n == name.n ? hit : match_names(b, cut);
}

static size_t separator(struct slice s)
{
	size_t a = slice_find(s, '/'), b = slice_find(s, '\\');
	return a < b ? a : b;
}

struct slice banned_name(const struct banned *b, struct slice name)
{
	struct slice hit = match_trimmed(b, name);
	struct slice rest = name;
	for (size_t at; !hit.n && rest.n; rest = slice_from(rest, at + 1)) {
		at = separator(rest);
		hit = match_trimmed(b, slice_upto(rest, at));
	}
	return hit;
}

struct slice banned_type(const struct banned *b, struct slice type)
{
	for (size_t i = 0; i < b->type_count; i++)
		if (glob_match(b->types[i], type))
			return b->types[i];
	return (struct slice){0};
}
