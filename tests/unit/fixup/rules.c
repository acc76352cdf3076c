/* fixup/rules: what an address becomes; which files are refused, and with what words. */
#include "fixup/rules.h"

#include <stdio.h>
#include <time.h>

#include "tests/unit/unit.h"

static struct control *settings(struct control *c, const char *domains, const char *addresses)
{
	*c = (struct control){.dir = "ctl"};
	c->value[C_fixupdomains].content = slice_str(domains);
	c->value[C_fixupdomains].present = true;
	c->value[C_canonical].content = slice_str(addresses);
	c->value[C_canonical].present = true;
	return c;
}

static const char domains[] =
	"# the mergers of 1998\n"
	"old.edu:new.edu\n"
	".old.edu:new.edu\n"
	"\n"
	"math.old.edu:math.new.edu\n"
	".math.old.edu:deep.new.edu\n"
	"keep.math.old.edu:keep.math.old.edu\n"
	"UPPER.old.EDU:Upper.New.edu\n"
	".campus.edu:campus.edu\n";
static const char addresses[] =
	"anna@new.edu:anna.b@new.edu\n"
	"Bert@new.edu:\"Bert B\"@new.edu\n"
	"\"c:d\"@new.edu:c@other.edu\n"
	"root@[192.0.2.1]:root@new.edu\n"
	"Dora@campus.edu:dora@campus.edu\n"
	"x@foreign.example:x@new.edu\n";

static const struct row {
	const char *spec, *in, *out;
	int by_domain, by_address; /* lines */
} rows[] = {
	{"not ours", "a@example.org", "a@example.org", 0, 0},
	{"exact domain", "a@old.edu", "a@new.edu", 2, 0},
	{"case of the domain", "A@OLD.Edu", "A@new.edu", 2, 0},
	{"final dot", "a@old.edu.", "a@new.edu", 2, 0},
	{"below", "a@b.old.edu", "a@new.edu", 3, 0},
	{"two below", "a@b.c.old.edu", "a@new.edu", 3, 0},
	{"exact before below", "a@math.old.edu", "a@math.new.edu", 5, 0},
	{"longer suffix before shorter", "a@x.math.old.edu", "a@deep.new.edu", 6, 0},
	{"two below the longer suffix", "a@x.y.math.old.edu", "a@deep.new.edu", 6, 0},
	{"exempted", "a@keep.math.old.edu", "a@keep.math.old.edu", 7, 0},
	{"below the exempted", "a@x.keep.math.old.edu", "a@deep.new.edu", 6, 0},
	{"a rule in capitals", "a@upper.old.edu", "a@upper.new.edu", 8, 0},
	{"only a suffix of letters", "a@cold.edu", "a@cold.edu", 0, 0},
	{"only a prefix", "a@old.edu.example", "a@old.edu.example", 0, 0},
	{"the target of .campus.edu", "a@campus.edu", "a@campus.edu", 0, 0},
	{"below campus.edu", "a@www.campus.edu", "a@campus.edu", 9, 0},
	{"the top alone", "a@edu", "a@edu", 0, 0},
	{"address", "anna@new.edu", "anna.b@new.edu", 0, 1},
	{"address, case", "Anna@NEW.edu", "anna.b@new.edu", 0, 1},
	{"address after domain", "anna@old.edu", "anna.b@new.edu", 2, 1},
	{"address after domain below", "anna@b.old.edu", "anna.b@new.edu", 3, 1},
	{"address, quotes not needed", "\"anna\"@new.edu", "anna.b@new.edu", 0, 1},
	{"the target is left alone", "anna.b@new.edu", "anna.b@new.edu", 0, 0},
	{"to a quoted local part", "bert@new.edu", "\"Bert B\"@new.edu", 0, 2},
	{"from a quoted local part with a colon", "\"c:d\"@new.edu", "c@other.edu", 0, 3},
	{"from a literal", "root@[192.0.2.1]", "root@new.edu", 0, 4},
	{"other literal", "root@[192.0.2.2]", "root@[192.0.2.2]", 0, 0},
	{"normalizes case", "DORA@campus.edu", "dora@campus.edu", 0, 5},
	{"is normal", "dora@campus.edu", "dora@campus.edu", 0, 5},
	{"another's address only where a line says so", "x@foreign.example", "x@new.edu", 0, 6},
	{"other local part", "annab@new.edu", "annab@new.edu", 0, 0},
	{"subaddress is another address", "anna-list@new.edu", "anna-list@new.edu", 0, 0},
};

