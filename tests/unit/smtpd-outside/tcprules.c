/* smtpd-outside/tcprules: which line counts for an address, what a line says, what is refused. */
#include "smtpd-outside/tcprules.h"

#include <stdio.h>

#include "lib/control.h"
#include "smtpd-outside/tcprules_line.h"
#include "tests/unit/unit.h"

#define A16 "aaaaaaaaaaaaaaaa"
#define A64 A16 A16 A16 A16
#define A256 A64 A64 A64 A64

static const char example[] =
	"# comment\n"
	"127.0.0.1:allow,RELAYCLIENT=\"\",N=\"exact\"\n"
	"127.0.0.1:deny\n"
	"127.:allow,N='prefix8'\n"
	"10.0.0.:deny\n"
	"10.0.:allow,N=/16/\n"
	"10.0.0.7:allow,N=xsevenx\n"
	"192.0.2.37-53:allow,N=\"range\"\n"
	"172.16-31.:allow,N=\"private\"\n"
	"198.51-52.100.9:allow,N=\"inner\"\n"
	"203.0.113.0/25:allow,N=\"cidr25\"\n"
	"203.0.113.64/26:deny\n"
	"203.0.113.70/32:allow,N=\"cidr32\"\n"
	"2001:db8::1:allow,N=\"six\"\n"
	"[2001:db8::2]:allow,N=\"bracket\"\n"
	"2001:db8:5:allow,N=\"not a prefix\"\n"
	"2001:db8:7::deny\n"
	"2001:db8:8:/0:deny\n";

/* The lines that must parse, in one file. */
static const char rules[] =
	"127.0.0.1:allow,RELAYCLIENT=\"\",N=\"exact\"\n"
	"127.0.0.1:deny\n"
	"127.:allow,N='prefix8'\n"
	"10.0.0.:deny\n"
	"10.0.:allow,N=/16/\n"
	"10.0.0.7:allow,N=xsevenx\n"
	"192.0.2.37-53:allow,N=\"range\"\n"
	"172.16-31.:allow,N=\"private\"\n"
	"198.51-52.100.9:allow,N=\"inner\"\n"
	"203.0.113.0/25:allow,N=\"cidr25\"\n"
	"203.0.113.64/26:deny\n"
	"203.0.113.70/32:allow,N=\"cidr32\"\n"
	"2001:db8::1:allow,N=\"six\"\n"
	"[2001:db8::2]:allow,N=\"bracket\"\n"
	"2001:db8:7::deny\n"      /* the prefix 2001:db8:7: */
	"2001:db8:7::1:allow,N=\"one\"\n"
	"2001:db8:9::/48:allow,N=\"six48\"\n"
	"=mail.example.org:deny\n"
	"info@192.0.2.1:deny\n"
	"=:deny\n"
	":allow,N=\"default\"\n";

static struct tcprules *must_parse(const char *text)
{
	struct tcprules *t = NULL;
	struct err e;
	int line;
	ck_assert_msg(tcprules_parse(&t, &line, slice_str(text), NULL, NULL, &e) == 0, "line %d: %s", line, e.text);
	return t;
}

static struct slice var(const struct tcprule *r, const char *name)
{
	for (size_t i = 0; i < r->vars; i++)
		if (slice_eq_str(r->var[i].name, name))
			return r->var[i].value;
	return (struct slice){0};
}

static const struct tcprule *find(const struct tcprules *t, const char *ip)
{
	struct ip client;
	ck_assert_int_eq(ip_parse(&client, slice_str(ip)), 0);
	return tcprules_find(t, &client, slice_str(""));
}

