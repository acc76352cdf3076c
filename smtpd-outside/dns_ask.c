/* Questions to libunbound whose asker may leave before the answer: see dns.h.  Part of postern-dns.
 *
 * ub_cancel() only silences a question: libunbound goes on asking, with a socket, until a server answers or its own tries are over, which takes up to a minute
 * (deliver/resolve.c).  So nothing is cancelled; what was left is counted until it ends, and with it what may be asked. */
#include <stdlib.h>

#include "smtpd-outside/dns.h"

enum { CLASS_IN = 1 };

struct dns_ask {
	struct dns_ask *prev, *next;
	struct dns *d;
	struct dns_asks *of;
	dns_heard *heard;
	void *arg;       /* NULL: nobody waits */
};

static void forget(struct dns_ask *a)
{
	struct dns_asks *of = a->of;
	*(a->prev ? &a->prev->next : &of->first) = a->next;
	if (a->next)
		a->next->prev = a->prev;
	*(a->arg ? &of->open : &of->left) -= 1;
	free(a);
}

static void answered(void *arg, int error, struct ub_result *r)
{
	struct dns_ask *a = arg;
	struct dns *d = a->d;
	dns_heard *heard = a->heard;
	void *who = a->arg;
	forget(a);
	if (who)
		heard(d, who, error ? NULL : r);
	if (r)
		ub_resolve_free(r);
}

struct dns_ask *dns_ask(struct dns *d, struct dns_asks *of, const char *name, int type, dns_heard *heard, void *arg)
{
	int id;
	struct dns_ask *a = d->resolver.ctx ? malloc(sizeof *a) : NULL;
	if (!a)
		return NULL;
	*a = (struct dns_ask){.next = of->first, .d = d, .of = of, .heard = heard, .arg = arg};
	if (ub_resolve_async(d->resolver.ctx, name, type, CLASS_IN, a, answered, &id)) {
		free(a);
		return NULL;
	}
	if (of->first)
		of->first->prev = a;
	of->first = a;
	of->open++;
	return a;
}

void dns_leave(struct dns_ask *a)
{
	a->arg = NULL;
	a->of->open--;
	a->of->left++;
}

void dns_asks_free(struct dns_asks *of)
{
	while (of->first)
		forget(of->first);
}
