/* Every line of every control file by the parser of the program that reads it, so that what `postern check` accepts is what the
 * programs accept. */
#include "control/lint.h"
#include "lib/addr.h"

#include <stdio.h>

#define WHY_MAX 200

/* Each takes one line or word; 0, or -1 with the reason in WHY. */
typedef int check_line(const struct control *c, struct slice text, char why[WHY_MAX]);

static int check_host(const struct control *c, struct slice text, char why[WHY_MAX])
{
	(void)c;
	if (addr_check_domain(text, false) == 0 && text.p[0] != '[')
		return 0;
	snprintf(why, WHY_MAX, "\"%.*s\" is not a host name", (int)slice_upto(text, 80).n, text.p);
	return -1;
}

static int check_domain(const struct control *c, struct slice text, char why[WHY_MAX])
{
	struct slice name = slice_starts(text, ".") ? slice_from(text, 1) : text;
	if (check_host(c, name, why) == 0)
		return 0;
	snprintf(why, WHY_MAX, "\"%.*s\" is not a domain (name, or .name for all below it)", (int)slice_upto(text, 80).n, text.p);
	return -1;
}

static int check_local_part(const struct control *c, struct slice text, char why[WHY_MAX])
{
	(void)c;
	if (text.n <= 64 && text.n > 0 && slice_find(text, '@') == text.n && slice_printable(text))
		return 0;
	snprintf(why, WHY_MAX, "a name of at most 64 characters without @ and domain is wanted");
	return -1;
}

/* Where a table has a row for a file of several lines, each line is checked; for a word or text, its one line. */
static const struct {
	enum control_id id;
	check_line *check;
} table[] = {
	{C_me, check_host},
	{C_locals, check_domain},
	{C_rcpthosts, check_domain},
	{C_ldapclusterhosts, check_host},
	{C_bouncefrom, check_local_part},
	{C_bouncehost, check_host},
	{C_doublebounceto, check_local_part},
	{C_doublebouncehost, check_host},
};

void lint_lines(struct lint *l)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct control_line line = {0};
		char why[WHY_MAX];
		while (control_next(l->c, table[i].id, &line))
			if (table[i].check(l->c, line.text, why) != 0)
				lint_fault(l, table[i].id, line.number, "%s", why);
	}
}
