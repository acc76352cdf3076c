/* control/skim: the original's production file is read as it is, every fault is named with its line; numbers at their bounds. */
#include "skim/config.h"

#include "tests/unit/unit.h"

static struct control with(const char *text)
{
	struct control c = {.dir = "ctl"};
	c.value[C_skim].content = slice_str(text);
	c.value[C_skim].present = true;
	c.value[C_locals].content = slice_str("campus.test\n");
	c.value[C_locals].present = true;
	return c;
}

static const struct fault_row {
	const char *spec, *text, *error; /* error NULL: read */
} faults[] = {
	{"empty", "", NULL},
	{"comments", "# a\n; b\n\n[global]\n#verbose=9\n", NULL},
	{"case does not count", "[GLOBAL]\nVerbose=4\n", NULL},
	{"blanks around", " [global] \n  verbose = 4  \r\n", NULL},
	{"no section", "verbose=1\n", "ctl/skim:1: the key stands before"},
	{"unknown section", "[globl]\nverbose=1\n", "ctl/skim:2: there is no section [globl]"},
	{"section without end", "[global\n", "ctl/skim:1: a section is"},
	{"empty section", "[ ]\n", "ctl/skim:1: a section"},
	{"no value sign", "[global]\nverbose\n", "ctl/skim:2: neither"},
	{"no key", "[global]\n=1\n", "ctl/skim:2: neither"},
	{"unknown key", "[global]\nverbos=1\n", "ctl/skim:2: [global] has no key \"verbos\""},
	{"number in another's section", "[global]\ncountry_hop=1\n", "has no key"},
	{"number below", "[phishhook]\ninterval=0\n", "ctl/skim:2: interval must be a whole number from 1"},
	{"number at least", "[phishhook]\ninterval=1\n", NULL},
	{"verbose at most", "[global]\nverbose=4\n", NULL},
	{"verbose over", "[global]\nverbose=5\n", "verbose must be"},
	{"number with rest", "[phishfrom]\nmaxrcptto=30x\n", "must be a whole number"},
	{"negative", "[phishfrom]\nmaxrcptto=-1\n", "must be a whole number"},
	{"continued", "[headers]\nsubject=<<EOT\n", "repeat the key"},
	{"control character", "[global]\nverbose=\001\n", "control character"},
	{"unknown check", "[global]\nenable=phishhook,rcptto\n", "ctl/skim:2: there is no check \"rcptto\""},
	{"a rule is no check", "[global]\nenable=L1\n", "there is no check"},
	{"countries", "[phishhook]\nsafe_countries= us , CA,A1\n", NULL},
	{"no country", "[phishhook]\nsafe_countries=USA\n", "is not a country"},
	{"regex", "[headers]\nsubject=~^a(b|c)$\n", NULL},
	{"wrong regex", "[headers]\nsubject=~a(b\n", "ctl/skim:2: the regular expression is wrong at its character 4"},
	{"empty regex", "[headers]\nsubject=~\n", "an empty pattern"},
	{"exact text is no regex", "[headers]\nsubject=a(b\n", NULL},
	{"body is always one", "[body]\nbody=a(b\n", "regular expression"},
	{"body, other key", "[body]\ntext=a\n", "has the key body"},
	{"envelope, other key", "[envelope]\nfrom=a\n", "mailfrom and rcptto"},
	{"rule", "[rules]\nL1=log\ns3 = on 40 12\n", NULL},
	{"rule unknown", "[rules]\nL99=on\n", "there is no rule"},
	{"rule mode", "[rules]\nL1=yes\n", "a rule is on, log or off"},
	{"rule points", "[rules]\nL1=on 1001\n", "points"},
	{"rule hours", "[rules]\nL1=on 10 0\n", "hours"},
	{"rule, too much", "[rules]\nL1=on 10 10 10\n", "there is more"},
	{"a check is no rule", "[rules]\nphishhook=on\n", "there is no rule"},
	{"ladder", "[score]\nhold=70\nstop=60\n", "must rise"},
	{"class", "[userclass guest]\nrecipients_hour=10\nuntil=2026-12-31\n", NULL},
	{"class, key", "[userclass guest]\nmost=10\n", "a user class has"},
	{"class, name too long", "[userclass 012345678901234567890123456789012]\nrecipients_hour=1\n", "a user class has a name"},
	{"net", "[trustednets]\nnet=10.0.0.0/8 campus\nnet=2001:db8::/32\nnet=192.0.2.1 vpn\n", NULL},
	{"net, bits", "[trustednets]\nnet=10.0.0.0/33\n", "/BITS must be"},
	{"net, six bits", "[trustednets]\nnet=2001:db8::/129\n", "/BITS must be"},
	{"net, none", "[trustednets]\nnet=campus\n", "is not a network"},
	{"asn", "[hosting]\nasn=AS64500, 64501\n", NULL},
	{"asn, none", "[hosting]\nasn=x\n", "number of a network"},
	{"travel", "[travel]\nanna=JP,KR until 2026-12-01\n", NULL},
	{"travel without end", "[travel]\nanna=JP\n", "the end date is a must"},
	{"travel, date", "[travel]\nanna=JP until 2026-02-30\n", "there is no day"},
	{"travel, leap day", "[travel]\nanna=JP until 2028-02-29\n", NULL},
	{"urls", "[urls]\nbad=a.test,b.test\n", NULL},
	{"authorised", "[authorised]\nanna=list@x.test,@y.test\n", NULL},
	{"authorised, no address", "[authorised]\nanna=list\n", "an address"},
};

