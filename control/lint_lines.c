/* Every line of every control file by the parser of the program that reads it, so that what `postern check` accepts is what the
 * programs accept. */
#include "control/lint.h"

#include <limits.h>
#include <sys/stat.h>

#include "deliver/hostport.h"
#include "directory/embedded.h"
#include "directory/ldap_filter.h"
#include "directory/scram.h"
#include "fixup/rules.h"
#include "lib/addr.h"
#include "scanner-bridge/banned.h"
#include "scanner-bridge/scanners.h"
#include "scanner-bridge/scanpolicy.h"
#include "skim/geo.h"
#include "skim/respond_plan.h"
#include "smtpd-outside/auth.h"
#include "smtpd-outside/badlist.h"
#include "smtpd-outside/dnsbl.h"
#include "smtpd-outside/listen.h"
#include "smtpd-outside/rates.h"
#include "smtpd-outside/sendas.h"
#include "smtpd-outside/tcprules.h"
#include "smtpd-outside/tls_cert.h"
#include "smtpd-outside/validrcptto.h"

/* Each takes one line or word; 0, or E_SYNTAX with the reason in *E. */
typedef int check_line(const struct control *c, struct slice text, struct err *e);

static int check_host(const struct control *c, struct slice text, struct err *e)
{
	(void)c;
	if (addr_check_domain(text, false) == 0 && text.p[0] != '[')
		return 0;
	return err_set(e, E_SYNTAX, "\"%.*s\" is not a host name", (int)slice_upto(text, 80).n, text.p);
}

static int check_domain(const struct control *c, struct slice text, struct err *e)
{
	struct slice name = slice_starts(text, ".") ? slice_from(text, 1) : text;
	if (check_host(c, name, e) == 0)
		return 0;
	return err_set(e, E_SYNTAX, "\"%.*s\" is not a domain (name, or .name for all below it)", (int)slice_upto(text, 80).n, text.p);
}

static int check_local_part(const struct control *c, struct slice text, struct err *e)
{
	(void)c;
	if (text.n <= 64 && text.n > 0 && slice_find(text, '@') == text.n && slice_printable(text))
		return 0;
	return err_set(e, E_SYNTAX, "a name of at most 64 characters without @ and domain is wanted");
}

static int check_mailbox(const struct control *c, struct slice text, struct err *e)
{
	struct addr a;
	(void)c;
	return addr_parse_mailbox(&a, text, true) == 0 ? 0 : err_set(e, E_SYNTAX, "an address is wanted, local@domain without brackets");
}

static int check_qmqp_route(const struct control *c, struct slice text, struct err *e)
{
	struct qmqp_route r;
	(void)c;
	return qmqp_route_parse(&r, text, e);
}

static int check_listen(const struct control *c, struct slice text, struct err *e)
{
	struct listen_line out;
	(void)c;
	return listen_parse_line(&out, text, e);
}

/* Deliveries do not start without it: a mount that is missing would be noticed by nobody else. */
static int check_folder(const struct control *c, struct slice text, struct err *e)
{
	struct stat st;
	char path[PATH_MAX];
	(void)c;
	if (slice_copy(path, sizeof path, text) < 0 || path[0] != '/')
		return err_set(e, E_SYNTAX, "the path of a folder is wanted, beginning with /");
	if (stat(path, &st) < 0)
		return err_sys(e, "%.150s", path);
	return S_ISDIR(st.st_mode) ? 0 : err_set(e, E_SYNTAX, "%.150s is not a folder", path);
}

static int check_smtproutes(const struct control *c, struct slice text, struct err *e)
{
	struct slice domain;
	struct hostport to;
	bool by_mx;
	(void)c;
	return smtproute_parse(&domain, &to, &by_mx, text, e);
}

static int check_lmtproutes(const struct control *c, struct slice text, struct err *e)
{
	struct slice domain, to;
	(void)c;
	return lmtproute_parse(&domain, &to, text, e);
}

static int check_resolver(const struct control *c, struct slice text, struct err *e)
{
	char out[80];
	(void)c;
	return resolver_line(out, text, e);
}

static int check_dnsbl(const struct control *c, struct slice text, struct err *e)
{
	struct dnsbl_rule rule = {0};
	char zone[DNSBL_ZONE_MAX + 1];
	(void)c;
	return dnsbl_parse_line(&rule, zone, text, e);
}

static int check_bad_address(const struct control *c, struct slice text, struct err *e)
{
	struct badlist_line out;
	(void)c;
	return badlist_parse_line(&out, text, false, e);
}

