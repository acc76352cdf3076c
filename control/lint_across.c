/* What control files say about each other: a file that is required, a value that has no effect without another. */
#include "control/lint.h"

#include <stdio.h>
#include <unistd.h>

#include "directory/ldif.h"
#include "lib/addr.h"
#include "scanner-bridge/scanpolicy.h"
#include "skim/respond_plan.h"
#include "smtpd-outside/dns_wanted.h"
#include "smtpd-outside/dnsbl.h"
#include "smtpd-outside/listen.h"
#include "smtpd-outside/smtpd_settings.h"
#include "smtpd-outside/tls_cert.h"

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

static bool is_local(const struct lint *l, struct slice domain)
{
	if (control_present(l->c, C_locals))
		return control_has_domain(l->c, C_locals, domain);
	return slice_case_eq(domain, control_word(l->c, C_me));
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

/* A line of ID begins with WORD. */
static bool control_names(const struct control *c, enum control_id id, const char *word)
{
	struct control_line line = {0};
	while (control_next(c, id, &line))
		if (slice_starts(line.text, word))
			return true;
	return false;
}

/* What scanpolicy says of a scanner that is not there has no effect. */
static void check_scanpolicy(struct lint *l)
{
	bool scanners = control_present(l->c, C_scanners);
	struct control_line line = {0};
	if (control_present(l->c, C_scanpolicy) && !scanners && !control_present(l->c, C_banned))
		lint_warning(l, "scanpolicy", 0, "has no effect: neither scanners nor banned is there");
	while (scanners && control_next(l->c, C_scanpolicy, &line))
		if (slice_starts(line.text, "spam>=") && !control_names(l->c, C_scanners, "spamassassin"))
			lint_warning(l, "scanpolicy", line.number, "has no effect: no spamassassin in scanners");
}

static void check_clientnames(struct lint *l)
{
	if (control_names(l->c, C_scanners, "spamassassin") && !dns_names_clients(l->c))
		lint_warning(l, "clientnames", 0, "0 with spamassassin in scanners: it counts RDNS_NONE against every message, as no client has a name");
}

/* A file as `postern defaults` writes it says nothing of what its owner wants. */
static bool chosen(struct lint *l, enum control_id file)
{
	return control_present(l->c, file) && !slice_eq_str(control_word(l->c, file), control_files[file].def);
}

/* Clients would be told 451 for a message that never fits. */
static void check_quarantine(struct lint *l)
{
	if (scanpolicy_quarantines(l->c) && control_number(l->c, C_quarantinebytes) < control_number(l->c, C_databytes))
		lint_warning(l, "quarantinebytes", 0, "less than databytes: a single message may not fit");
	if (!scanpolicy_quarantines(l->c) && (chosen(l, C_quarantinebytes) || chosen(l, C_quarantinedays)))
		lint_warning(l, chosen(l, C_quarantinebytes) ? "quarantinebytes" : "quarantinedays", 0,
			"has no effect: no line of scanpolicy says quarantine");
}

static void check_scanbytes(struct lint *l)
{
	bool stage = control_present(l->c, C_scanners) || control_present(l->c, C_banned);
	if (stage && control_number(l->c, C_scanbytes) < control_number(l->c, C_databytes))
		lint_warning(l, "scanbytes", 0, "less than databytes: messages between the two count as error in scanpolicy, each time they are sent");
	if (stage && control_number(l->c, C_scanseconds) >= control_number(l->c, C_answerseconds))
		lint_warning(l, "scanseconds", 0, "not less than answerseconds: clients are told 451 before a slow scan ends");
}

/* Domains told of already, so that each is told once. */
#define DOMAINS_MAX 20
struct told {
	struct slice domain[DOMAINS_MAX]; /* in .text, whose memory is there from the start */
	char text[DOMAINS_MAX][256];
	size_t count;
};

static bool told_before(struct told *t, struct slice domain)
{
	for (size_t i = 0; i < t->count; i++)
		if (slice_case_eq(t->domain[i], domain))
			return true;
	if (t->count == DOMAINS_MAX || slice_copy(t->text[t->count], sizeof t->text[0], domain) < 0)
		return true;
	t->domain[t->count] = slice_str(t->text[t->count]);
	t->count++;
	return false;
}

/* Nobody gets mail at an address whose domain is not local, whatever the directory says. */
static void check_address(struct lint *l, struct told *t, struct slice address, int line)
{
	struct slice domain = addr_domain_of(slice_trim(address));
	if (domain.n == 0 || is_local(l, domain) || told_before(t, domain))
		return;
	lint_warning(l, "directory.ldif", line, "the domain %.*s of this address is not in locals: no mail reaches it here",
		SLICE_FMT(slice_upto(domain, 100)));
}

static void check_entry(struct lint *l, struct told *t, struct ldif_entry *entry)
{
	static char space[4096];
	struct ldif_line line;
	struct slice value;
	struct err e;
	size_t used;
	while (ldif_attribute(&line, entry, &e) == 0)
		if ((slice_case_eq_str(line.name, "mail") || slice_case_eq_str(line.name, "mailAlternateAddress")) && line.raw.n <= sizeof space &&
		    ldif_value(&value, &used, space, &line, &e) == 0)
			check_address(l, t, value, line.number);
}

static void check_domains_of_people(struct lint *l)
{
	struct ldif all = {.rest = control_blob(l->c, C_directory_ldif)};
	struct ldif_entry entry;
	struct told t = {.count = 0};
	struct err e;
	if (control_present(l->c, C_ldapserver) || !control_present(l->c, C_locals) || l->faulty[C_locals] || l->faulty[C_directory_ldif])
		return;
	while (all.rest.n && ldif_next(&entry, &all, &e) == 0)
		check_entry(l, &t, &entry);
}

/* Old names are rewritten to a domain that must be ours for the mail to stay here. */
static void check_fixup_targets(struct lint *l)
{
	struct control_line line = {0};
	struct told t = {.count = 0};
	while (!l->faulty[C_fixupdomains] && control_next(l->c, C_fixupdomains, &line)) {
		struct slice target = slice_trim(slice_from(line.text, slice_rfind(line.text, ':') + 1));
		if (!is_local(l, target) && !control_has_domain(l->c, C_rcpthosts, target) && !told_before(&t, target))
			lint_warning(l, "fixupdomains", line.number, "%.*s is neither in locals nor in rcpthosts: mail rewritten to it is refused",
				SLICE_FMT(slice_upto(target, 100)));
	}
}

static void check_certificate(struct lint *l)
{
	struct err w;
	struct slice file, pem;
	char shown[120];
	if (control_present(l->c, C_servercert) && tls_cert_warning(control_blob(l->c, C_servercert), slice_make("", 0), &w))
		lint_warning(l, "servercert.pem", 0, "%s", w.text);
	for (size_t at = 0; !l->faulty[C_certs] && control_member_next(l->c, C_certs, &at, &file, &pem); ) {
		struct slice host = slice_upto(file, file.n - strlen(".pem")); /* tls_check_names() */
		if (!tls_cert_warning(pem, host, &w))
			continue;
		snprintf(shown, sizeof shown, "certs/%.*s", SLICE_FMT(slice_upto(file, 100)));
		lint_warning(l, shown, 0, "%s", w.text);
	}
}

/* Lists that refuse nobody, whatever they all say: a threshold from elsewhere, or weights that were never given. */
static void check_dnsbl(struct lint *l)
{
	static struct dnsbl d;
	struct err e;
	long most = 0;
	if (l->faulty[C_dnsbl] || dnsbl_parse(&d, l->c, &e) < 0)
		return;
	for (unsigned i = 0; i < d.rules; i++)
		most += d.rule[i].weight > 0 ? d.rule[i].weight : 0;
	if (most && most < d.threshold)
		lint_warning(l, "dnsblthreshold", 0, "%lld is more than all weights of dnsbl together, %ld: nobody is ever refused", d.threshold, most);
}

/* Passwords cross the network under TLS alone, so without a certificate nobody could log in. */
static void check_submission(struct lint *l)
{
	if (!l->faulty[C_listen] && !l->faulty[C_servercert] && listen_has_lane(l->c, LANE_SUBMISSION) && !control_present(l->c, C_servercert))
		lint_fault(l, C_servercert, 0, "missing: listen names submission or submissions, where users log in under TLS alone; put certificate chain and key into it");
}

/* What a step needs besides its line. */
static void check_respond_step(struct lint *l, const struct plan_step *s, int line)
{
	char path[PLAN_STEP_MAX + 1];
	if (plan_writes_ldap(s->kind) && !control_present(l->c, C_ldapserver))
		lint_fault(l, C_respond, line, "%.*s changes an LDAP directory, and there is no ldapserver: directory.ldif is only read here", SLICE_FMT(s->name));
	else if (plan_writes_ldap(s->kind) && !control_present(l->c, C_respondlogin))
		lint_fault(l, C_respond, line, "%.*s needs respondlogin and respondpassword, a login that may write", SLICE_FMT(s->name));
	if (s->kind == STEP_TICKET_PROGRAM && slice_copy(path, sizeof path, s->word[0]) == 0 && access(path, X_OK) < 0)
		lint_fault(l, C_respond, line, "%.150s is no program that can be run", path);
	if (s->kind == STEP_NFTABLES && geteuid() != 0)
		lint_warning(l, "respond", line, "nftables: only a suite that root starts may change the firewall");
}

static void check_respond(struct lint *l)
{
	struct plan p;
	struct err e;
	if (control_present(l->c, C_respondlogin) != control_present(l->c, C_respondpassword))
		lint_fault(l, C_respondlogin, 0, "respondlogin and respondpassword are only of use together: one of them is missing");
	if (!control_present(l->c, C_respond) || l->faulty[C_respond] || plan_parse(&p, l->c, &e) < 0)
		return;
	for (size_t i = 0; i < p.steps; i++)
		check_respond_step(l, &p.step[i], p.line[i]);
	if (!l->faulty[C_listen] && !listen_has_lane(l->c, LANE_SUBMISSION))
		lint_warning(l, "respond", 0, "has no effect: listen names no submission, so nobody's account is watched");
}

/* What no single line shows: together they have too many patterns, or the file says that it is of another kind. */
static void check_bad_lists(struct lint *l)
{
	static const enum control_id lists[] = {C_badhelo, C_badhelonorelay, C_badmailfrom, C_badmailfromnorelay, C_badrcptto, C_badrcpttonorelay, C_badmailto, C_badmailtonorelay};
	struct err e;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		if (l->faulty[lists[i]])
			return;
	if (smtpd_lists_check(l->c, &e) < 0)
		lint_fault_text(l, e.text);
}

/* For maintenance alone: one that is forgotten keeps everybody's mail. */
static void check_pauses(struct lint *l)
{
	if (control_number(l->c, C_holdlocal))
		lint_warning(l, "holdlocal", 0, "1: deliveries to mailboxes are paused; write 0 when the maintenance is over");
	if (control_number(l->c, C_holdremote))
		lint_warning(l, "holdremote", 0, "1: deliveries to other hosts are paused; write 0 when the maintenance is over");
}

void lint_across(struct lint *l)
{
	check_bad_lists(l);
	check_me(l);
	check_locals(l);
	check_rcpthosts(l);
	check_directory(l);
	check_postmaster(l);
	check_scanpolicy(l);
	check_clientnames(l);
	check_quarantine(l);
	check_scanbytes(l);
	check_domains_of_people(l);
	check_fixup_targets(l);
	check_pauses(l);
	check_dnsbl(l);
	check_certificate(l);
	check_submission(l);
	lint_rules(l);
	lint_auth(l);
	check_respond(l);
}