/* n: the variable N of the line that counts; NULL: deny. */
static const struct {
	const char *ip, *n, *spec;
} lookups[] = {
	{"127.0.0.1", "exact", "COMPAT: IP first; the first line of two"},
	{"127.0.0.2", "prefix8", "COMPAT: prefixes ending in '.'"},
	{"127.255.255.255", "prefix8", "the whole /8"},
	{"128.0.0.1", "default", "no further than the /8"},
	{"10.0.0.6", NULL, "the longer prefix"},
	{"10.0.0.7", "seven", "an address wins over a prefix, wherever it stands"},
	{"10.0.1.7", "16", "the shorter prefix where the longer one does not match"},
	{"192.0.2.36", "default", "one below the range"},
	{"192.0.2.37", "range", "COMPAT: 1.2.3.37-53"},
	{"192.0.2.53", "range", "its last"},
	{"192.0.2.54", "default", "one past it"},
	{"172.15.0.1", "default", "one below"},
	{"172.16.9.9", "private", "COMPAT: 10.2-3."},
	{"172.31.0.1", "private", "its last"},
	{"172.32.0.1", "default", "one past it"},
	{"198.51.100.9", "inner", "a range in the middle"},
	{"198.52.100.9", "inner", "its last"},
	{"198.52.100.10", "default", "and nothing beside it"},
	{"203.0.113.1", "cidr25", "CIDR"},
	{"203.0.113.63", "cidr25", "below the /26"},
	{"203.0.113.64", NULL, "the longer CIDR"},
	{"203.0.113.70", "cidr32", "the longest"},
	{"203.0.113.128", "default", "past the /25"},
	{"2001:db8::1", "six", "IPv6 address"},
	{"2001:db8:0:0::2", "bracket", "any spelling, any brackets"},
	{"2001:db8:7::1", "one", "IPv6 address before its prefix"},
	{"2001:db8:7:ffff::5", NULL, "IPv6 prefix ending in ':'"},
	{"2001:db8:9:1::", "six48", "IPv6 CIDR"},
	{"2001:db8:a::", "default", "IPv6 default"},
	{"::ffff:127.0.0.1", "exact", "a mapped address is its IPv4 address"},
};

START_TEST(lookup)
{
	struct tcprules *t = must_parse(rules);
	const struct tcprule *r = find(t, lookups[_i].ip);
	ck_assert_msg(r->deny == !lookups[_i].n, "%s", lookups[_i].spec);
	if (lookups[_i].n)
		ck_assert_msg(slice_eq_str(var(r, "N"), lookups[_i].n), "%s: %.*s", lookups[_i].spec, SLICE_FMT(var(r, "N")));
	tcprules_free(t);
}
END_TEST

/* A single line with the default address. */
static const struct {
	const char *text, *name, *value, *spec; /* value NULL: not set */
} settings[] = {
	{":allow,A=\"x\"", "A", "x", "double quotes"},
	{":allow,A='x\"y'", "A", "x\"y", "single quotes"},
	{":allow,A=/x,B=\"1\"/,C=\"y\"", "A", "x,B=\"1\"", "any character that is not in the value"},
	{":allow,A=/x,B=\"1\"/,C=\"y\"", "B", NULL, "what stands in quotes is no setting"},
	{":allow,A=/x,B=\"1\"/,C=\"y\"", "C", "y", "what follows is"},
	{":allow,A=\"\"", "A", "", "empty is set"},
	{":allow,A=\"1\",A=\"2\"", "A", "2", "the last one counts"},
	{":allow,A=\"1\",!A", "A", NULL, "! unsets"},
	{":allow,!A,A=\"1\"", "A", "1", "in their order"},
	{":allow,A=\"1\",!A,B=\"2\"", "B", "2", "after !"},
	{":allow,A_9=\"z\"", "A_9", "z", "capitals, digits, underscore"},
	{"\t:allow,A=\"x\"  ", "A", "x", "blanks around a line do not count"},
	{":allow,A=\"\303\244\"", "A", "\303\244", "UTF-8"},
};

/* The order of tcprules(1), COMPAT 4.4: IP, =HOST, prefixes, =.suffix, =, empty. */
static const char named[] =
	"192.0.2.9:allow,N=\"address\"\n"
	"192.0.2.:allow,N=\"prefix\"\n"
	"192.0.2.8:allow,N=\"first\"\n"
	"=Mail.Example.ORG:allow,N=\"host\"\n"
	"=mail.example.org:deny\n"
	"=.example.org:allow,N=\"suffix\"\n"
	"=.b.example.org:allow,N=\"longer\"\n"
	"=:allow,N=\"any\"\n"
	"info@198.51.100.1:deny\n"
	":deny\n";
