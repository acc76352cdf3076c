/* See sendas.h.  Read by postern-smtpd before confinement; the file is the administrator's, what is looked up the client's. */
#include "smtpd-outside/sendas.h"

#include <stdlib.h>

#include "lib/addr.h"
#include "lib/buf.h"

int sendas_parse_line(struct slice text, struct err *e)
{
	struct addr a;
	size_t colon = slice_find(text, ':');
	struct slice user = slice_upto(text, colon), address = slice_from(text, colon + 1);
	bool domain = address.n > 1 && address.p[0] == '@', group = slice_starts(user, "%");
	if (text.n > SENDAS_LINE_MAX || !user.n || !address.n || !slice_printable(text))
		return err_set(e, E_SYNTAX, "a line is WHO:address or WHO:@domain, WHO a uid, * or %%group@domain");
	if (group && (addr_parse_mailbox(&a, slice_from(user, 1), true) < 0 || !a.domain.n))
		return err_set(e, E_SYNTAX, "%.*s is not the address of a group", SLICE_FMT(slice_from(slice_upto(user, 300), 1)));
	if (domain ? addr_check_domain(slice_from(address, 1), true) < 0 : addr_parse_mailbox(&a, address, true) < 0 || !a.domain.n)
		return err_set(e, E_SYNTAX, "%.*s is neither an address nor @domain", SLICE_FMT(slice_upto(address, 300)));
	return 0;
}

int sendas_parse_others(bool *refuse, struct slice text, struct err *e)
{
	*refuse = slice_eq_str(text, "refuse");
	return *refuse || slice_eq_str(text, "record") ? 0 : err_set(e, E_SYNTAX, "the word is record or refuse");
}

static int order(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;
	int c = strncasecmp(x->p, y->p, x->n < y->n ? x->n : y->n);
	return c ? c : (x->n > y->n) - (x->n < y->n);
}

static int address_order(const void *a, const void *b)
{
	const struct sendas_group *x = a, *y = b;
	return order(&x->address, &y->address);
}

/* LIST with room for one more of EACH octets behind COUNT; NULL without memory, LIST stays. */
static void *room(void *list, size_t count, size_t each)
{
	return count & (count - 1) ? list : reallocarray(list, count ? count * 2 : 1, each);
}

static int add_line(struct sendas *s, struct slice text, struct err *e)
{
	size_t colon = slice_find(text, ':');
	bool is_group = slice_starts(text, "%");
	struct sendas_group *group = is_group ? room(s->group, s->groups, sizeof *group) : NULL;
	struct slice *line = is_group ? NULL : room(s->line, s->count, sizeof *line);
	if (!group && !line)
		return err_sys(e, "memory for control/sendas");
	if (is_group) {
		s->group = group;
		s->group[s->groups++] = (struct sendas_group){slice_from(text, colon + 1), slice_from(slice_upto(text, colon), 1)};
	} else {
		s->line = line;
		s->line[s->count++] = text;
	}
	return 0;
}

static int check_groups(const struct sendas *s, const struct control *c, struct err *e)
{
	for (size_t i = SENDAS_GROUPS_MAX; i < s->groups; i++)
		if (slice_case_eq(s->group[i].address, s->group[i - SENDAS_GROUPS_MAX].address))
			return control_fault(e, c, C_sendas, 0, "more than %d groups for %.*s", SENDAS_GROUPS_MAX, SLICE_FMT(slice_upto(s->group[i].address, 300)));
	return 0;
}

int sendas_read(struct sendas *s, bool *refuse_others, const struct control *c, struct err *e)
{
	struct err why;
	int rc = 0;
	*s = (struct sendas){0};
	if (sendas_parse_others(refuse_others, control_word(c, C_sendasothers), &why) < 0)
		return control_fault(e, c, C_sendasothers, 1, "%s", why.text);
	for (struct control_line line = {0}; rc == 0 && control_next(c, C_sendas, &line); ) {
		if (sendas_parse_line(line.text, &why) < 0)
			return control_fault(e, c, C_sendas, line.number, "%s", why.text);
		rc = add_line(s, line.text, e);
	}
	if (s->count)
		qsort(s->line, s->count, sizeof *s->line, order);
	if (s->groups)
		qsort(s->group, s->groups, sizeof *s->group, address_order);
	return rc < 0 ? rc : check_groups(s, c, e);
}

void sendas_free(struct sendas *s)
{
	free(s->line);
	free(s->group);
	*s = (struct sendas){0};
}

static bool has(const struct sendas *s, struct slice user, struct slice local, struct slice domain)
{
	char space[SENDAS_LINE_MAX];
	struct buf b = BUF_OVER(space);
	buf_add_slice(&b, user);
	buf_add_char(&b, ':');
	buf_add_slice(&b, local);
	buf_add_char(&b, '@');
	buf_add_slice(&b, domain);
	struct slice key = buf_slice(&b);
	return !b.overflow && bsearch(&key, s->line, s->count, sizeof *s->line, order);
}

bool sendas_allows(const struct sendas *s, struct slice user, struct slice local, struct slice domain)
{
	const struct slice all = slice_str("*"), any = slice_make("", 0);
	if (!s->count || slice_eq(user, all) || slice_starts(user, "%") || slice_find(user, ':') < user.n)
		return false; /* names that a line cannot tell from another meaning */
	return has(s, user, local, domain) || has(s, user, any, domain) || has(s, all, local, domain) || has(s, all, any, domain);
}

size_t sendas_groups(size_t *first, const struct sendas *s, struct slice local, struct slice domain)
{
	char space[SENDAS_LINE_MAX];
	struct buf b = BUF_OVER(space);
	buf_add_slice(&b, local);
	buf_add_char(&b, '@');
	buf_add_slice(&b, domain);
	const struct slice key = buf_slice(&b);
	size_t lo = 0, hi = b.overflow ? 0 : s->groups, n = 0;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (order(&s->group[mid].address, &key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*first = lo;
	while (!b.overflow && lo + n < s->groups && slice_case_eq(s->group[lo + n].address, key))
		n++;
	return n;
}