START_TEST(row)
{
	const struct row *r = &rows[_i];
	struct control c;
	struct rules rules;
	struct err e;
	struct addr a, again;
	struct rewrite w;
	struct buf b = BUF_INIT(1024);
	ck_assert_msg(rules_read(&rules, settings(&c, domains, addresses), &e) == 0, "%s", e.text);
	ck_assert_int_eq(addr_parse_mailbox(&a, slice_str(r->in), false), 0);
	int rc = rules_apply(&w, &rules, &a);
	addr_canonical(&b, &(struct addr){w.local, w.domain});
	ck_assert_msg(slice_eq_str(buf_slice(&b), r->out), "%s: %.*s", r->spec, SLICE_FMT(buf_slice(&b)));
	ck_assert_msg((w.by_domain ? w.by_domain->line : 0) == r->by_domain && (w.by_address ? w.by_address->line : 0) == r->by_address, "%s", r->spec);
	if (rc == 0)
		ck_assert(w.local.p == a.local.p && w.domain.p == a.domain.p && w.domain.n == a.domain.n);
	/* Once more changes nothing. */
	ck_assert_int_eq(addr_parse_mailbox(&again, buf_slice(&b), false), 0);
	ck_assert_msg(rules_apply(&w, &rules, &again) == 0, "%s: changed twice", r->spec);
	buf_free(&b);
	rules_free(&rules);
}
END_TEST

static const struct fault {
	const char *spec, *domains, *addresses, *text; /* NULL: accepted */
} faults[] = {
	{"nothing", "", "", NULL},
	{"comments and blanks", "# x\n\n  \n", "#\n", NULL},
	{"blanks at the ends of a line", "  old.edu:new.edu  \n", "", NULL},
	{"no line end", "old.edu:new.edu", "a@b:c@d", NULL},
	{"twice the same", "a.edu:b.edu\nA.edu:B.edu\n", "x@b:y@b\nX@b:y@b\n", NULL},
	{"no colon", "# x\nold.edu new.edu\n", "", "ctl/fixupdomains:2: old.domain:new.domain is wanted, there is no colon"},
	{"no domain", ":new.edu\n", "", "ctl/fixupdomains:1: \"\" is not a domain (name, or .name for all below it)"},
	{"only a dot", ".:new.edu\n", "", "ctl/fixupdomains:1: \".\" is not a domain (name, or .name for all below it)"},
	{"wildcard", "*.old.edu:new.edu\n", "", "ctl/fixupdomains:1: \"*.old.edu\" is not a domain (name, or .name for all below it)"},
	{"an address", "a@old.edu:new.edu\n", "", "ctl/fixupdomains:1: \"a@old.edu\" is not a domain (name, or .name for all below it)"},
	{"a literal", "[192.0.2.1]:new.edu\n", "", "ctl/fixupdomains:1: \"[192.0.2.1]\" is not a domain (name, or .name for all below it)"},
	{"final dot", "old.edu.:new.edu\n", "", "ctl/fixupdomains:1: \"old.edu.\" is not a domain (name, or .name for all below it)"},
	{"blank before the colon", "old.edu :new.edu\n", "", "ctl/fixupdomains:1: \"old.edu \" is not a domain (name, or .name for all below it)"},
	{"no target", "old.edu:\n", "", "ctl/fixupdomains:1: \"\" is not a domain to rewrite to"},
	{"suffix as target", "old.edu:.new.edu\n", "", "ctl/fixupdomains:1: \".new.edu\" is not a domain to rewrite to"},
	{"port", "old.edu:new.edu:25\n", "", "ctl/fixupdomains:1: \"new.edu:25\" is not a domain to rewrite to"},
	{"twice, differently", "a.edu:b.edu\n\na.EDU:c.edu\n", "", "ctl/fixupdomains:3: a.EDU leads to b.edu by line 1 already: remove one of the two"},
	{"chain", "a.edu:b.edu\nb.edu:c.edu\n", "", "ctl/fixupdomains:1: b.edu is itself rewritten, to c.edu by line 2: rewrite to the last domain at once"},
	{"loop", "a.edu:b.edu\nb.edu:a.edu\n", "", "ctl/fixupdomains:1: b.edu is itself rewritten, to a.edu by line 2: rewrite to the last domain at once"},
	{"chain by a suffix", ".b.edu:c.edu\na.edu:x.b.edu\n", "", "ctl/fixupdomains:2: x.b.edu is itself rewritten, to c.edu by line 1: rewrite to the last domain at once"},
	{"own suffix", ".b.edu:x.b.edu\n", "", NULL},
	{"own suffix, and another by it", ".b.edu:x.b.edu\na.edu:y.b.edu\n", "", "ctl/fixupdomains:2: y.b.edu is itself rewritten, to x.b.edu by line 1: rewrite to the last domain at once"},
	{"exemption of a target", ".b.edu:c.edu\nx.b.edu:x.b.edu\na.edu:x.b.edu\n", "", NULL},
	{"address: no colon", "", "a@b c@d\n", "ctl/canonical:1: old@domain:new@domain is wanted, there is no colon"},
	{"address: colon only in quotes", "", "\"a:b\"@c\n", "ctl/canonical:1: old@domain:new@domain is wanted, there is no colon"},
	{"address: no domain", "", "\na:b@c\n", "ctl/canonical:2: \"a\" is not an address"},
	{"address: domain alone", "", "@a:@b\n", "ctl/canonical:1: \"@a\" is not an address"},
	{"address: final dot", "", "a@b.:c@d\n", "ctl/canonical:1: \"a@b.\" is not an address"},
	{"address: no target", "", "a@b:\n", "ctl/canonical:1: \"\" is not an address to rewrite to"},
	{"address: two targets", "", "a@b:c@d,e@f\n", "ctl/canonical:1: \"c@d,e@f\" is not an address to rewrite to"},
	{"address: brackets", "", "<a@b>:<c@d>\n", "ctl/canonical:1: \"<a@b>\" is not an address"},
	{"address: twice, differently", "", "a@b:c@d\nA@B:e@f\n", "ctl/canonical:2: a@b leads to c@d by line 1 already: remove one of the two"},
	{"address: chain", "", "a@b:c@d\nc@d:e@f\n", "ctl/canonical:1: c@d is itself rewritten, to e@f by line 2: rewrite to the last address at once"},
	{"address: loop", "", "a@b:c@d\nC@D:a@b\n", "ctl/canonical:1: c@d is itself rewritten, to a@b by line 2: rewrite to the last address at once"},
	{"address: to itself", "", "a@b:a@b\n", NULL},
	{"address: never applies", "old.edu:new.edu\n", "a@old.edu:b@new.edu\n", "ctl/canonical:1: can never apply: fixupdomains line 1 rewrites old.edu to new.edu first; write the line for new.edu"},
	{"address: never applies, suffix", "\n.old.edu:new.edu\n", "a@X.old.edu:b@new.edu\n", "ctl/canonical:1: can never apply: fixupdomains line 2 rewrites X.old.edu to new.edu first; write the line for new.edu"},
	{"address: target in an old domain", "old.edu:new.edu\n", "a@new.edu:b@old.edu\n", "ctl/canonical:1: the target's domain old.edu is itself rewritten, to new.edu by fixupdomains line 1: use that"},
};