static const struct {
	const char *ip, *host, *n, *spec;
} by_name[] = {
	{"192.0.2.9", "mail.example.org", "address", "the whole address first"},
	{"192.0.2.7", "mail.example.org", "host", "=HOST before prefixes; the first of two"},
	{"192.0.2.7", "x.example.org", "prefix", "prefixes before =.suffix"},
	{"198.51.100.1", "mail.example.org", "host", "=HOST, written with capitals"},
	{"198.51.100.1", "x.example.org", "suffix", "=.suffix"},
	{"198.51.100.1", "a.b.example.org", "longer", "the longest suffix"},
	{"198.51.100.1", "b.example.org", "suffix", "a suffix is not the domain itself"},
	{"198.51.100.1", "example.org", "any", "= for every host with a name"},
	{"198.51.100.1", "host", "any", "one label"},
	{"198.51.100.1", "", NULL, "no name: the line without address"},
	{"2001:db8::1", "mail.example.org", "host", "IPv6"},
};

START_TEST(names)
{
	struct ip client;
	struct tcprules *t = must_parse(named);
	ck_assert_int_eq(ip_parse(&client, slice_str(by_name[_i].ip)), 0);
	const struct tcprule *r = tcprules_find(t, &client, slice_str(by_name[_i].host));
	ck_assert_msg(r->deny == !by_name[_i].n, "%s", by_name[_i].spec);
	if (by_name[_i].n)
		ck_assert_msg(slice_eq_str(var(r, "N"), by_name[_i].n), "%s: %.*s", by_name[_i].spec, SLICE_FMT(var(r, "N")));
	ck_assert_msg(tcprules_want_host(t, &client) == !slice_eq_str(slice_str(by_name[_i].n), "address"), "%s", by_name[_i].spec);
	tcprules_free(t);
	t = must_parse("192.0.2.0/24:allow\n");
	ck_assert_msg(!tcprules_want_host(t, &client), "nobody is asked without rules by name");
	tcprules_free(t);
}
END_TEST

/* A list as a bad neighbourhood's: the look-up probes as often as there are prefix lengths, however many lines there are. */
START_TEST(large)
{
	struct buf b = BUF_INIT(16u << 20);
	for (unsigned i = 0; i < 100000; i++)
		buf_add_format(&b, "10.%u.%u.%u:deny\n=h%u.example.org:allow,N=\"%u\"\n", i >> 16, i >> 8 & 255, i & 255, i, i);
	buf_add_str(&b, ":allow\n");
	struct tcprules *t = NULL;
	struct err e;
	int line;
	ck_assert_msg(tcprules_parse(&t, &line, buf_slice(&b), NULL, NULL, &e) == 0, "line %d: %s", line, e.text);
	ck_assert(find(t, "10.1.134.159")->deny && !find(t, "10.1.134.160")->deny);
	struct ip client;
	ck_assert_int_eq(ip_parse(&client, slice_str("192.0.2.1")), 0);
	ck_assert(slice_eq_str(var(tcprules_find(t, &client, slice_str("h99999.example.org")), "N"), "99999"));
	tcprules_free(t);
	buf_free(&b);
}
END_TEST

START_TEST(values)
{
	struct tcprules *t = must_parse(settings[_i].text);
	struct slice v = var(find(t, "192.0.2.1"), settings[_i].name);
	if (settings[_i].value)
		ck_assert_msg(v.p && slice_eq_str(v, settings[_i].value), "%s: %.*s", settings[_i].spec, SLICE_FMT(v));
	else
		ck_assert_msg(!v.p, "%s", settings[_i].spec);
	tcprules_free(t);
}
END_TEST

static const struct {
	const char *text;
	int greetdelay, drop, maxperip;
	const char *rbl, *spec; /* NULL: not set */
} heeded[] = {
	{":allow", -1, -1, -1, NULL, "nothing set"},
	{":allow,GREETDELAY=\"30\"", 30, -1, -1, NULL, "COMPAT 4.2 GREETDELAY"},
	{":allow,SMTPD_GREETDELAY=\"5\"", 5, -1, -1, NULL, "COMPAT 4.2 alias"},
	{":allow,GREETDELAY=\"30\",SMTPD_GREETDELAY=\"5\"", 30, -1, -1, NULL, "the alias gives way"},
	{":allow,GREETDELAY=\"\"", 0, -1, -1, NULL, "empty is none"},
	{":allow,DROP_PRE_GREET=\"1\"", -1, 1, -1, NULL, "COMPAT 4.2"},
	{":allow,DROP_PRE_GREET=\"0\"", -1, 0, -1, NULL, "tolerated"},
	{":allow,DROPRUSHGREET=\"\"", -1, 1, -1, NULL, "qmail-ldap: set is on"},
	{":allow,DROPRUSHGREET=\"1\",DROP_PRE_GREET=\"0\"", -1, 0, -1, NULL, "the alias gives way"},
	{":allow,MAXPERIP=\"3\"", -1, -1, 3, NULL, "limit"},
	{":allow,RBLSMTPD=\"\"", -1, -1, -1, "", "COMPAT 4.4: empty lets through"},
	{":allow,RBLSMTPD=\"-go away\"", -1, -1, -1, "-go away", "COMPAT 4.4: text"},
};

