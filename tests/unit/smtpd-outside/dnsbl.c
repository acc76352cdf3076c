/* smtpd-outside/dnsbl: lines of control/dnsbl, names that are asked, what answers add up to. */
#include "smtpd-outside/dnsbl.h"

#include "tests/unit/unit.h"

static const struct {
	const char *line, *zone;
	int weight, reply;
	unsigned codes;
	const char *text, *spec; /* zone NULL: refused */
} lines[] = {
	{"bl.example.org", "bl.example.org", 1, 550, 0, "", "a zone alone"},
	{"BL.Example.org.", "bl.example.org", 1, 550, 0, "", "case and the last dot do not count"},
	{"bl.example.org weight=3", "bl.example.org", 3, 550, 0, "", "weight"},
	{"wl.example.org weight=-2", "wl.example.org", -2, 550, 0, "", "an allow list"},
	{"bl.example.org codes=127.0.0.2-11,127.0.0.20 weight=2", "bl.example.org", 2, 550, 2, "", "codes, any order"},
	{"bl.example.org\treply=451  text=\"see http://x/?%IP% now\"", "bl.example.org", 1, 451, 0, "see http://x/?%IP% now", "text with blanks"},
	{"bl.example.org text=\"\"", "bl.example.org", 1, 550, 0, "", "an empty text is none"},
	{"", NULL, 0, 0, 0, "", "no zone"},
	{"weight=1", NULL, 0, 0, 0, "", "no zone"},
	{"bl..org", NULL, 0, 0, 0, "", "no domain"},
	{"[192.0.2.1]", NULL, 0, 0, 0, "", "no domain"},
	{"bl.example.org weight=0", NULL, 0, 0, 0, "", "a weight that says nothing"},
	{"bl.example.org weight=1001", NULL, 0, 0, 0, "", "over the limit"},
	{"bl.example.org weight=", NULL, 0, 0, 0, "", "no number"},
	{"bl.example.org codes=", NULL, 0, 0, 0, "", "no code"},
	{"bl.example.org codes=128.0.0.1", NULL, 0, 0, 0, "", "RFC 5782 2.1: in 127/8"},
	{"bl.example.org codes=127.0.0.9-2", NULL, 0, 0, 0, "", "a range that ends before it begins"},
	{"bl.example.org codes=127.0.0.9-", NULL, 0, 0, 0, "", "half a range"},
	{"bl.example.org codes=127.0.0.9-256", NULL, 0, 0, 0, "", "past 255"},
	{"bl.example.org codes=127.0-1.0.9", NULL, 0, 0, 0, "", "a range in another octet"},
	{"bl.example.org reply=421", NULL, 0, 0, 0, "", "not one of the four"},
	{"bl.example.org text=none", NULL, 0, 0, 0, "", "no quotes"},
	{"bl.example.org text=\"x\" weight=2", NULL, 0, 0, 0, "", "text is the last"},
	{"bl.example.org weigth=2", NULL, 0, 0, 0, "", "an unknown word"},
};

START_TEST(line)
{
	struct dnsbl_rule r = {0};
	char zone[DNSBL_ZONE_MAX + 1];
	struct err e = {0};
	int rc = dnsbl_parse_line(&r, zone, slice_str(lines[_i].line), &e);
	ck_assert_msg((rc == 0) == (lines[_i].zone != NULL), "%s: %s", lines[_i].spec, e.text);
	if (rc < 0) {
		ck_assert(e.text[0]);
		return;
	}
	ck_assert_str_eq(zone, lines[_i].zone);
	ck_assert_msg(r.weight == lines[_i].weight && r.reply == lines[_i].reply && r.code_count == lines[_i].codes, "%s", lines[_i].spec);
	ck_assert_str_eq(r.text, lines[_i].text);
}
END_TEST

static const struct {
	const char *ip, *name, *reverse;
} names[] = {
	{"192.0.2.7", "7.2.0.192.bl.test", "7.2.0.192.in-addr.arpa"},
	{"255.255.255.255", "255.255.255.255.bl.test", "255.255.255.255.in-addr.arpa"},
	{"2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.test",
		"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"},
};

