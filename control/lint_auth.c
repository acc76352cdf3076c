/* Whether those who are to log in can: what control/authmechanisms offers beside what the directory has.  Part of what files say about each other. */
#include "control/lint.h"
#include "directory/ldif.h"
#include "directory/password.h"
#include "directory/scram.h"
#include "smtpd-outside/auth.h"

#define VALUE_MAX 4096 /* octets of a userPassword that is looked at */

struct secrets {
	struct lint *l;
	bool offered;          /* SCRAM-SHA-256 */
	unsigned with, without; /* accounts that have a password */
	int first_without;     /* line */
	unsigned unknown;      /* values that no password fits */
	int first_unknown;     /* line */
	bool told_apart;       /* one was named whose secret differs from those that are made up */
};

static bool offers(const struct lint *l, unsigned mechanism)
{
	unsigned offered = 0;
	struct err e;
	return auth_mechanisms_parse(&offered, control_word(l->c, C_authmechanisms), &e) == 0 && (offered & mechanism);
}

/* Accounts without a secret are shown the usual one, so one that is not usual says: this account exists. */
static void check_usual(struct secrets *s, const struct scram_secret *secret, int line)
{
	long long iterations = control_number(s->l->c, C_scramiterations);
	bool salt = strlen(secret->salt) == (SCRAM_SALT_USUAL + 2) / 3 * 4;
	if (!s->offered || s->told_apart || (secret->iterations == iterations && salt))
		return;
	s->told_apart = true;
	if (!salt)
		lint_warning(s->l, "directory.ldif", line, "this SCRAM-SHA-256 secret has a salt of other than %d octets: who asks can tell that the account exists", SCRAM_SALT_USUAL);
	else
		lint_warning(s->l, "directory.ldif", line, "this SCRAM-SHA-256 secret has %u iterations and scramiterations says %lld: who asks can tell that the account exists",
			secret->iterations, iterations);
}

/* True: VALUE is a secret that can be used. */
static bool check_value(struct secrets *s, struct slice value, int line)
{
	struct scram_secret secret;
	struct err e;
	if (!password_scheme_known(value) && !s->unknown++)
		s->first_unknown = line;
	if (!scram_is_secret(value))
		return false;
	if (scram_secret_parse(&secret, value, &e) < 0) {
		lint_warning(s->l, "directory.ldif", line, "this {SCRAM-SHA-256} fits no password: %s", e.text);
		return false;
	}
	check_usual(s, &secret, line);
	return true;
}

static void check_account(struct secrets *s, struct ldif_entry *entry)
{
	static char space[VALUE_MAX];
	struct ldif_line line;
	struct slice value;
	struct err e;
	size_t used;
	int at = 0;
	bool secret = false;
	while (ldif_attribute(&line, entry, &e) == 0)
		if (slice_case_eq_str(line.name, "userPassword") && line.raw.n <= sizeof space && ldif_value(&value, &used, space, &line, &e) == 0) {
			at = at ? at : line.number;
			secret |= check_value(s, value, line.number);
		}
	if (!at)
		return;
	s->with += secret;
	s->without += !secret;
	if (!secret && !s->first_without)
		s->first_without = at;
}

static void check_directory(struct secrets *s)
{
	struct ldif all = {.rest = control_blob(s->l->c, C_directory_ldif)};
	struct ldif_entry entry;
	struct err e;
	while (all.rest.n && ldif_next(&entry, &all, &e) == 0)
		check_account(s, &entry);
	if (s->unknown)
		lint_warning(s->l, "directory.ldif", s->first_unknown, "%u userPassword%s, here first, of a scheme that is not known: no password fits (postern-directory(8) names the schemes)",
			s->unknown, s->unknown == 1 ? "" : "s");
	if (s->offered && !s->with)
		lint_warning(s->l, "authmechanisms", 0, "offers SCRAM-SHA-256, but no account in directory.ldif has such a secret (doveadm pw -s SCRAM-SHA-256 makes one)");
	else if (s->offered && s->without)
		lint_warning(s->l, "directory.ldif", s->first_without,
			"%u of %u accounts with a password have no SCRAM-SHA-256 secret, this one first: clients that take what is offered cannot log in there",
			s->without, s->with + s->without);
}

static void check_files(struct lint *l, bool offered)
{
	bool key = control_word(l->c, C_scramkey).n;
	if (offered && !key)
		lint_warning(l, "scramkey", 0, "absent, and authmechanisms offers SCRAM-SHA-256: who asks before and after a start can tell who has a secret; openssl rand -hex 32 makes one");
	if (!offered && key)
		lint_warning(l, "scramkey", 0, "has no effect: authmechanisms does not offer SCRAM-SHA-256");
	if (offered && control_present(l->c, C_ldapserver) && !control_present(l->c, C_ldaplogin))
		lint_warning(l, "authmechanisms", 0, "offers SCRAM-SHA-256, for which userPassword must be read: without ldaplogin servers hardly allow that");
}

void lint_auth(struct lint *l)
{
	struct secrets s = {.l = l, .offered = offers(l, AUTH_SCRAM | AUTH_SCRAM_PLUS)};
	if (l->faulty[C_authmechanisms])
		return;
	check_files(l, s.offered);
	if (!control_present(l->c, C_ldapserver) && control_present(l->c, C_directory_ldif) && !l->faulty[C_directory_ldif])
		check_directory(&s);
}
