/* The rules: see rules.h.  Control files are the administrator's, who makes mistakes: every line is parsed whole.  Addresses come
 * from anybody, already parsed.  Looking one up costs two or three hashes, however many rules there are. */
#include "fixup/rules.h"

#define SHOW(s) SLICE_FMT(slice_upto((s), 80))
#define KEY_MAX (2 * ADDRESS_MAX)

static bool is_host(struct slice s)
{
	return addr_check_domain(s, false) == 0 && s.p[0] != '[' && s.p[s.n - 1] != '.';
}

static bool is_address(struct addr *a, struct slice s)
{
	return addr_parse_mailbox(a, s, false) == 0 && s.p[s.n - 1] != '.';
}

/* "OLD:NEW"; a colon in a quoted local part or in a literal does not count. */
static bool split(struct slice *from, struct slice *to, struct slice line)
{
	bool quoted = false, literal = false;
	for (size_t i = 0; i < line.n; i++) {
		char c = line.p[i];
		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '[' || c == ']'))
			literal = c == '[';
		else if (c == ':' && !quoted && !literal) {
			*from = slice_upto(line, i);
			*to = slice_from(line, i + 1);
			return true;
		}
	}
	return false;
}

static int add(struct map *m, const struct control *c, enum control_id id, int line, struct slice key, struct slice to, struct err *e)
{
	const struct map_entry *old;
	if (map_add(m, &old, key, to, line))
		return err_set(e, E_SYS, "%s: no memory", control_files[id].name);
	if (old && !slice_case_eq(map_to(m, old), to))
		return control_fault(e, c, id, line, "%.*s leads to %.*s by line %d already: remove one of the two", SHOW(key),
			SHOW(map_to(m, old)), old->line);
	return 0;
}

static int domain_line(struct map *m, const struct control *c, const struct control_line *line, struct err *e)
{
	struct slice from, to, name;
	if (!split(&from, &to, line->text))
		return control_fault(e, c, C_fixupdomains, line->number, "old.domain:new.domain is wanted, there is no colon");
	name = slice_starts(from, ".") ? slice_from(from, 1) : from;
	if (!is_host(name))
		return control_fault(e, c, C_fixupdomains, line->number, "\"%.*s\" is not a domain (name, or .name for all below it)", SHOW(from));
	if (!is_host(to))
		return control_fault(e, c, C_fixupdomains, line->number, "\"%.*s\" is not a domain to rewrite to", SHOW(to));
	return add(m, c, C_fixupdomains, line->number, from, to, e);
}

/* What a domain becomes; itself where no rule applies. */
static struct slice mapped(const struct map *domains, struct slice domain)
{
	const struct map_entry *e = map_find_domain(domains, domain);
	return e ? map_to(domains, e) : domain;
}

static int check_domain_targets(const struct map *m, const struct control *c, struct err *e)
{
	for (uint32_t i = 0; i < m->entries; i++) {
		struct slice to = map_to(m, &m->entry[i]), on = mapped(m, to);
		if (!slice_case_eq(to, on))
			return control_fault(e, c, C_fixupdomains, m->entry[i].line,
				"%.*s is itself rewritten, to %.*s by line %d: rewrite to the last domain at once", SHOW(to), SHOW(on),
				map_find_domain(m, to)->line);
	}
	return 0;
}

int fixupdomains_parse(struct map *domains, const struct control *c, struct err *e)
{
	struct control_line line = {0};
	int rc = 0;
	*domains = MAP_INIT;
	while (rc == 0 && control_next(c, C_fixupdomains, &line))
		rc = domain_line(domains, c, &line, e);
	if (rc == 0)
		rc = check_domain_targets(domains, c, e);
	if (rc)
		map_free(domains);
	return rc;
}

static int check_source(const struct map *domains, const struct control *c, int line, const struct addr *from, struct err *e)
{
	struct slice on = mapped(domains, from->domain);
	if (slice_case_eq(from->domain, on))
		return 0;
	return control_fault(e, c, C_canonical, line,
		"can never apply: fixupdomains line %d rewrites %.*s to %.*s first; write the line for %.*s",
		map_find_domain(domains, from->domain)->line, SHOW(from->domain), SHOW(on), SHOW(on));
}