START_TEST(name)
{
	char out[DNSBL_NAME_MAX];
	struct ip ip;
	ck_assert_int_eq(ip_parse(&ip, slice_str(names[_i].ip)), 0);
	dnsbl_name(out, &ip, "bl.test");
	ck_assert_str_eq(out, names[_i].name);
	dnsbl_reverse_name(out, &ip);
	ck_assert_str_eq(out, names[_i].reverse);
}
END_TEST

static struct dnsbl lists(const char *text, const char *threshold)
{
	struct dnsbl d;
	struct err e;
	struct control c = {0};
	c.value[C_dnsbl] = (struct control_value){.content = slice_str(text), .present = true};
	struct control_value *t = &c.value[C_dnsblthreshold];
	if (threshold) {
		*t = (struct control_value){.content = slice_str(threshold), .present = true};
		ck_assert_int_eq(slice_number(&t->number, t->content, 0, 1000000), 0);
	}
	ck_assert_msg(dnsbl_parse(&d, &c, &e) == 0, "%s", e.text);
	return d;
}

/* Zones: 0 bl, 1 zen (two lines with other codes), 2 wl. */
static const char three[] = "bl.test weight=2 text=\"by bl\"\n# a comment\nzen.test codes=127.0.0.2-3 weight=3\nZEN.test codes=127.0.0.10-11 weight=1\nwl.test weight=-4\n";
static const struct {
	struct {
		unsigned zone, code; /* last two octets */
	} answer[4];
	long sum;
	bool refuses;
	unsigned failed;
	const char *spec;
} sums[] = {
	{{{9, 0}}, 0, false, 0, "nobody lists it"},
	{{{0, 2}, {9, 0}}, 2, false, 0, "below the threshold"},
	{{{0, 2}, {1, 2}, {9, 0}}, 5, true, 0, "two lists together"},
	{{{1, 3}, {9, 0}}, 3, true, 0, "at the threshold"},
	{{{1, 4}, {9, 0}}, 0, false, 0, "a code that no line has"},
	{{{1, 2}, {1, 10}, {9, 0}}, 4, true, 0, "two codes of one zone, two lines"},
	{{{1, 2}, {1, 3}, {9, 0}}, 3, true, 0, "a line counts once"},
	{{{0, 2}, {1, 2}, {2, 2}, {9, 0}}, 1, false, 0, "an allow list outweighs"},
	{{{0, 0xff01}, {9, 0}}, 0, false, 1, "127.255.255.x is an error of the list"},
};

START_TEST(sum)
{
	struct dnsbl d = lists(three, "3");
	struct dnsbl_score s = {0};
	ck_assert_uint_eq(d.zones, 3);
	for (unsigned i = 0; i < 4 && sums[_i].answer[i].zone != 9; i++) {
		unsigned code = sums[_i].answer[i].code;
		unsigned char a[4] = {127, code > 255 ? 255 : 0, (unsigned char)(code >> 8), (unsigned char)code};
		dnsbl_answer(&s, &d, sums[_i].answer[i].zone, a);
	}
	ck_assert_msg(dnsbl_sum(&s, &d) == sums[_i].sum, "%s: %ld", sums[_i].spec, dnsbl_sum(&s, &d));
	ck_assert_msg(dnsbl_refuses(&s, &d) == sums[_i].refuses, "%s", sums[_i].spec);
	ck_assert_msg(__builtin_popcountll(s.failed) == (int)sums[_i].failed, "%s", sums[_i].spec);
}
END_TEST

START_TEST(hijacked)
{
	struct dnsbl d = lists("bl.test\n", NULL);
	struct dnsbl_score s = {0};
	dnsbl_answer(&s, &d, 0, (const unsigned char *)"\xc0\x00\x02\x01");
	ck_assert(!dnsbl_refuses(&s, &d) && s.failed == 1);
}
END_TEST

