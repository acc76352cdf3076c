/* What control files say about each other: a file that is required, a value that has no effect without another. */
#include "control/lint.h"

#include <stdio.h>
#include <unistd.h>

/* One that is there but faulty was told of when it was read. */
static void check_me(struct lint *l)
{
	char path[sizeof l->c->dir + 8];
	snprintf(path, sizeof path, "%s/me", l->c->dir);
	if (!control_present(l->c, C_me) && access(path, F_OK) < 0)
		lint_fault(l, C_me, 0, "missing: write this host's full name into it");
}

static void check_locals(struct lint *l)
{
	struct control_line line = {0};
	if (!control_present(l->c, C_locals))
		lint_warning(l, "locals", 0, "absent: only the domain %.*s is local; list your mail domains in it",
			SLICE_FMT(slice_upto(control_word(l->c, C_me), 100)));
	else if (!control_next(l->c, C_locals, &line))
		lint_warning(l, "locals", 0, "has no domain: no recipient is local and nothing is delivered here");
}

/* A domain in both would be relayed to its MX, which is this host, if the directory did not come first. */
static void check_rcpthosts(struct lint *l)
{
	struct control_line line = {0};
	while (control_next(l->c, C_rcpthosts, &line))
		if (control_has_domain(l->c, C_locals, line.text))
			lint_warning(l, "rcpthosts", line.number,
				"%.*s is in locals too, which is enough: rcpthosts is for domains that are relayed on, unlike in qmail",
				SLICE_FMT(slice_upto(line.text, 100)));
}

static void check_directory(struct lint *l)
{
	bool ldap = control_present(l->c, C_ldapserver), ldif = control_present(l->c, C_directory_ldif);
	if (!ldap && !ldif)
		lint_warning(l, "directory.ldif", 0, "absent, and no ldapserver: every local recipient is refused as unknown");
	if (ldap && ldif)
		lint_warning(l, "directory.ldif", 0, "not used while ldapserver is there: remove the one that is not meant");
	if (ldap && !control_present(l->c, C_ldapbasedn))
		lint_fault(l, C_ldapbasedn, 0, "missing: ldapserver needs to know where searches begin, for instance dc=example,dc=edu");
	if (control_present(l->c, C_ldaplogin) != control_present(l->c, C_ldappassword))
		lint_fault(l, C_ldaplogin, 0, "ldaplogin and ldappassword are only of use together: one of them is missing");
}

static void check_postmaster(struct lint *l)
{
	if (!control_present(l->c, C_postmaster))
		lint_warning(l, "postmaster", 0,
			"absent: unless the directory has postmaster@ each local domain, mail for it is refused (RFC 5321 4.5.1)");
}

void lint_across(struct lint *l)
{
	check_me(l);
	check_locals(l);
	check_rcpthosts(l);
	check_directory(l);
	check_postmaster(l);
}
