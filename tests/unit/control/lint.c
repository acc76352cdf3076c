/* The lint: each row is a control folder with one thing wrong and what must be said of it. */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/lint.h"

struct file {
	const char *name, *content;
	mode_t mode; /* 0: 0600 */
};

/* A folder that has nothing to say against it. */
static const struct file good[] = {
	{"me", "mx.example.edu\n", 0},
	{"locals", "# ours\nexample.edu\n.example.edu\n", 0},
	{"rcpthosts", "example.org\n", 0},
	{"directory.ldif", "dn: uid=a\nuid: a\nmail: a@example.edu\nobjectClass: qmailUser\n\n", 0644},
	{"postmaster", "a@example.edu\n", 0},
};

static char dir[64];

static void put(const struct file *f)
{
	char path[128];
	snprintf(path, sizeof path, "%s/%s", dir, f->name);
	unlink(path);
	if (!f->content)
		return;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, f->content, strlen(f->content)), (ssize_t)strlen(f->content));
	ck_assert_int_eq(fchmod(fd, f->mode ? f->mode : 0600), 0);
	close(fd);
}

static void setup(void)
{
	snprintf(dir, sizeof dir, "/tmp/postern-lint-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		put(&good[i]);
}

static void teardown(void)
{
	DIR *d = opendir(dir);
	for (struct dirent *f; (f = readdir(d)); )
		unlinkat(dirfd(d), f->d_name, 0);
	closedir(d);
	rmdir(dir);
}

struct told {
	struct buf text; /* "F " or "W ", the text, LF */
	int faults, warnings;
};

static void note(void *arg, bool warning, const char *text)
{
	struct told *t = arg;
	ck_assert_msg(slice_starts(slice_str(text), dir), "%s", text);
	buf_add_format(&t->text, "%s %s\n", warning ? "W" : "F", text + strlen(dir) + 1);
	*(warning ? &t->warnings : &t->faults) += 1;
}

static void note_read(void *arg, const char *text)
{
	note(arg, false, text);
}

static void run(struct told *t)
{
	struct control c;
	struct err e = {0}, first = {0};
	*t = (struct told){.text = BUF_INIT(65536)};
	ck_assert_msg(control_read_all(&c, dir, ~0ul, note_read, t, &e) == 0, "%s", e.text);
	int before = t->faults, rc = control_lint(&c, &first, note, t);
	ck_assert_int_eq(rc, t->faults > before ? E_SYNTAX : 0);
	ck_assert_int_eq(first.text[0] != 0, t->faults > before);
	ck_assert_int_eq(control_lint(&c, NULL, NULL, NULL), rc);
	control_free(&c);
	buf_add_char(&t->text, 0);
}

#define X80 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

#define KEYS "W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define ACCOUNT(u) "dn: uid=" u "\nuid: " u "\nmail: " u "@example.edu\nobjectClass: qmailUser\n"

static const struct {
	struct file file;
	const char *want; /* part of what is told, with "F FILE:LINE: " */
	int faults, warnings;
} rows[] = {
	/* by kind */
	{{"databytes", "12abc\n", 0}, "F databytes:1: must be a whole number from 1024 to", 1, 0},
	{{"databytes", "\n# why\n12\n", 0}, "F databytes:3: must be a whole number", 1, 0},
	{{"maxrcpt", "", 0}, "F maxrcpt: the file is empty", 1, 0},
	{{"greetdelay", "1\n2\n", 0}, "F greetdelay:2: only one line is expected", 1, 0},
	{{"bouncehost", "a b\n", 0}, "F bouncehost:1: must be one word", 1, 0},
	{{"smtpgreeting", "a\001b\n", 0}, "F smtpgreeting:1: control characters", 1, 0},
	/* lines */
	{{"me", "mx_example\n", 0}, "F me:1: \"mx_example\" is not a host name", 1, 0},
	{{"me", "[192.0.2.1]\n", 0}, "F me:1:", 1, 0},
	{{"locals", "example.edu\n\n#\nexa mple\n@example.org\n", 0}, "F locals:4: \"exa mple\" is not a domain", 2, 0},
	{{"locals", "example.edu\nexa mple\n@example.org\n", 0}, "F locals:3: \"@example.org\" is not a domain", 2, 0},
	{{"locals", X80 ".edu\n", 0}, "F locals:1:", 1, 0},
	{{"rcpthosts", "..org\n", 0}, "F rcpthosts:1:", 1, 0},
	{{"listen", "smtp 127.0.0.1:25\nsmtp 127.0.0.1\nhttp [::1]:80\n", 0}, "F listen:2:", 2, 0},
	{{"listen", "smtp 127.0.0.1:25\nsmtp 127.0.0.1:25 proxy\n", 0}, "F listen:2: the same address", 1, 0},
	{{"bouncefrom", "a@b\n", 0}, "F bouncefrom:1:", 1, 0},
	{{"fixupdomains", "old.edu:example.edu\n.old.edu example.edu\n", 0}, "F fixupdomains:2: old.domain:new.domain is wanted", 1, 0},
	{{"fixupdomains", "a.edu:b.edu\nb.edu:example.edu\n", 0}, "F fixupdomains:1: b.edu is itself rewritten", 1, 0},
	{{"fixupdomains", "old.edu:example.edu\n", 0}, "", 0, 0},
	{{"canonical", "a@example.edu:b@example.edu\na@example.edu:c@example.edu\n", 0}, "F canonical:2: a@example.edu leads to b@example.edu by line 1", 1, 0},
	{{"canonical", "a@example.edu:b@example.edu\n", 0}, "", 0, 0},
	{{"servercert.pem", "nonsense\n", 0600}, "F servercert.pem: no certificate", 1, 0},
	{{"postmaster", "postmaster\n", 0}, "F postmaster:1: an address is wanted", 1, 0},
	{{"mailroots", "/tmp\nhome\n/etc/passwd\n/no/such/folder\n", 0}, "F mailroots:4: /no/such/folder: No such file", 3, 0},
	/* across */
	{{"me", NULL, 0}, "F me: missing", 1, 0},
	{{"locals", NULL, 0}, "W locals: absent: only the domain mx.example.edu is local", 0, 1},
	{{"locals", "# none\n", 0}, "W locals: has no domain", 0, 2},
	{{"rcpthosts", "sub.example.edu\n", 0}, "W rcpthosts:1: sub.example.edu is in locals too", 0, 1},
	{{"directory.ldif", NULL, 0}, "W directory.ldif: absent", 0, 1},
	{{"postmaster", NULL, 0}, "W postmaster: absent", 0, 1},
	{{"ldaplogin", "cn=x\n", 0}, "F ldaplogin: ldaplogin and ldappassword", 1, 0},
	{{"ldapserver", "127.0.0.1\n", 0}, "F ldapbasedn: missing", 1, 1},
	{{"fixupdomains", "old.edu:new.edu\n.old.edu:new.edu\nx.edu:example.org\n", 0}, "W fixupdomains:1: new.edu is neither", 0, 1},
	{{"directory.ldif", "dn: uid=a\nuid: a\nobjectClass: qmailUser\nmail: a@else.edu\nmailAlternateAddress: b@ELSE.edu\n", 0}, "W directory.ldif:4: the domain else.edu", 0, 1},
	{{"ldapserver", "ldap.example.edu http://x\n", 0}, "F ldapserver:1: not a URL", 2, 1},
	{{"directory.ldif", "dn: uid=a\nuid: a\nmail: a@example.edu\nmailMessageStore: a\n", 0}, "F directory.ldif:1: mailMessageStore: relative", 1, 0},
	{{"directory.ldif", "dn: uid=a\nuid: a\n\nnonsense\n", 0}, "F directory.ldif:4: ", 1, 0},
	{{"tcp.smtp", "127.:allow,RELAYCLIENT=\"\"\n1.2.3:frob\n:allow\nx\n", 0}, "F tcp.smtp:2: ", 2, 0},
	{{"tcp.smtp", "1.2.3.4:allow\n1.2.3.4:deny\n", 0}, "W tcp.smtp:2: ", 0, 1},
	{{"tcp.submission", "1.2.3.4:allow\n1.2.3.4:deny\n", 0}, "W tcp.submission:2: ", 0, 1},
	{{"tcp.submission", ":permit\n", 0}, "F tcp.submission:1: ", 1, 0},
	{{"tcp.smtp", "10.:allow,RELAYCLIENT=\"\"\n:allow,DATABYTES=\"5000\",RELAYCLIENT=\"\"\n", 0}, "W tcp.smtp:2: lets everybody relay to everywhere: an open relay", 0, 1},
	{{"tcp.smtp", "0.0.0.0/1:allow,RELAYCLIENT=\"\"\n128.0.0.0/1:allow,RELAYCLIENT=\"\"\n", 0}, "W tcp.smtp:1: lets everybody relay", 0, 1},
	{{"tcp.smtp", "1-254.:allow,RELAYCLIENT=\"\"\n", 0}, "W tcp.smtp:1: lets everybody relay", 0, 1},
	{{"tcp.smtp", "2000::/3:allow,RELAYCLIENT=\"\"\n", 0}, "W tcp.smtp:1: lets everybody relay", 0, 1},
	{{"tcp.smtp", "=:allow,RELAYCLIENT=\"\"\n", 0}, "W tcp.smtp:1: lets everybody relay", 0, 1},
	{{"tcp.smtp", "10.:allow,RELAYCLIENT=\"\"\nfc00::/7:allow,RELAYCLIENT=\"\"\n=.example.edu:allow,RELAYCLIENT=\"\"\n:deny,RELAYCLIENT=\"\"\n", 0}, "", 0, 0},
	{{"tcp.submission", "10.:allow,RELAYCLIENT=\"\"\n:allow,RELAYCLIENT=\"\"\n", 0}, "W tcp.submission:2: lets everybody send to everywhere without logging in", 0, 1},
	{{"tcp.qmqp", "10.1.2.3:allow\n:allow\n", 0}, "W tcp.qmqp:2: lets everybody hand in mail for everywhere", 0, 1},
	{{"tcp.smtp", "10.:allow\n192.0.2.:allow,FORCE_TLS=\"1\"\n192.0.3.:allow,FORCE_TLS=\"1\"\n", 0}, "W tcp.smtp:2: FORCE_TLS without servercert.pem: these clients are all turned away", 0, 1},
	{{"tcp.smtp", ":allow,FORCE_TLS=\"1\",DENY_TLS=\"1\"\n", 0}, "W tcp.smtp:1: FORCE_TLS together with DENY_TLS", 0, 1},
	{{"tcp.smtp", ":allow,FORCE_TLS=\"0\",DENY_TLS=\"1\"\n", 0}, "", 0, 0},
	{{"tcp.submission", "10.:allow,DENY_TLS=\"1\",RELAYCLIENT=\"\"\n:allow,DENY_TLS=\"1\"\n", 0}, "W tcp.submission:2: DENY_TLS: nobody can log in", 0, 1},
	{{"listen", "submission 127.0.0.1:587\n", 0}, "F servercert.pem: missing: listen names submission", 1, 0},
	{{"listen", "smtp 127.0.0.1:25\nsubmissions 127.0.0.1:465\n", 0}, "F servercert.pem: missing: listen names submission", 1, 0},
	{{"scanpolicy", "virus reject\nvirus eat\n", 0}, "F scanpolicy:2: ", 1, 1},
	{{"scanpolicy", "virus reject\n", 0}, "W scanpolicy: has no effect: neither", 0, 1},
	{{"quarantinedays", "7\n", 0}, "W quarantinedays: has no effect: no line of scanpolicy says quarantine", 0, 1},
	{{"quarantinebytes", "1000\n", 0}, "F quarantinebytes:1: must be a whole number", 1, 0},
	{{"scanners", "clamav nowhere\n", 0}, "F scanners:1: ", 1, 0},
	{{"banned", "*.exe\n/\n", 0}, "F banned:2: ", 1, 0},
	{{"canonical", "a@b:c\n", 0}, "F canonical:1: ", 1, 0},
	{{"respond", "held ticket mail a@example.edu\n", 0}, "W respond: has no effect: listen names no submission", 0, 1},
	{{"respond", "held block 1\nlocked reboot\n", 0}, "F respond:2: \"reboot\" is no step", 1, 0},
	{{"respond", "held block 1\nlocked password\n", 0}, "F respond:2: password changes an LDAP directory, and there is no ldapserver", 1, 1},
	{{"respond", "held ticket program /no/such/program\n", 0}, "F respond:1: /no/such/program is no program", 1, 1},
	{{"respondlogin", "cn=x\n", 0}, "F respondlogin: respondlogin and respondpassword are only of use together", 1, 0},
	{{"authmechanisms", "PLAIN CRAM-MD5\n", 0}, "F authmechanisms:1: \"CRAM-MD5\" is not one of", 1, 0},
	{{"authmechanisms", "plain login\n", 0}, "", 0, 0},
	{{"authmechanisms", "SCRAM-SHA-256\n", 0}, "W authmechanisms: offers SCRAM-SHA-256, but no account in directory.ldif", 0, 2},
	{{"scramkey", "0123456789012345678901234567890\n", 0}, "F scramkey:1: less than 32 characters", 1, 1},
	{{"scramkey", "01234567890123456789012345678901\n", 0644}, "W scramkey: mode 0644", 0, 2},
	{{"scramkey", "01234567890123456789012345678901\n", 0}, "W scramkey: has no effect", 0, 1},
	{{"scramiterations", "4095\n", 0}, "F scramiterations:1: must be a whole number from 4096", 1, 0},
	{{"directory.ldif", ACCOUNT("a") "userPassword: {SCRAM-SHA-256}4096," KEYS "\n\n", 0}, "", 0, 0},
	{{"directory.ldif", ACCOUNT("a") "userPassword: {SCRAM-SHA-256}4095," KEYS "\n\n", 0}, "W directory.ldif:5: this {SCRAM-SHA-256} fits no password: the iterations", 0, 1},
	{{"directory.ldif", ACCOUNT("a") "userPassword: {ssha}x\n\n" ACCOUNT("b") "userPassword: {NS-MTA-MD5}x\n\n" ACCOUNT("c") "userPassword: {ARGON2}x\n\n", 0},
		"W directory.ldif:11: 2 userPasswords, here first, of a scheme that is not known", 0, 1},
	{{"directory.ldif", ACCOUNT("a") "userPassword: {CRYPT}*\nuserPassword: {cleartext}x\nuserPassword: x{y}\n\n", 0}, "", 0, 0},
	/* names and modes */
	{{"directory.ldif", "dn: uid=a\nuid: a\nmail: a@example.edu\nuserPassword: x\nobjectClass: qmailUser\n\n", 0644}, "W directory.ldif: mode 0644", 0, 1},
	{{"rcpthost", "x\n", 0}, "W rcpthost: unknown name and not used; is rcpthosts meant?", 0, 1},
	{{"Databytes", "x\n", 0}, "W Databytes: unknown name and not used; is databytes meant?", 0, 1},
	{{"frobnicate", "x\n", 0}, "W frobnicate: unknown name and not used\n", 0, 1},
	{{"virtualdomains", "x\n", 0}, "W virtualdomains: not used: the directory", 0, 1},
	{{"maxrcptcount", "5\n", 0}, "W maxrcptcount: withdrawn", 0, 1},
	{{"badmailfrom", "a@b.test\n@.c.test\n-d@c.test\n*@e.*\n", 0}, "", 0, 0},
	{{"badmailfrom", "a.test\n", 0}, "F badmailfrom:1: user@host, @host", 1, 0},
	{{"badrcptto", "!x@y\n", 0}, "F badrcptto:1: lines with !, ^ or .* in front are regular expressions", 1, 0},
	{{"badmailfrom", "#regex\n@evil.test\n", 0}, "F badmailfrom:1: regular expressions are not read", 1, 0},
	{{"badmailfrom.re", "x\n", 0}, "W badmailfrom.re: not used: regular expressions are not read", 0, 1},
	{{"rbllist", "x\n", 0}, "W rbllist: not used: put the lists into dnsbl", 0, 1},
	{{"dnsbllist", "x\n", 0}, "W dnsbllist: not used: put the lists into dnsbl", 0, 1},
	{{"servercerts", "x\n", 0}, "W servercerts: not used: put chain and key of each name into certs/NAME.pem", 0, 1},
	{{"helocheck", "x\n", 0}, "F helocheck:1: must be a whole number from 0 to 1", 1, 0},
	{{"tcp.smtp", ":allow,TARPITDELAY=\"500\"\n", 0}, "F tcp.smtp:1: TARPITDELAY is a number from 0 to 60", 1, 0},
	{{"badhelo", "localhost\n.bad.test\nx y\n", 0}, "F badhelo:3: one word", 1, 0},
	{{"validrcptto.cdb", "x", 0}, "F validrcptto.cdb: not a cdb", 1, 0},
	{{"ldapdefaultquota", "5\n", 0}, "W ldapdefaultquota: withdrawn: give mailQuotaSize", 0, 1},
	{{"aliasdomains", "a:b\n", 0}, "W aliasdomains: not used: put the lines into fixupdomains", 0, 1},
	{{"me~", "x\n", 0}, "", 0, 0},
	{{"README", "x\n", 0}, "", 0, 0},
};

START_TEST(row)
{
	struct told t;
	put(&rows[_i].file);
	run(&t);
	ck_assert_msg(strstr(t.text.p, rows[_i].want) != NULL, "row %d wants %s, told:\n%s", _i, rows[_i].want, t.text.p);
	ck_assert_msg(t.faults == rows[_i].faults && t.warnings == rows[_i].warnings, "row %d: %d faults, %d warnings:\n%s", _i,
		t.faults, t.warnings, t.text.p);
	buf_free(&t.text);
}
END_TEST

/* Scanning: what several files say together. */
START_TEST(scanning)
{
	static const struct file files[] = {
		{"scanners", "clamav unix:/run/clamd\n", 0}, {"scanpolicy", "virus reject\nspam>=5 tag\n", 0}, {"databytes", "100000000\n", 0},
		{"scanseconds", "240\n", 0},
	};
	struct told t;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		put(&files[i]);
	run(&t);
	ck_assert_msg(strstr(t.text.p, "W scanpolicy:2: has no effect: no spamassassin") && strstr(t.text.p, "W scanbytes: less than databytes") &&
		strstr(t.text.p, "W scanseconds: not less"), "%s", t.text.p);
	ck_assert_msg(t.faults == 0 && t.warnings == 3, "%s", t.text.p);
	buf_free(&t.text);
}
END_TEST

/* SCRAM-SHA-256 is offered: who cannot use it, and whom it gives away. */
#define OFFER {"authmechanisms", "PLAIN SCRAM-SHA-256\n", 0}, {"scramkey", "01234567890123456789012345678901\n", 0}
static const struct {
	struct file file[5];
	const char *want;
	int warnings;
} scram_rows[] = {
	{{OFFER, {"directory.ldif", ACCOUNT("a") "userPassword: {SCRAM-SHA-256}4096," KEYS "\n\n", 0}}, "", 0},
	{{OFFER, {"directory.ldif", ACCOUNT("a") "userPassword: {SSHA}x\nuserPassword: {SCRAM-SHA-256}4096," KEYS "\n\n" ACCOUNT("b") "\n", 0}}, "", 0},
	{{OFFER, {"directory.ldif", ACCOUNT("a") "userPassword: {SCRAM-SHA-256}4096," KEYS "\n\n" ACCOUNT("b") "userPassword: x\n\n" ACCOUNT("c") "userPassword: x\n\n", 0}},
		"W directory.ldif:11: 2 of 3 accounts with a password have no SCRAM-SHA-256 secret", 1},
	{{OFFER, {"directory.ldif", ACCOUNT("a") "userPassword: {SSHA}x\n\n", 0}}, "W authmechanisms: offers SCRAM-SHA-256, but no account", 1},
	{{OFFER, {"directory.ldif", ACCOUNT("a") "userPassword: {SCRAM-SHA-256}4096,x\n\n", 0}}, "W directory.ldif:5: this {SCRAM-SHA-256} fits no password", 2},
	{{OFFER, {"directory.ldif", ACCOUNT("a") "userPassword: {SCRAM-SHA-256}5000," KEYS "\n\n", 0}}, "W directory.ldif:5: this SCRAM-SHA-256 secret has 5000 iterations and scramiterations says 4096", 1},
	{{OFFER, {"scramiterations", "5000\n", 0}, {"directory.ldif", ACCOUNT("a") "userPassword: {SCRAM-SHA-256}5000," KEYS "\n\n", 0}}, "", 0},
	{{OFFER, {"directory.ldif", ACCOUNT("a") "userPassword: {SCRAM-SHA-256}4096,c2FsdHNhbHQ=" , 0}}, "fits no password", 2},
	{{OFFER, {"directory.ldif", NULL, 0}, {"ldapserver", "127.0.0.1\n", 0}, {"ldapbasedn", "dc=x\n", 0}},
		"W authmechanisms: offers SCRAM-SHA-256, for which userPassword must be read", 1},
	{{{"authmechanisms", "SCRAM-SHA-256\n", 0}, {"directory.ldif", ACCOUNT("a") "userPassword: {SCRAM-SHA-256}4096," KEYS "\n\n", 0}},
		"W scramkey: absent, and authmechanisms offers SCRAM-SHA-256", 1},
};

START_TEST(scram)
{
	struct told t;
	for (size_t i = 0; i < 5 && scram_rows[_i].file[i].name; i++)
		put(&scram_rows[_i].file[i]);
	run(&t);
	ck_assert_msg(strstr(t.text.p, scram_rows[_i].want) && t.faults == 0 && t.warnings == scram_rows[_i].warnings, "row %d wants %s:\n%s", _i, scram_rows[_i].want, t.text.p);
	buf_free(&t.text);
}
END_TEST

START_TEST(lists_that_refuse_nobody)
{
	static const struct {
		struct file lists, threshold;
		int warnings;
	} cases[] = {
		{{"dnsbl", "bl.test weight=2\nbl.test codes=127.0.0.9 weight=3\nwl.test weight=-5\n", 0}, {"dnsblthreshold", "5\n", 0}, 0},
		{{"dnsbl", "bl.test weight=2\nbl.test codes=127.0.0.9 weight=3\nwl.test weight=-5\n", 0}, {"dnsblthreshold", "6\n", 0}, 1},
		{{"dnsbl", "wl.test weight=-5\n", 0}, {"dnsblthreshold", "6\n", 0}, 0}, /* who is known there is not greylisted */
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct told t;
		put(&cases[i].lists);
		put(&cases[i].threshold);
		run(&t);
		ck_assert_msg(t.faults == 0 && t.warnings == cases[i].warnings, "case %zu: %s", i, t.text.p);
		ck_assert_msg(!t.warnings || strstr(t.text.p, "W dnsblthreshold: 6 is more than all weights of dnsbl together, 5"), "%s", t.text.p);
		buf_free(&t.text);
	}
}
END_TEST

START_TEST(nothing_wrong)
{
	struct told t;
	run(&t);
	ck_assert_msg(t.faults == 0 && t.warnings == 0, "%s", t.text.p);
	buf_free(&t.text);
}
END_TEST

/* Every fault of every file is told in one go. */
START_TEST(all_at_once)
{
	static const struct file bad[] = {{"databytes", "x\n", 0}, {"maxrcpt", "0\n", 0}, {"locals", "a b\nc d\n", 0}, {"listen", "x\n", 0}};
	struct told t;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		put(&bad[i]);
	run(&t);
	ck_assert_msg(t.faults == 5, "%s", t.text.p);
	buf_free(&t.text);
}
END_TEST

/* In a folder copied from qmail, the one difference that matters is told. */
START_TEST(copied_from_qmail)
{
	static const struct file f[] = {{"rcpthosts", NULL, 0}, {"virtualdomains", "x\n", 0}};
	struct told t;
	put(&f[0]);
	run(&t);
	ck_assert_msg(t.warnings == 0, "%s", t.text.p);
	buf_free(&t.text);
	put(&f[1]);
	run(&t);
	ck_assert_ptr_nonnull(strstr(t.text.p, "W rcpthosts: absent: only domains in locals"));
	buf_free(&t.text);
}
END_TEST

START_TEST(secret_and_folder_modes)
{
	static const struct file f[] = {{"ldapserver", "127.0.0.1\n", 0}, {"ldapbasedn", "dc=x\n", 0}, {"ldaplogin", "cn=x\n", 0},
		{"ldappassword", "x\n", 0640}, {"directory.ldif", NULL, 0}};
	struct told t;
	for (size_t i = 0; i < sizeof f / sizeof *f; i++)
		put(&f[i]);
	ck_assert_int_eq(chmod(dir, 0777), 0);
	run(&t);
	ck_assert_ptr_nonnull(strstr(t.text.p, "W ldappassword: mode 0640"));
	ck_assert_ptr_nonnull(strstr(t.text.p, "everybody may write"));
	ck_assert_msg(t.faults == 0 && t.warnings == 2, "%s", t.text.p);
	buf_free(&t.text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lint");
	TCase *t = tcase_create("lint");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, row, 0, (int)(sizeof rows / sizeof *rows));
	tcase_add_loop_test(t, scram, 0, (int)(sizeof scram_rows / sizeof *scram_rows));
	tcase_add_test(t, lists_that_refuse_nobody);
	tcase_add_test(t, nothing_wrong);
	tcase_add_test(t, scanning);
	tcase_add_test(t, all_at_once);
	tcase_add_test(t, copied_from_qmail);
	tcase_add_test(t, secret_and_folder_modes);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