START_TEST(fault)
{
	const struct fault_row *row = &faults[_i];
	struct control c = with(row->text);
	struct skim_config cfg;
	struct err e = {0};
	int rc = config_read(&cfg, &c, &e);
	if (row->error) {
		ck_assert_msg(rc < 0, "%s: read", row->spec);
		ck_assert_msg(strstr(e.text, row->error), "%s: \"%s\"", row->spec, e.text);
		return;
	}
	ck_assert_msg(rc == 0, "%s: %s", row->spec, e.text);
	config_free(&cfg);
}
END_TEST

static const char original[] = "[global]\nverbose=2\nenable=phishhook,phishlimit,phishfrom,envelope,headers,body\ndryrun=phishfrom,envelope,headers,body\n"
	"webmail_aware=1\n\n[phishhook]\ninterval=28800\nsafe_countries=A1,A2,US,MX,CA,PR\nsafe_users=user1,user2,user3\ncountry_hop=1\ncountry_count=4\n"
	"test=phishphood,@4000000051427e313ac0850c,189.38.86.41,skimtest\n\n[phishfrom]\nmaxrcptto=30\n\n[phishlimit]\ninterval=60\nmaxrcptto=100\n\n"
	"[ratelimit]\ninterval=500\nmaxrcptto=50\n\n[envelope]\nmailfrom=baduser@example.com\nmailfrom=~baduser2\nrcptto=gullible@localdom.com\n"
	"rcptto=~gullible2\n\n[headers]\nfrom=baduser\nsubject=testing\nsubject=~spammy\nreceived=~example.com\nx-mailer=~spammailer\n\n[body]\nbody=badidea\n";

START_TEST(whole)
{
	struct control c = with(original);
	struct skim_config cfg;
	struct err e;
	ck_assert_int_eq(config_read(&cfg, &c, &e), 0);
	ck_assert_int_eq(cfg.rule[R_PHISHHOOK].mode, RULE_ON);
	ck_assert_int_eq(cfg.rule[R_PHISHFROM].mode, RULE_LOG);
	ck_assert_int_eq(cfg.rule[R_RATELIMIT].mode, RULE_OFF);
	ck_assert_int_eq(config_number(&cfg, N_hook_count), 4);
	ck_assert(config_safe_country(&cfg, country_code('P', 'R')));
	ck_assert_msg(!config_safe_country(&cfg, country_code('A', '1')), "an anonymous proxy is not safe");
	ck_assert(config_safe_user(&cfg, slice_str("USER2")) && !config_safe_user(&cfg, slice_str("user4")));
	ck_assert_uint_eq(cfg.patterns.n, 10);
	ck_assert(slice_eq_str(cfg.test_user, "phishphood"));
	config_free(&cfg);
}
END_TEST