START_TEST(fault)
{
	const struct fault *f = &faults[_i];
	struct control c;
	struct rules r;
	struct err e = {0};
	int rc = rules_read(&r, settings(&c, f->domains, f->addresses), &e);
	ck_assert_msg(rc == (f->text ? E_SYNTAX : 0), "%s: %d %s", f->spec, rc, e.text);
	if (f->text)
		ck_assert_str_eq(e.text, f->text);
	else
		rules_free(&r);
}
END_TEST

/* N lines of canonical; the time of a million look-ups. */
static double look_up(int n)
{
	struct control c;
	struct rules r;
	struct err e;
	struct addr a;
	struct rewrite w;
	struct timespec from, to;
	struct buf b = BUF_INIT(1 << 26);
	char text[64];
	unsigned changed = 0;
	for (int i = 0; i < n; i++)
		buf_add_format(&b, "user%d@new.edu:u%d@new.edu\n", i, i);
	buf_add_char(&b, 0);
	ck_assert_msg(rules_read(&r, settings(&c, "", b.p), &e) == 0, "%s", e.text);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (int i = 0; i < 200000; i++) {
		int len = snprintf(text, sizeof text, "user%d@new.edu", i % (2 * n));
		if (len < 0 || addr_parse_mailbox(&a, slice_make(text, (size_t)len), false))
			ck_abort_msg("not an address");
		changed += rules_apply(&w, &r, &a) == 1;
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	ck_assert_uint_ge(changed, 99000);
	ck_assert_uint_le(changed, 101000);
	rules_free(&r);
	buf_free(&b);
	return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

START_TEST(cost_does_not_grow)
{
	double few = look_up(100), many = look_up(100000);
	ck_assert_msg(many < 20 * few + 0.01, "100 rules: %f s, 100,000 rules: %f s", few, many);
}
END_TEST

#define ROWS(a) (int)(sizeof(a) / sizeof *(a))
UNIT_MAIN("rules",
	tcase_add_loop_test(t, row, 0, ROWS(rows));
	tcase_add_loop_test(t, fault, 0, ROWS(faults));
	tcase_add_test(t, cost_does_not_grow);)