START_TEST(heed)
{
	struct tcprules *t = must_parse(heeded[_i].text);
	const struct tcprule *r = find(t, "192.0.2.1");
	ck_assert_msg(r->greetdelay_sec == heeded[_i].greetdelay && r->drop_pre_greet == heeded[_i].drop &&
		r->maxperip == heeded[_i].maxperip, "%s", heeded[_i].spec);
	ck_assert_msg(heeded[_i].rbl ? r->rblsmtpd.p && slice_eq_str(r->rblsmtpd, heeded[_i].rbl) : !r->rblsmtpd.p, "%s", heeded[_i].spec);
	tcprules_free(t);
}
END_TEST

static const struct {
	const char *text, *spec;
} wrong[] = {
	{"127.0.0.1", "no colon (tcprules passes over it)"},
	{"127.0.0.1:", "no instruction"},
	{"127.0.0.1:allowed", "something after allow"},
	{"127.0.0.1:permit", "another word"},
	{"127.0.0.1:allow,", "comma at the end"},
	{"127.0.0.1:allow,A", "no ="},
	{"127.0.0.1:allow,A=", "no quote"},
	{"127.0.0.1:allow,A=\"x", "quote not closed"},
	{"127.0.0.1:allow,A=\"", "quote alone"},
	{"127.0.0.1:allow,A=\"x\"y", "something after the quote"},
	{"127.0.0.1:allow,=\"x\"", "no name"},
	{"127.0.0.1:allow,a=\"x\"", "a name in small letters"},
	{"127.0.0.1:allow,A B=\"x\"", "a blank in a name"},
	{"127.0.0.1:allow,!", "nothing to unset"},
	{"127.0.0.1:allow,A=\"x\001\"", "a control character"},
	{"127.0.0.256:allow", "an octet too large"},
	{"127.0.0.01:allow", "a leading zero never matches"},
	{"127.0.0:allow", "a prefix without its dot never matches"},
	{"127.0.0.1.:allow", "a dot too many"},
	{"127.0.0.1.2:allow", "an octet too many"},
	{"127..1:allow", "an octet missing"},
	{".:allow", "a dot alone"},
	{"1.2.3.9-7:allow", "a range that ends before it begins"},
	{"1.2.3.0-256:allow", "a range past 255"},
	{"1.2-3.4.5-6:allow", "two ranges"},
	{"1.2.3.4-:allow", "half a range"},
	{"1.2.3.0/33:allow", "more than 32 bits"},
	{"1.2.3/24:allow", "CIDR with a short address"},
	{"2001:db8::/129:allow", "more than 128 bits"},
	{"2001:db8::::allow", "three colons"},
	{"2001:db8::g:allow", "no hexadecimal digit"},
	{"1:2:3:4:5:6:7:8::allow", "a prefix of nine groups"},
	{"mail.example.org:allow", "a name without ="},
	{"=mail_.example.org:allow", "no domain"},
	{"=.:allow", "a dot alone"},
	{"=[192.0.2.1]:allow", "no name"},
	{":allow,DNSBLSKIP=\"2\"", "neither 0 nor 1"},
	{":allow,GREETDELAY=\"x\"", "no number"},
	{":allow,GREETDELAY=\"301\"", "over the limit"},
	{":allow,DROP_PRE_GREET=\"2\"", "neither 0 nor 1"},
	{":allow,DATABYTES=\"10M\"", "no number, though the session heeds it"},
	{":allow,MAXRCPT=\"20001\"", "over the limit"},
	{":allow,DENY_TLS=\"\"", "no number"},
	{":allow,FORCETLS=\"yes\"", "no number"},
	{":allow,TARPITDELAY=\"61\"", "over the limit: found here, not by the first client"},
	{":allow,TARPITCOUNT=\"-1\"", "a negative count"},
	{":allow,VALIDRCPTTO_LIMIT=\"x\"", "no number"},
	{":allow,VALIDRCPTTO_LOG=\"3\"", "over the limit"},
	{":allow,HELOCHECK=\"2\"", "neither 0 nor 1"},
	{":allow,MAXRCPTCOUNT=\"x\"", "an alias is checked too"},
	{":allow,SMTPGREETING=\"\"", "no greeting"},
	{":allow,SMTPGREETING=\"a\tb\"", "a tab in a greeting"},
	{":allow,RELAYCLIENT=\"" A256 "\"", "longer than any domain"},
	{":allow,MAXPERIP=\"\"", "no number"},
	{":allow,MAXPERIP=\"-1\"", "a negative limit"},
};

