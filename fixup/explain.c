/* The dry run: see explain.h.  Runs as the operator, over the same rules as the program.  ADDRESS is only printed when it has been
 * parsed, and without control characters by the grammar. */
#include "fixup/explain.h"

#include <jansson.h>
#include <stdio.h>

#include "fixup/rules.h"
#include "supervise/graph.h"

struct answer {
	const char *address;
	struct buf result;
	bool changed;
	struct rewrite by;
	struct rules *rules;
};

static void show_rule(const char *file, const struct map *m, const struct map_entry *e)
{
	if (e)
		printf("  %s:%d: %.*s:%.*s\n", file, e->line, SLICE_FMT(map_key(m, e)), SLICE_FMT(map_to(m, e)));
}

static void show_text(const struct answer *a)
{
	if (a->changed)
		printf("%s becomes %.*s\n", a->address, SLICE_FMT(buf_slice(&a->result)));
	else
		printf("%s stays as it is\n", a->address);
	show_rule("fixupdomains", &a->rules->domains, a->by.by_domain);
	show_rule("canonical", &a->rules->addresses, a->by.by_address);
}

static void add_rule(json_t *list, const char *file, const struct map *m, const struct map_entry *e)
{
	if (e)
		json_array_append_new(list, json_pack("{s:s, s:i, s:s%, s:s%}", "file", file, "line", e->line, "from", map_key(m, e).p,
			map_key(m, e).n, "to", map_to(m, e).p, map_to(m, e).n));
}

static void show_json(const struct answer *a)
{
	json_t *rules = json_array();
	add_rule(rules, "fixupdomains", &a->rules->domains, a->by.by_domain);
	add_rule(rules, "canonical", &a->rules->addresses, a->by.by_address);
	json_t *all = json_pack("{s:s, s:s%, s:b, s:o}", "address", a->address, "result", a->result.p, a->result.n, "changed", a->changed,
		"rules", rules);
	json_dumpf(all, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(all);
}

static int explain(struct rules *r, const char *address, bool json)
{
	struct answer a = {.address = address, .rules = r, .result = BUF_INIT(2 * ADDRESS_MAX)};
	struct addr parsed;
	if (addr_parse_mailbox(&parsed, slice_str(address), true)) {
		fprintf(stderr, "postern fixup: not an address: give local@domain, without brackets\n");
		return 100;
	}
	int rc = rules_apply(&a.by, r, &parsed);
	a.changed = rc > 0;
	addr_canonical(&a.result, &(struct addr){a.by.local, a.by.domain});
	if (rc >= 0 && !a.result.overflow)
		(json ? show_json : show_text)(&a);
	buf_free(&a.result);
	return rc < 0 || fflush(stdout) ? 111 : 0;
}

int cmd_fixup(const char *control_dir, const char *address, bool json)
{
	struct control c;
	struct rules r;
	struct err e;
	int rc = control_read(&c, control_dir, BIT(P_FIXUP), &e), code;
	if (rc == 0) {
		rc = rules_read(&r, &c, &e);
		if (rc)
			control_free(&c);
	}
	if (rc) {
		fprintf(stderr, "postern fixup: %s\n", e.text);
		return rc == E_SYNTAX ? 1 : 111;
	}
	code = explain(&r, address, json);
	rules_free(&r);
	control_free(&c);
	return code;
}