static int check_bad_host(const struct control *c, struct slice text, struct err *e)
{
	struct badlist_line out;
	(void)c;
	return badlist_parse_line(&out, text, true, e);
}

static int check_sendas(const struct control *c, struct slice text, struct err *e)
{
	(void)c;
	return sendas_parse_line(text, e);
}

static int check_sendas_all(const struct control *c, struct err *e)
{
	struct sendas s;
	bool refuse;
	int rc = sendas_read(&s, &refuse, c, e);
	sendas_free(&s);
	return rc;
}

static int check_sendasothers(const struct control *c, struct slice text, struct err *e)
{
	bool refuse;
	(void)c;
	return sendas_parse_others(&refuse, text, e);
}

static int check_authmechanisms(const struct control *c, struct slice text, struct err *e)
{
	unsigned offered;
	(void)c;
	return auth_mechanisms_parse(&offered, text, e);
}

static int check_scramkey(const struct control *c, struct slice text, struct err *e)
{
	struct scram_site site;
	(void)c;
	return scram_site_init(&site, text, SCRAM_ITERATIONS_LEAST, e);
}

static int check_rate(const struct control *c, struct slice text, struct err *e)
{
	struct rate_limit out;
	(void)c;
	return rate_parse(&out, text, e);
}

/* A whole file, for what one line does not show; asked only when each line passed. */
typedef int check_file(const struct control *c, struct err *e);

static int check_listen_all(const struct control *c, struct err *e)
{
	struct listen_line out[LISTEN_MAX];
	size_t count;
	return listen_parse(out, &count, c, e);
}

static int check_dnsbl_all(const struct control *c, struct err *e)
{
	static struct dnsbl out;
	return dnsbl_parse(&out, c, e);
}

static int check_scanpolicy(const struct control *c, struct err *e)
{
	struct scanpolicy out;
	return scanpolicy_parse(&out, c, e);
}

static int check_banned(const struct control *c, struct err *e)
{
	static struct banned out;
	return banned_parse(&out, c, e);
}

static int check_fixupdomains(const struct control *c, struct err *e)
{
	struct map domains;
	int rc = fixupdomains_parse(&domains, c, e);
	map_free(&domains);
	return rc;
}

/* A fault in fixupdomains is told of for that file. */
static int check_canonical(const struct control *c, struct err *e)
{
	struct map domains, addresses;
	if (fixupdomains_parse(&domains, c, NULL))
		return 0;
	int rc = canonical_parse(&addresses, &domains, c, e);
	map_free(&addresses);
	map_free(&domains);
	return rc;
}

static int check_ldif(const struct control *c, struct err *e)
{
	struct slice text = control_blob(c, C_directory_ldif);
	struct account_defaults defaults = backend_defaults(c);
	return text.n ? directory_ldif_check(text, &defaults, e) : 0;
}

static int check_ldapserver(const struct control *c, struct err *e)
{
	struct ldap_server list[LDAP_SERVERS_MAX];
	size_t count;
	return control_present(c, C_ldapserver) ? ldap_servers(list, &count, c, e) : 0;
}

static int check_servercert(const struct control *c, struct err *e)
{
	return control_present(c, C_servercert) ? tls_check_cert(control_blob(c, C_servercert), e) : 0;
}

