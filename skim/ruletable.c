/* The table of rules: see ruletable.h.  Constant data. */
#include "skim/ruletable.h"

const struct rule_info rule_info[R_COUNT] = {
#define R(ident, name, family, points, hours, learns, what) {name, FAMILY_##family, points, hours, learns, what},
	SKIM_RULES(R)
#undef R
};

enum rule rule_find(struct slice name)
{
	enum rule r = 0;
	while (r < R_COUNT && !slice_case_eq_str(name, rule_info[r].name))
		r++;
	return r;
}