START_TEST(refused)
{
	struct tcprules *t = NULL;
	struct buf b = BUF_INIT(1000);
	struct err e = {0};
	int line;
	buf_add_str(&b, "# one\n\n");
	buf_add_str(&b, wrong[_i].text);
	buf_add_str(&b, "\n:allow\n");
	ck_assert_msg(tcprules_parse(&t, &line, buf_slice(&b), NULL, NULL, &e) == E_SYNTAX, "%s", wrong[_i].spec);
	ck_assert_msg(line == 3, "%s: line %d", wrong[_i].spec, line);
	ck_assert_msg(e.text[0], "%s", wrong[_i].spec);
	ck_assert_ptr_null(t);
	buf_free(&b);
}
END_TEST

START_TEST(whole_example_is_refused_at_its_line)
{
	struct tcprules *t = NULL;
	struct err e;
	int line;
	ck_assert_int_eq(tcprules_parse(&t, &line, slice_str(example), NULL, NULL, &e), E_SYNTAX);
	ck_assert_int_eq(line, 16);
}
END_TEST

static void note(void *arg, int line, const char *text)
{
	ck_assert(*text);
	*(unsigned *)arg |= 1u << line;
}

START_TEST(warnings)
{
	struct tcprules *t = NULL;
	struct err e;
	unsigned lines = 0;
	int line;
	const char *text = "1.2.3.4:allow\n1.2.3.4:deny\n=host:allow,DNSBLSKIP=\"1\"\n1.2.3.0/24:deny\n1.2.3.:deny\n10.1.0.0/8:deny\n:allow\n:deny\n"
		"1.2.3.5:allow,RELAYCLIENT=\"\",LOGREGEX=\"1\"\n1.2.3.6:allow,LOGREGEX=\"2\",FORCE_TLS=\"2\"\n1.2.3.7:allow,SMTPD_GREETDELAY=\"2\"\n";
	ck_assert_int_eq(tcprules_parse(&t, &line, slice_str(text), note, &lines, &e), 0);
	ck_assert_uint_eq(lines, 1u << 2 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 9 | 1u << 11);
	tcprules_free(t);
}
END_TEST

/* Whoever copies a file of another patch learns what becomes of each of its variables. */
static const char *const known_elsewhere[] = {
	/* the JMS patch */
	"GREETDELAY", "DROP_PRE_GREET", "VALIDRCPTTO_CDB", "VALIDRCPTTO_LIMIT", "VALIDRCPTTO_LOG", "DENY_TLS", "FORCE_TLS", "SSL", "TLS_SERVER_CERT", "TLSCIPHERS",
	"REQUIRE_AUTH", "ALLOW_INSECURE_AUTH", "ALLOW_CRAM", "AUTH_CDB", "AUTH_SET_RELAYCLIENT", "AUTH_UNSET_GREETDELAY", "MAXRCPT", "DATABYTES", "SPFBEHAVIOR",
	"RELAYREJ", "SMTPGREETING", "RCPTCHECK", "LOGREGEX", "QMAILSMTPD_LOG_MAIL", "QMAILSMTPD_LOG_RCPT", "QMAILSMTPD_HELP_VERSION", "SMTP_AUTH_USER",
	/* qmail-ldap */
	"SANITYCHECK", "RETURNMXCHECK", "SENDERCHECK", "BLOCKRELAYPROBE", "TARPITCOUNT", "TARPITDELAY", "BADRCPTDELAY", "MAXRCPTCOUNT", "REJECTEXEC", "421GREETING",
	"550GREETING", "SMTP550DISCONNECT", "NOBOUNCE", "DROPRUSHGREET", "RBL", "RBLONLYHEADER", "SMTPAUTH", "AUTHREQUIRED", "AUTHPREPEND", "RELAYCLIENT", "SMTPAUTHUSER",
	/* tcpserver, rblsmtpd, netqmail's descendants */
	"TCPREMOTEHOST", "TCPREMOTEINFO", "RBLSMTPD", "SMTPD_GREETDELAY", "DNSBLSKIP", "DNSBLFAILCLOSED", "NOBADHELO", "DISABLETLS", "FORCETLS", "QMAILQUEUE", "MAXPERIP",
};

