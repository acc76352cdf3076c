/* Names and modes in the control folder: files that mean something in qmail or a descendant of it but nothing here, names that were
 * withdrawn long ago, names that are unknown, and secrets that others may read.  All are warnings: a folder copied from an old host
 * works, and its owner learns what has no effect. */
#include "control/lint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define REGEX "not used: regular expressions are not read; badmailfrom, badrcptto and badhelo have patterns with * and ?"

/* Names from qmail, qmail-ldap, netqmail's descendants and the JMS patch, in one order; the hint ends a sentence. */
static const struct {
	const char *name, *hint;
} known[] = {
	/* qmail */
	{"defaultdelivery", "not used: delivery is into Maildirs"},
	{"envnoathost", "not used: an address without a domain is refused"},
	{"localiphost", "not used: an address literal of this host means the first domain in locals, or me where it is local"},
	{"morercpthosts", "not used: put all domains into rcpthosts, it may be long"},
	{"morercpthosts.cdb", "not used: put all domains into rcpthosts, it may be long"},
	{"percenthack", "not used and never will be: user%domain@host is an open relay's trick"},
	{"plusdomain", "not used: addresses are taken as they are"},
	{"qmqpservers", "not used: mail goes to the mailHost that the directory gives"},
	{"virtualdomains", "not used: the directory (mail, mailAlternateAddress) says where a virtual domain's mail goes"},
	/* qmail-ldap */
	{"aliasdomains", "not used: put the lines into fixupdomains (the same form, old.domain:new.domain)"},
	{"badmailfrom-unknown", "not used: tcp.smtp has rules for clients without a name (=:allow beside :allow,RBLSMTPD=...)"},
	{"bigbrother", "not used"},
	{"custombouncetext", "not used: bounces have the form of RFC 3464"},
	{"dirmaker", "not used: no program is run; a missing Maildir is made at the first delivery"},
	{"goodmailaddr", "not used: the directory decides which recipients exist"},
	{"goodmailfrom", "not used: put senders into badmailfrom, exceptions with - before them"},
	{"ldapcluster", "not used: a mailHost that is neither me nor in ldapclusterhosts is another host, always"},
	{"ldapdefaultdotmode", "not used: there are no .qmail files"},
	{"ldapgid", "not used: give qmailGID or gidNumber in the directory, or nothing for the mail user"},
	{"ldapuid", "not used: give qmailUID or uidNumber in the directory, or nothing for the mail user"},
	{"ldapgrouplogin", "not used: ldaplogin is used for groups too"},
	{"ldapgrouppassword", "not used: ldappassword is used for groups too"},
	{"ldaplocaldelivery", "not used: recipients that the directory does not know are refused; there is no passwd lookup"},
	{"ldaprebind", "not used: a password is always checked by a bind where the hash cannot be read"},
	{"locals.cdb", "not used: put the domains into locals"},
	{"outgoingip", "not used yet: mail to other hosts is sent without it"},
	{"pbscachesize", "not used: there is no POP before SMTP"},
	{"pbsenv", "not used: there is no POP before SMTP"},
	{"pbsport", "not used: there is no POP before SMTP"},
	{"pbsservers", "not used: there is no POP before SMTP"},
	{"pbssecret", "not used: there is no POP before SMTP"},
	{"qmail-imapd.rules", "not used: compile step and IMAP proxy do not exist here"},
	{"qmail-pop3d.rules", "not used: compile step and POP3 proxy do not exist here"},
	{"qmail-smtpd.rules", "not used: put the tcprules lines into tcp.smtp"},
	{"qmqpcip", "not used: the system chooses the address to connect from"},
	{"quotawarning", "not used yet: no warning is sent before a quota is reached"},
	{"rbllist", "not used: put the lists into dnsbl, in its form"},
	{"rcpthosts.cdb", "not used: put the domains into rcpthosts"},
	{"relaymailfrom", "not used: a sender's address proves nothing; use authenticated submission"},
	{"remotecert", "not used yet: mail to other hosts is sent without it"},
	{"signatures", "not used: use a virus scanner (scanners)"},
	{"smtpcert", "not used: put chain and key into servercert.pem"},
	{"smtpclustercookie", "not used: hosts of a cluster forward by QMQP"},
	{"tlsciphers", "not used: the TLS library's secure default is used"},
	{"tlsdheparams", "not used: the TLS library's secure default is used"},
	/* withdrawn names of qmail-ldap */
	{"maxrcptcount", "withdrawn: the name is maxrcpt"},
	{"rblonlyheader", "withdrawn: it was replaced by a variable in tcp.smtp"},
	{"ldapdefaultquota", "withdrawn: give mailQuotaSize and mailQuotaCount in the directory"},
	/* netqmail's descendants, JMS */
	{"authsenders", "not used yet: mail to other hosts is sent without it"},
	{"bindroutes", "not used yet: mail to other hosts is sent without it"},
	{"clientca.pem", "not used yet: no client certificates"},
	{"clientcert.pem", "not used yet: mail to other hosts is sent without it"},
	{"clientcrl.pem", "not used yet: no client certificates"},
	{"dh2048.pem", "not used: the TLS library's secure default is used"},
	{"dhparam.pem", "not used: the TLS library's secure default is used"},
	{"dnsbllist", "not used: put the lists into dnsbl, in its form"},
	{"domainkeys", "not used: DomainKeys (RFC 4870) is historic; DKIM has its own folder dkim/"},
	{"filterargs", "not used: no program is run in the mail path"},
	{"badext", "not used: control/banned names attachments that are refused"},
	{"badhost", "not used: put hosts into tcp.smtp, as =host:deny"},
	{"badmailfrom.re", REGEX}, {"badrcptto.re", REGEX}, {"badhelo.re", REGEX},
	{"cramauth", "not used: no password is kept in the form that CRAM-MD5 needs"},
	{"servercerts", "not used: put chain and key of each name into certs/NAME.pem"},
	{"smtpdgreetdelay", "not used: the name is greetdelay"},
	{"spamfilter", "not used: scanners and scanpolicy say what is done about spam"},
	{"timeoutread", "not used: the name is timeoutsmtpd"},
	{"moreipme", "not used: a route to this host itself is found by name"},
	{"notlshosts", "not used yet: mail to other hosts is sent without it"},
	{"qfilters", "not used: no program is run in the mail path"},
	{"rejectnullsenders", "not used and never will be: the null sender must be accepted (RFC 5321 6.1)"},
	{"relaylimits", "not used: skim limits what a user sends"},
	{"rsa2048.pem", "not used: the TLS library's secure default is used"},
	{"senderip", "not used yet: mail to other hosts is sent without it"},
	{"simcontrol", "not used: scanners, scanpolicy and banned say what is scanned"},
	{"smtpplugins", "not used: no program is run in the mail path"},
	{"spfbehavior", "not used yet: SPF is not in this release"},
	{"spfexp", "not used yet: SPF is not in this release"},
	{"spfguess", "not used yet: SPF is not in this release"},
	{"spfrules", "not used yet: SPF is not in this release"},
	{"taps", "not used: mail is not copied by list"},
	{"tlsclientciphers", "not used: the TLS library's secure default is used"},
	{"tlsclients", "not used yet: no client certificates"},
	{"tlshosts", "not used: TLS is taken where the other host offers it, whatever its certificate"},
	{"tlsserverciphers", "not used: the TLS library's secure default is used"},
	/* of the plan, not of this release */
	{"dkim", "not used yet: DKIM is not in this release"},
	{"rewrite", "not used yet: only fixupdomains and canonical rewrite"},
	{"database", "not used yet: nothing is kept in a database by this release"},
};

