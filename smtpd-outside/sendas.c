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
	bool domain = address.n > 1 && address.p[0] == '@';
	if (text.n > SENDAS_LINE_MAX || !user.n || !address.n || !slice_printable(text))
		return err_set(e, E_SYNTAX, "a line is uid:address, uid:@domain, *:address or *:@domain");
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

int sendas_read(struct sendas *s, bool *refuse_others, const struct control *c, struct err *e)
{
	struct err why;
	size_t room = 0;
	*s = (struct sendas){0};
	if (sendas_parse_others(refuse_others, control_word(c, C_sendasothers), &why) < 0)
		return control_fault(e, c, C_sendasothers, 1, "%s", why.text);
	for (struct control_line line = {0}; control_next(c, C_sendas, &line); ) {
		if (sendas_parse_line(line.text, &why) < 0)
			return control_fault(e, c, C_sendas, line.number, "%s", why.text);
		if (s->count == room) {
			struct slice *more = reallocarray(s->line, room = room ? room * 2 : 64, sizeof *more);
			if (!more)
				return err_sys(e, "memory for control/sendas");
			s->line = more;
		}
		s->line[s->count++] = line.text;
	}
	if (s->count)
		qsort(s->line, s->count, sizeof *s->line, order);
	return 0;
}

void sendas_free(struct sendas *s)
{
	free(s->line);
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
	if (!s->count || slice_eq(user, all) || slice_find(user, ':') < user.n)
		return false; /* names that a line cannot tell from another meaning */
	return has(s, user, local, domain) || has(s, user, any, domain) || has(s, all, local, domain) || has(s, all, any, domain);
}