static int check_target(const struct map *domains, const struct control *c, int line, const struct addr *to, struct err *e)
{
	struct slice on = mapped(domains, to->domain);
	if (slice_case_eq(to->domain, on))
		return 0;
	return control_fault(e, c, C_canonical, line, "the target's domain %.*s is itself rewritten, to %.*s by fixupdomains line %d: use that",
		SHOW(to->domain), SHOW(on), map_find_domain(domains, to->domain)->line);
}

static int address_line(struct map *m, const struct map *domains, const struct control *c, const struct control_line *line,
	struct buf *space, struct err *e)
{
	struct slice from, to;
	struct addr old, new;
	if (!split(&from, &to, line->text))
		return control_fault(e, c, C_canonical, line->number, "old@domain:new@domain is wanted, there is no colon");
	if (!is_address(&old, from))
		return control_fault(e, c, C_canonical, line->number, "\"%.*s\" is not an address", SHOW(from));
	if (!is_address(&new, to))
		return control_fault(e, c, C_canonical, line->number, "\"%.*s\" is not an address to rewrite to", SHOW(to));
	int rc = check_source(domains, c, line->number, &old, e);
	if (rc == 0)
		rc = check_target(domains, c, line->number, &new, e);
	if (rc)
		return rc;
	buf_reset(space);
	addr_lookup_key(space, &old);
	size_t key = space->n;
	addr_canonical(space, &new);
	if (space->overflow)
		return err_set(e, E_SYS, "canonical: no memory");
	return add(m, c, C_canonical, line->number, slice_upto(buf_slice(space), key), slice_from(buf_slice(space), key), e);
}

static int check_address_targets(const struct map *m, const struct control *c, struct err *e)
{
	for (uint32_t i = 0; i < m->entries; i++) {
		struct slice to = map_to(m, &m->entry[i]);
		const struct map_entry *next = map_find(m, to);
		if (next && !slice_eq(map_to(m, next), to))
			return control_fault(e, c, C_canonical, m->entry[i].line,
				"%.*s is itself rewritten, to %.*s by line %d: rewrite to the last address at once", SHOW(to),
				SHOW(map_to(m, next)), next->line);
	}
	return 0;
}

int canonical_parse(struct map *addresses, const struct map *domains, const struct control *c, struct err *e)
{
	struct control_line line = {0};
	struct buf space = BUF_INIT(2 * KEY_MAX);
	int rc = 0;
	*addresses = MAP_INIT;
	while (rc == 0 && control_next(c, C_canonical, &line))
		rc = address_line(addresses, domains, c, &line, &space, e);
	if (rc == 0)
		rc = check_address_targets(addresses, c, e);
	if (rc)
		map_free(addresses);
	buf_free(&space);
	return rc;
}

int rules_read(struct rules *r, const struct control *c, struct err *e)
{
	*r = (struct rules){.addresses = MAP_INIT, .key = BUF_INIT(KEY_MAX)};
	int rc = fixupdomains_parse(&r->domains, c, e);
	if (rc == 0)
		rc = canonical_parse(&r->addresses, &r->domains, c, e);
	if (rc)
		rules_free(r);
	return rc;
}

void rules_free(struct rules *r)
{
	map_free(&r->domains);
	map_free(&r->addresses);
	buf_free(&r->key);
}

static int apply_address(struct rewrite *w, struct rules *r)
{
	struct addr a = {w->local, w->domain};
	struct slice to;
	if (r->addresses.entries == 0)
		return 0;
	buf_reset(&r->key);
	addr_lookup_key(&r->key, &a);
	if (r->key.overflow)
		return E_SYS;
	w->by_address = map_find(&r->addresses, buf_slice(&r->key));
	if (w->by_address) {
		to = map_to(&r->addresses, w->by_address);
		w->domain = addr_domain_of(to);
		w->local = slice_upto(to, to.n - w->domain.n - 1);
	}
	return 0;
}

int rules_apply(struct rewrite *w, struct rules *r, const struct addr *a)
{
	struct slice domain = a->domain;
	*w = (struct rewrite){.local = a->local, .domain = a->domain};
	if (domain.n && domain.p[domain.n - 1] == '.')
		domain.n--;
	w->by_domain = map_find_domain(&r->domains, domain);
	if (w->by_domain)
		w->domain = map_to(&r->domains, w->by_domain);
	if (apply_address(w, r))
		return E_SYS;
	if (!slice_eq(w->local, a->local) || !slice_case_eq(w->domain, domain))
		return 1;
	w->local = a->local;
	w->domain = a->domain;
	return 0;
}