static bool ours(const char *name)
{
	for (size_t i = 0; i < C_COUNT; i++)
		if (strcmp(name, control_files[i].name) == 0)
			return true;
	return false;
}

static const char *hint_for(const char *name)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strcmp(name, known[i].name) == 0)
			return known[i].hint;
	return NULL;
}

/* Names that differ from one of ours by case, or by one letter too many, too few or wrong, are likely typing errors. */
static bool close_to(struct slice a, struct slice b)
{
	if (a.n > b.n) {
		struct slice t = a;
		a = b;
		b = t;
	}
	if (b.n - a.n > 1)
		return false;
	size_t i = 0;
	while (i < a.n && a.p[i] == b.p[i])
		i++;
	return slice_eq(slice_from(a, a.n == b.n ? i + 1 : i), slice_from(b, i + 1)) || slice_case_eq(a, b);
}

static const char *meant(const char *name)
{
	for (size_t i = 0; i < C_COUNT; i++)
		if (close_to(slice_str(name), slice_str(control_files[i].name)))
			return control_files[i].name;
	return NULL;
}

/* Returns true when the name is one of another mail suite. */
static bool check_name(struct lint *l, const char *name)
{
	if (ours(name) || control_leftover(slice_str(name)))
		return false;
	char shown[100];
	snprintf(shown, sizeof shown, "%s", name);
	const char *hint = hint_for(name), *near = hint ? NULL : meant(name);
	if (hint)
		lint_warning(l, shown, 0, "%s", hint);
	else if (near)
		lint_warning(l, shown, 0, "unknown name and not used; is %s meant?", near);
	else
		lint_warning(l, shown, 0, "unknown name and not used");
	return hint != NULL;
}