static const struct {
	enum control_id id;
	check_line *line;
	check_file *file;
} table[] = {
	{C_me, check_host, NULL},
	{C_locals, check_domain, NULL},
	{C_rcpthosts, check_domain, NULL},
	{C_postmaster, check_mailbox, NULL},
	{C_mailroots, check_folder, NULL},
	{C_listen, check_listen, check_listen_all},
	{C_directory_ldif, NULL, check_ldif},
	{C_ldapserver, NULL, check_ldapserver},
	{C_ldapclusterhosts, check_host, NULL},
	{C_smtproutes, check_smtproutes, NULL},
	{C_lmtproutes, check_lmtproutes, NULL},
	{C_resolver, check_resolver, NULL},
	{C_sendas, check_sendas, check_sendas_all}, {C_sendasothers, check_sendasothers, NULL},
	{C_connectionsperip, check_rate, NULL}, {C_connectionspernet, check_rate, NULL},
	{C_messagesperip, check_rate, NULL}, {C_messagespernet, check_rate, NULL},
	{C_recipientsperip, check_rate, NULL}, {C_recipientspernet, check_rate, NULL},
	{C_errorsperip, check_rate, NULL}, {C_errorspernet, check_rate, NULL},
	{C_authfailsperip, check_rate, NULL}, {C_authfailspernet, check_rate, NULL}, {C_authfailsperaccount, check_rate, NULL},
	{C_authmechanisms, check_authmechanisms, NULL}, {C_scramkey, check_scramkey, NULL},
	{C_dnsbl, check_dnsbl, check_dnsbl_all},
	{C_helohost, check_host, NULL},
	{C_bouncefrom, check_local_part, NULL},
	{C_bouncehost, check_host, NULL},
	{C_defaulthost, check_host, NULL},
	{C_defaultdomain, check_host, NULL},
	{C_idhost, check_host, NULL},
	{C_doublebounceto, check_local_part, NULL},
	{C_doublebouncehost, check_host, NULL},
	{C_fixupdomains, NULL, check_fixupdomains},
	{C_canonical, NULL, check_canonical},
	{C_scanners, NULL, scanners_check},
	{C_qmqproutes, check_qmqp_route, NULL},
	{C_scanpolicy, NULL, check_scanpolicy},
	{C_banned, NULL, check_banned},
	{C_servercert, NULL, check_servercert},
	{C_certs, NULL, tls_check_names},
	{C_badhelo, check_bad_host, NULL},
	{C_badhelonorelay, check_bad_host, NULL},
	{C_badmailfrom, check_bad_address, NULL},
	{C_badmailfromnorelay, check_bad_address, NULL},
	{C_badrcptto, check_bad_address, NULL},
	{C_badrcpttonorelay, check_bad_address, NULL},
	{C_badmailto, check_bad_address, NULL},
	{C_badmailtonorelay, check_bad_address, NULL},
	{C_validrcptto, NULL, validrcptto_check},
	{C_skim, NULL, skim_check},
	{C_geoip, NULL, geo_check},
	{C_respond, NULL, plan_check},
};

/* The faults in the lines of one file. */
static int each_line(struct lint *l, enum control_id id, check_line *check)
{
	struct control_line line = {0};
	struct err e;
	int bad = 0;
	while (check && control_next(l->c, id, &line))
		if (check(l->c, line.text, &e) != 0) {
			lint_fault(l, id, line.number, "%s", e.text);
			bad++;
		}
	return bad;
}

/* The parsers of programs name folder, file and line by control_fault(); those that know no control file leave that to us. */
static void whole_file(struct lint *l, enum control_id id, check_file *check)
{
	struct err e;
	if (!check || check(l->c, &e) == 0)
		return;
	l->faulty[id] = true;
	const char *name = control_files[id].name;
	if (slice_starts(slice_str(e.text), l->c->dir))
		lint_fault_text(l, e.text);
	else if (slice_starts(slice_str(e.text), name) && e.text[strlen(name)] == ':')
		lint_fault_in(l, id, e.text + strlen(name) + 1);
	else
		lint_fault(l, id, 0, "%s", e.text);
}

struct rules_told {
	struct lint *l;
	enum control_id id;
};

static void rules_warn(void *arg, int line, const char *text)
{
	const struct rules_told *told = arg;
	lint_warning(told->l, control_files[told->id].name, line, "%s", text);
}

/* The parser stops at the first fault; line by line, it finds all.  What lines mean to each other shows in the whole. */
static void tcp_rules(struct lint *l, enum control_id id)
{
	struct control_line line = {0};
	struct rules_told told = {l, id};
	struct tcprules *rules;
	struct err e;
	int at, bad = 0;
	while (control_next(l->c, id, &line))
		if (tcprules_parse(&rules, &at, line.text, NULL, NULL, &e) == 0)
			tcprules_free(rules);
		else
			bad++, lint_fault(l, id, line.number, "%s", e.text);
	if (bad || !control_present(l->c, id))
		return;
	if (tcprules_parse(&rules, &at, control_blob(l->c, id), rules_warn, &told, &e) == 0)
		tcprules_free(rules);
	else
		lint_fault(l, id, at, "%s", e.text);
}

void lint_lines(struct lint *l)
{
	tcp_rules(l, C_tcp_smtp);
	tcp_rules(l, C_tcp_submission);
	tcp_rules(l, C_tcp_qmqp);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (each_line(l, table[i].id, table[i].line) == 0)
			whole_file(l, table[i].id, table[i].file);
		else
			l->faulty[table[i].id] = true;
}