START_TEST(names_of_others)
{
	const char *note = tcprules_note(slice_str(known_elsewhere[_i]));
	ck_assert_msg(!note || !strstr(note, "this release; the rule"), "%s", known_elsewhere[_i]);
	ck_assert(strstr(tcprules_note(slice_str("NO_SUCH_NAME")), "this release; the rule"));
}
END_TEST

START_TEST(limits)
{
	struct buf b = BUF_INIT(20000);
	struct tcprules *t = NULL;
	struct err e;
	int line;
	buf_add_str(&b, ":allow");
	for (int i = 0; i < HANDOVER_VARS_MAX; i++)
		buf_add_format(&b, ",V%d=\"%d\"", i, i);
	buf_add_char(&b, '\0');
	t = must_parse(b.p);
	ck_assert_uint_eq(find(t, "::1")->vars, HANDOVER_VARS_MAX);
	tcprules_free(t);
	t = NULL;
	b.n--;
	buf_add_str(&b, ",ONEMORE=\"\"");
	ck_assert_int_eq(tcprules_parse(&t, &line, buf_slice(&b), NULL, NULL, &e), E_SYNTAX);
	for (int over = 0; over < 2; over++) {
		buf_reset(&b);
		buf_add_str(&b, ":allow,A=\"");
		for (int i = 0; i < HANDOVER_VALUE_MAX + over; i++)
			buf_add_char(&b, 'x');
		buf_add_str(&b, "\"");
		ck_assert_int_eq(tcprules_parse(&t, &line, buf_slice(&b), NULL, NULL, &e), over ? E_SYNTAX : 0);
	}
	tcprules_free(t);
	buf_free(&b);
}
END_TEST

START_TEST(no_file)
{
	ck_assert(!find(NULL, "192.0.2.1")->deny);
	struct tcprules *t = must_parse("");
	ck_assert(!find(t, "192.0.2.1")->deny);
	ck_assert_uint_eq(find(t, "192.0.2.1")->vars, 0);
	tcprules_free(t);
}
END_TEST

/* 200,000 lines: every address finds its own. */
START_TEST(many)
{
	struct buf b = BUF_INIT(16 << 20);
	for (int i = 0; i < 200000; i++)
		buf_add_format(&b, "10.%d.%d.%d:allow,N=\"%d\"\n", i >> 16, i >> 8 & 255, i & 255, i % 3);
	buf_add_char(&b, '\0');
	struct tcprules *t = must_parse(b.p);
	for (int i = 0; i < 200000; i += 997) {
		char ip[32], n[4];
		snprintf(ip, sizeof ip, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		snprintf(n, sizeof n, "%d", i % 3);
		ck_assert(slice_eq_str(var(find(t, ip), "N"), n));
	}
	ck_assert_uint_eq(find(t, "11.0.0.1")->vars, 0);
	tcprules_free(t);
	buf_free(&b);
}
END_TEST

UNIT_MAIN("tcprules",
	tcase_add_loop_test(t, lookup, 0, sizeof lookups / sizeof *lookups);
	tcase_add_loop_test(t, names, 0, sizeof by_name / sizeof *by_name);
	tcase_add_test(t, large);
	tcase_add_loop_test(t, values, 0, sizeof settings / sizeof *settings);
	tcase_add_loop_test(t, names_of_others, 0, sizeof known_elsewhere / sizeof *known_elsewhere);
	tcase_add_loop_test(t, heed, 0, sizeof heeded / sizeof *heeded);
	tcase_add_loop_test(t, refused, 0, sizeof wrong / sizeof *wrong);
	tcase_add_test(t, whole_example_is_refused_at_its_line);
	tcase_add_test(t, warnings);
	tcase_add_test(t, limits);
	tcase_add_test(t, no_file);
	tcase_add_test(t, many);)