static void check_mode(struct lint *l, int dir_fd, const char *name)
{
	struct stat st;
	if (fstatat(dir_fd, name, &st, 0) == 0 && (st.st_mode & 077))
		lint_warning(l, name, 0, "mode %04o lets others read a secret: chmod 0600 %s/%s", (unsigned)(st.st_mode & 07777), l->c->dir, name);
}

static void check_secret(struct lint *l, int dir_fd, enum control_id id)
{
	check_mode(l, dir_fd, control_files[id].name);
}

static void check_keys(struct lint *l, int dir_fd)
{
	struct slice file, pem;
	char path[300];
	for (size_t at = 0; control_member_next(l->c, C_certs, &at, &file, &pem); ) {
		snprintf(path, sizeof path, "%s/%.*s", control_files[C_certs].name, SLICE_FMT(file));
		check_mode(l, dir_fd, path);
	}
}

static void check_writable(struct lint *l, int dir_fd)
{
	struct stat st;
	if (fstat(dir_fd, &st) == 0 && (st.st_mode & 002))
		lint_warning(l, l->c->dir, 0, "everybody may write to this folder: chmod o-w %s", l->c->dir);
}

/* Files that hold a password or key; the embedded directory only when there are passwords in it. */
static void check_secrets(struct lint *l, int dir_fd)
{
	struct slice ldif = control_blob(l->c, C_directory_ldif);
	check_secret(l, dir_fd, C_ldappassword);
	check_secret(l, dir_fd, C_respondpassword);
	check_secret(l, dir_fd, C_servercert);
	check_secret(l, dir_fd, C_scramkey);
	check_keys(l, dir_fd);
	if (ldif.n && memmem(ldif.p, ldif.n, "userPassword", strlen("userPassword")))
		check_secret(l, dir_fd, C_directory_ldif);
}

/* Most names looked at in one folder; more are not control files. */
#define NAMES_MAX 4096

static bool check_names(struct lint *l, DIR *d)
{
	bool foreign = false;
	const struct dirent *f;
	for (int n = 0; n < NAMES_MAX && (f = readdir(d)); n++)
		foreign |= check_name(l, f->d_name);
	return foreign;
}

void lint_names(struct lint *l)
{
	DIR *d = opendir(l->c->dir);
	if (!d) {
		lint_warning(l, l->c->dir, 0, "cannot be listed, so unknown names are not reported: %s", strerror(errno));
		return;
	}
	bool foreign = check_names(l, d);
	if (foreign && !control_present(l->c, C_rcpthosts))
		lint_warning(l, "rcpthosts", 0,
			"absent: only domains in locals are accepted; in qmail its absence would make an open relay, here never");
	check_secrets(l, dirfd(d));
	check_writable(l, dirfd(d));
	closedir(d);
}
