/* fixupdomains and canonical: any text is read or refused with a reason, and what is read never rewrites its own results. */
#include <stdint.h>
#include <stdlib.h>

#include "fixup/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct rules *r, const struct map *m)
{
	struct addr a;
	struct rewrite w;
	for (uint32_t i = 0; i < m->entries; i++) {
		struct slice to = map_to(m, &m->entry[i]);
		a = (struct addr){slice_str("nobody-has-this"), to};
		if (m == &r->addresses && addr_parse_mailbox(&a, to, false))
			abort();
		if (rules_apply(&w, r, &a) != 0)
			abort();
	}
}

/* Up to a NUL the one file, after it the other. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice all = slice_make(data, size);
	size_t at = slice_find(all, 0);
	struct control c = {.dir = "ctl"};
	struct rules r;
	struct err e = {0};
	c.value[C_fixupdomains].content = slice_upto(all, at);
	c.value[C_canonical].content = slice_from(all, at + 1);
	c.value[C_fixupdomains].present = c.value[C_canonical].present = true;
	if (rules_read(&r, &c, &e)) {
		if (!e.text[0])
			abort();
		return 0;
	}
	check(&r, &r.domains);
	check(&r, &r.addresses);
	rules_free(&r);
	return 0;
}