START_TEST(texts)
{
	struct dnsbl d = lists(three, NULL);
	struct dnsbl_score s = {0};
	char out[80], txt[80];
	struct ip ip;
	ck_assert_int_eq(ip_parse(&ip, slice_str("192.0.2.7")), 0);
	dnsbl_answer(&s, &d, 0, (const unsigned char *)"\x7f\x00\x00\x02");
	dnsbl_answer(&s, &d, 1, (const unsigned char *)"\x7f\x00\x00\x02");
	const struct dnsbl_rule *r = dnsbl_speaker(&s, &d);
	ck_assert(r == &d.rule[1]); /* the greatest weight speaks */
	ck_assert_int_eq(dnsbl_txt(txt, sizeof txt, slice_make("\x03" "spa\x05m \x1b[0", 10)), 0);
	ck_assert_str_eq(txt, "spam ?[0");
	dnsbl_text(out, sizeof out, r, "zen.test", slice_str(txt), &ip);
	ck_assert_str_eq(out, "192.0.2.7 is listed by zen.test: spam ?[0");
	dnsbl_text(out, sizeof out, r, "zen.test", slice_str(""), &ip);
	ck_assert_str_eq(out, "192.0.2.7 is listed by zen.test");
	dnsbl_text(out, 12, r, "zen.test", slice_str(""), &ip);
	ck_assert_str_eq(out, "192.0.2.7 i");
	ck_assert_int_eq(dnsbl_txt(txt, sizeof txt, slice_make("\x04" "spa", 4)), E_SYNTAX);
	ck_assert_int_eq(dnsbl_txt(txt, 3, slice_make("\x03" "spa", 4)), 0);
	ck_assert_str_eq(txt, "sp");
	struct dnsbl_rule own = {.text = "%IP% at %ZONE%%"};
	dnsbl_text(out, sizeof out, &own, "zen.test", slice_str("x"), &ip);
	ck_assert_str_eq(out, "192.0.2.7 at zen.test%");
}
END_TEST

static const struct {
	const char *data;
	size_t n;
	const char *name, *spec; /* NULL: none */
} hosts[] = {
	{"\2mx\4Some\3org\0", 13, "mx.some.org", "lower case"},
	{"\4host\0", 6, "host", "one label"},
	{"\0", 1, NULL, "the root"},
	{"", 0, NULL, "nothing"},
	{"\2mx\4some", 8, NULL, "no end"},
	{"\2mx\0x", 5, NULL, "something behind the end"},
	{"\2m\0\0", 4, NULL, "NUL in a label"},
	{"\5a b.c\0", 7, NULL, "no host"},
	{"\4[::]\0", 6, NULL, "no host"},
	{"\3a.b\0", 5, "a.b", "a dot in a label makes two"},
	{"\300\14", 2, NULL, "compression"},
	{"\377", 1, NULL, "a length past the end"},
};

START_TEST(host)
{
	char out[DNSBL_NAME_MAX];
	int rc = dnsbl_host(out, slice_make(hosts[_i].data, hosts[_i].n));
	ck_assert_msg((rc == 0) == (hosts[_i].name != NULL), "%s", hosts[_i].spec);
	if (rc == 0)
		ck_assert_str_eq(out, hosts[_i].name);
}
END_TEST

/* 255 octets with lengths and end are the most that a name has (RFC 1035 3.1). */
START_TEST(long_host)
{
	char data[300], out[DNSBL_NAME_MAX];
	size_t n = 0;
	for (int i = 0; i < 4; i++, n += i < 4 ? 64 : 0) {
		data[n] = i < 3 ? 63 : 61;
		memset(data + n + 1, 'a', 63);
	}
	data[3 * 64 + 62] = 0;
	ck_assert_int_eq(dnsbl_host(out, slice_make(data, 3 * 64 + 63)), 0);
	ck_assert_uint_eq(strlen(out), 253);
	memset(data, 1, sizeof data);
	for (size_t i = 1; i < sizeof data; i += 2)
		data[i] = 'a';
	data[298] = 0;
	ck_assert_int_eq(dnsbl_host(out, slice_make(data, 299)), E_SYNTAX);
}
END_TEST

UNIT_MAIN("dnsbl",
	tcase_add_loop_test(t, host, 0, sizeof hosts / sizeof *hosts);
	tcase_add_test(t, long_host);
	tcase_add_loop_test(t, line, 0, sizeof lines / sizeof *lines);
	tcase_add_loop_test(t, name, 0, sizeof names / sizeof *names);
	tcase_add_loop_test(t, sum, 0, sizeof sums / sizeof *sums);
	tcase_add_test(t, hijacked);
	tcase_add_test(t, texts);)
