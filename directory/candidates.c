/* Keys of an address: see candidates.h.  A quoted local part has no extensions. */
#include "directory/candidates.h"

static void add(struct candidates *c, struct slice local, const char *more, struct slice domain)
{
	size_t n = strlen(more), used = c->count ? (size_t)(c->key[c->count - 1].p - c->space) + c->key[c->count - 1].n : 0;
	char *p = c->space + used;
	memcpy(p, local.p, local.n);
	memcpy(p + local.n, more, n);
	memcpy(p + local.n + n, domain.p, domain.n);
	c->key[c->count++] = slice_make(p, local.n + n + domain.n);
}

/* user-a-catchall, user-catchall: shorter and shorter, from the fourth dash on. */
static void add_dashes(struct candidates *c, struct slice local, struct slice domain)
{
	struct slice part = local;
	size_t dashes = 0;
	for (size_t i = 0; i < local.n; i++)
		if (local.p[i] == '-' && ++dashes == DASHES_MAX) {
			part = slice_upto(local, i + 1);
			break;
		}
	for (size_t at; (at = slice_rfind(part, '-')) < part.n && at > 0; )  {
		part = slice_upto(part, at);
		add(c, part, "-catchall", domain);
	}
}

void candidates_make(struct candidates *c, struct slice key)
{
	size_t at = slice_rfind(key, '@'), plus;
	struct slice local = slice_upto(key, at), domain = slice_from(key, at);
	c->count = 0;
	add(c, local, "", domain);
	if (!slice_starts(local, "\"")) {
		plus = slice_find(local, '+');
		if (plus > 0 && plus < local.n) {
			local = slice_upto(local, plus);
			add(c, local, "", domain);
		}
		add_dashes(c, local, domain);
	}
	if (!slice_eq_str(local, "catchall"))
		add(c, slice_make("", 0), "catchall", domain);
}
