/* smtpd-outside/dns_wanted: what control files want of postern-dns. */
#include "smtpd-outside/dns_wanted.h"

#include "tests/unit/unit.h"

static const struct {
	enum control_id file;
	const char *text;
	long long clientnames; /* 2 is the default */
	bool names, wanted;
	const char *spec;
} rows[] = {
	{C_me, "mx1.campus.test", 2, false, false, "nothing to ask"},
	{C_dnsbl, "bl.test", 2, false, true, "lists"},
	{C_dnsbl, "bl.test", 1, true, true, "lists and names"},
	{C_me, "mx1.campus.test", 1, true, true, "names"},
	{C_me, "mx1.campus.test", 0, false, false, "no names"},
	{C_scanners, "spamassassin unix:/run/spamd", 2, true, true, "spamassassin wants them"},
	{C_scanners, "clamav unix:/run/clamd\nspamassassin [::1]:783", 2, true, true, "in any line"},
	{C_scanners, "spamassassin unix:/run/spamd", 0, false, false, "the file wins"},
	{C_scanners, "clamav unix:/run/clamd", 2, false, false, "a virus does not care"},
	{C_tcp_smtp, "=good.test:allow", 2, false, true, "a rule by name"},
	{C_tcp_submission, "=good.test:allow", 2, false, true, "in submission"},
	{C_tcp_qmqp, "=good.test:allow", 2, false, true, "in the cluster"},
	{C_tcp_smtp, "192.0.2.1:allow", 2, false, false, "rules by address"},
};

START_TEST(wanted)
{
	struct control c = {0};
	c.value[rows[_i].file] = (struct control_value){.content = slice_str(rows[_i].text), .present = true};
	c.value[C_clientnames].number = rows[_i].clientnames;
	ck_assert_msg(dns_names_clients(&c) == rows[_i].names, "%s", rows[_i].spec);
	ck_assert_msg(dns_wanted(&c) == rows[_i].wanted, "%s", rows[_i].spec);
}
END_TEST

static const struct {
	const char *rules; /* control/tcp.smtp */
	long long mfcheck;
	bool looks;
	const char *spec;
} senders[] = {
	{":allow", 0, false, "nobody asks"},
	{":allow", 1, true, "the file"},
	{":allow", 3, true, "the file, and the log"},
	{":allow,MFCHECK=\"1\"", 0, true, "a rule"},
	{"# x\n10.:allow,RELAYCLIENT=\"\"\n:allow,DATABYTES=\"9\",MFCHECK=\"1\"", 0, true, "the last variable of the last rule"},
	{"10.:allow,MFCHECK=\"0\"", 0, true, "a rule is not judged: it costs a program that nobody asks"},
	{"10.:allow,MFCHECK=\"0\"", 1, true, "the file, with exceptions"},
	{"# :allow,MFCHECK=\"1\"\n:allow", 0, false, "a comment"},
	{":allow,XMFCHECK=\"1\"", 0, false, "a longer name"},
	{":allow,MFCHECKS=\"1\"", 0, false, "another longer name"},
	{":allow,RBLSMTPD=\"MFCHECK=1\"", 0, false, "a value"},
	{":allow,!MFCHECK", 0, false, "taken away"},
	{"", 0, false, "no rules"},
};

START_TEST(looks)
{
	struct control c = {0};
	c.value[C_tcp_smtp] = (struct control_value){.content = slice_str(senders[_i].rules), .present = true};
	c.value[C_mfcheck].number = senders[_i].mfcheck;
	ck_assert_msg(dns_looks_at_senders(&c) == senders[_i].looks, "%s", senders[_i].spec);
	ck_assert_msg(dns_wanted(&c) == senders[_i].looks, "%s", senders[_i].spec);
	c.value[C_tcp_smtp] = (struct control_value){0};
	c.value[C_tcp_submission] = (struct control_value){.content = slice_str(senders[_i].rules), .present = true};
	ck_assert_msg(dns_looks_at_senders(&c) == (senders[_i].mfcheck > 0), "in submission nobody is looked at: %s", senders[_i].spec);
}
END_TEST

UNIT_MAIN("dns_wanted",
	tcase_add_loop_test(t, wanted, 0, (int)(sizeof rows / sizeof *rows));
	tcase_add_loop_test(t, looks, 0, (int)(sizeof senders / sizeof *senders));)