static const struct net_row {
	const char *spec, *ip;
	uint32_t asn;
	unsigned kinds;
} net_rows[] = {
	{"in /8", "10.1.2.3", 0, 1u << NET_TRUSTED},
	{"in /8 and /24", "10.9.9.9", 0, 1u << NET_TRUSTED | 1u << NET_WEBMAIL},
	{"beside", "11.0.0.0", 0, 0},
	{"last of /8", "10.255.255.255", 0, 1u << NET_TRUSTED},
	{"one address", "192.0.2.1", 0, 1u << NET_ANONYMOUS},
	{"its neighbour", "192.0.2.2", 0, 0},
	{"six", "2001:db8:ffff::1", 0, 1u << NET_MOBILE},
	{"six, beside", "2001:db9::1", 0, 0},
	{"number", "192.0.2.9", 64500, 1u << NET_HOSTING},
	{"number of the table", "192.0.2.9", 16276, 1u << NET_HOSTING},
	{"other number", "192.0.2.9", 64502, 0},
};

START_TEST(nets)
{
	struct control c = with("[trustednets]\nnet=10.0.0.0/8 campus\nnet=10.9.9.0/24 webmail\n[anonymous]\nnet=192.0.2.1\n[mobile]\nnet=2001:db8::/32\n"
		"[hosting]\nasn=64500,64501\n");
	struct skim_config cfg;
	struct err e;
	struct ip ip;
	ck_assert_int_eq(config_read(&cfg, &c, &e), 0);
	ck_assert_int_eq(ip_parse(&ip, slice_str(net_rows[_i].ip)), 0);
	ck_assert_msg(config_net(&cfg, &ip, net_rows[_i].asn) == net_rows[_i].kinds, "%s: %x", net_rows[_i].spec, config_net(&cfg, &ip, net_rows[_i].asn));
	config_free(&cfg);
}
END_TEST

START_TEST(dates)
{
	struct control c = with("[travel]\nanna=JP until 1970-01-02\n[userclass guest]\nrecipients_hour=7\nuntil=1970-01-01\n");
	struct skim_config cfg;
	struct err e;
	country jp = country_code('J', 'P');
	ck_assert_int_eq(config_read(&cfg, &c, &e), 0);
	ck_assert(config_travels(&cfg, slice_str("Anna"), jp, 2 * 86400 - 1));
	ck_assert_msg(!config_travels(&cfg, slice_str("anna"), jp, 2 * 86400), "the day after the last");
	ck_assert(!config_travels(&cfg, slice_str("bert"), jp, 0) && !config_travels(&cfg, slice_str("anna"), country_code('D', 'E'), 0));
	ck_assert_int_eq(config_class(&cfg, slice_str("guest"), 86399)->recipients_hour, 7);
	ck_assert_int_eq(config_class(&cfg, slice_str("guest"), 86400)->recipients_hour, 400);
	ck_assert_int_eq(config_class(&cfg, slice_str("student"), 0)->recipients_hour, 200);
	ck_assert_int_eq(config_class(&cfg, slice_str("bulk"), 0)->recipients_hour, 0);
	config_free(&cfg);
}
END_TEST

UNIT_MAIN("skim/config", tcase_add_loop_test(t, fault, 0, (int)(sizeof faults / sizeof *faults)); tcase_add_test(t, whole);
	tcase_add_loop_test(t, nets, 0, (int)(sizeof net_rows / sizeof *net_rows)); tcase_add_test(t, dates);)
