/* The rewriting rules: control/fixupdomains and control/canonical.
 *
 * An address is rewritten in two steps, each at most once: its domain by the most specific line of fixupdomains, then the whole
 * address by canonical.  Both are read so that the result of every rule is left alone by all rules: rewriting twice
 * changes nothing more, and there are neither chains nor loops.  A line that leads to itself (hpc.campus.edu:hpc.campus.edu) exempts
 * from a wider one. */
#ifndef POSTERN_FIXUP_RULES_H
#define POSTERN_FIXUP_RULES_H
#include "fixup/map.h"
#include "lib/addr.h"
#include "lib/control.h"

struct rules {
	struct map domains;   /* "old.domain" or ".old" to "new.domain" */
	struct map addresses; /* lookup key of an address to its canonical form */
	struct buf key;       /* work space */
};

/* The parsers, for `postern check` too.  0, or with nothing kept E_SYNTAX ("FILE:LINE: reason" of the first fault: not a domain or address,
 * given twice with different targets, a target that is itself rewritten, a line that can never apply) or E_SYS (no memory). */
MUST_CHECK int fixupdomains_parse(struct map *domains, const struct control *c, struct err *e);
MUST_CHECK int canonical_parse(struct map *addresses, const struct map *domains, const struct control *c, struct err *e);
/* Both.  Free with rules_free(). */
MUST_CHECK int rules_read(struct rules *r, const struct control *c, struct err *e);
void rules_free(struct rules *r);

struct rewrite {
	struct slice local, domain;         /* the result; borrows from the input or from the rules */
	const struct map_entry *by_domain;  /* the line that applied, or NULL */
	const struct map_entry *by_address;
};
/* Rewrite A, an address with a domain.  1: changed, 0: not changed (W is A), E_SYS (no memory). */
MUST_CHECK int rules_apply(struct rewrite *w, struct rules *r, const struct addr *a);
#endif
