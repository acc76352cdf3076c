/* smtpd-outside/proxy: headers of both versions, every truncation of them, what is refused. */
#include "smtpd-outside/proxy.h"

#include "lib/buf.h"
#include "tests/unit/unit.h"

#define S(text) {text, sizeof text - 1}
#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define FOUR "\300\0\2\1" "\300\0\2\2" "\001\000" "\0\031"  /* 192.0.2.1, 192.0.2.2, 256, 25 */
#define SIX1 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
#define SIX2 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"

static const struct {
	struct slice in;
	const char *client, *local; /* NULL: the connection's own */
	unsigned client_port, local_port;
	const char *spec;
} good[] = {
	{S("PROXY TCP4 192.0.2.1 192.0.2.2 256 25\r\n"), "192.0.2.1", "192.0.2.2", 256, 25, "2.1 TCP4"},
	{S("PROXY TCP6 2001:db8::1 2001:db8::2 256 25\r\n"), "2001:db8::1", "2001:db8::2", 256, 25, "2.1 TCP6"},
	{S("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255", "255.255.255.255", 65535, 65535, "2.1 longest TCP4"},
	{S("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 65535, "2.1 longest TCP6"},
	{S("PROXY UNKNOWN\r\n"), NULL, NULL, 0, 0, "2.1 shortest"},
	{S("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
		NULL, NULL, 0, 0, "2.1 longest, 107 octets"},
	{S(SIG "\x21\x11\0\x0c" FOUR), "192.0.2.1", "192.0.2.2", 256, 25, "2.2 TCP over IPv4"},
	{S(SIG "\x21\x21\0\x24" SIX1 SIX2 "\001\000\0\031"), "2001:db8::1", "2001:db8::2", 256, 25, "2.2 TCP over IPv6"},
	{S(SIG "\x21\x11\0\x10" FOUR "\x04\0\1x"), "192.0.2.1", "192.0.2.2", 256, 25, "2.2.7 a TLV after the addresses"},
	{S(SIG "\x20\x00\0\0"), NULL, NULL, 0, 0, "2.2 LOCAL"},
	{S(SIG "\x20\x11\0\x0c" FOUR), NULL, NULL, 0, 0, "2.2 LOCAL: the addresses are discarded"},
	{S(SIG "\x21\x00\0\x03" "abc"), NULL, NULL, 0, 0, "2.2 UNSPEC: what follows is passed over"},
	{S(SIG "\x21\x31\0\x02" "ab"), NULL, NULL, 0, 0, "2.2 Unix socket"},
};

static void same_ip(const struct ip *ip, const char *text, const char *spec)
{
	char have[INET6_ADDRSTRLEN];
	ip_text(have, ip);
	ck_assert_msg(strcmp(have, text) == 0, "%s: %s", spec, have);
}

static void check_good(int i, struct slice in)
{
	struct proxy_header h;
	size_t used = 0;
	ck_assert_msg(proxy_parse(&h, &used, in) == 0, "%s", good[i].spec);
	ck_assert_msg(used == good[i].in.n && h.known == (good[i].client != NULL), "%s", good[i].spec);
	if (!h.known)
		return;
	same_ip(&h.client, good[i].client, good[i].spec);
	same_ip(&h.local, good[i].local, good[i].spec);
	ck_assert_msg(h.client_port == good[i].client_port && h.local_port == good[i].local_port, "%s", good[i].spec);
}

START_TEST(parses)
{
	struct buf b = BUF_INIT(1000);
	check_good(_i, good[_i].in);
	buf_add_slice(&b, good[_i].in);
	buf_add_str(&b, "EHLO x\r\n");
	check_good(_i, buf_slice(&b)); /* what follows is not touched */
	buf_free(&b);
}
END_TEST

START_TEST(every_truncation_wants_more)
{
	for (size_t n = 0; n < good[_i].in.n; n++) {
		struct proxy_header h;
		size_t used = 77;
		ck_assert_msg(proxy_parse(&h, &used, slice_upto(good[_i].in, n)) == E_EOF, "%s at %zu", good[_i].spec, n);
		ck_assert_uint_eq(used, 77);
	}
}
END_TEST

static const struct {
	struct slice in;
	int code;
	const char *spec;
} bad[] = {
	{S("EHLO x\r\n"), E_SYNTAX, "no header"},
	{S("X"), E_SYNTAX, "known at the first octet"},
	{S("\r\nX"), E_SYNTAX, "not the signature"},
	{S("proxy TCP4 192.0.2.1 192.0.2.2 1 25\r\n"), E_SYNTAX, "small letters"},
	{S("PROXY\r\n"), E_SYNTAX, "nothing after it"},
	{S("PROXY \r\n"), E_SYNTAX, "no family"},
	{S("PROXY TCP5 192.0.2.1 192.0.2.2 1 25\r\n"), E_SYNTAX, "another family"},
	{S("PROXY TCP4 192.0.2.1 192.0.2.2 1 25\n"), E_SYNTAX, "LF alone"},
	{S("PROXY TCP4  192.0.2.1 192.0.2.2 1 25\r\n"), E_SYNTAX, "two blanks"},
	{S("PROXY TCP4 192.0.2.1 192.0.2.2 1 25 \r\n"), E_SYNTAX, "a blank at the end"},
	{S("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"), E_SYNTAX, "a port missing"},
	{S("PROXY TCP4 192.0.2.1 192.0.2.2 1 25 26\r\n"), E_SYNTAX, "a port too many"},
	{S("PROXY TCP4 192.0.2.1 192.0.2.2 65536 25\r\n"), E_SYNTAX, "a port too large"},
	{S("PROXY TCP4 192.0.2.1 192.0.2.2 01 25\r\n"), E_SYNTAX, "2.1: no leading zero"},
	{S("PROXY TCP4 192.0.2.1 192.0.2.2 -1 25\r\n"), E_SYNTAX, "a sign"},
	{S("PROXY TCP4 192.0.2.256 192.0.2.2 1 25\r\n"), E_SYNTAX, "no address"},
	{S("PROXY TCP4 2001:db8::1 2001:db8::2 1 25\r\n"), E_SYNTAX, "the other family's addresses"},
	{S("PROXY TCP6 192.0.2.1 192.0.2.2 1 25\r\n"), E_SYNTAX, "the other family's addresses"},
	{S("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 25\r\n"), E_SYNTAX, "NUL"},
	{S("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 655355\r\n"),
		E_TOO_LONG, "2.1: 108 octets"},
	{S(SIG "\x11\x11\0\x0c" FOUR), E_SYNTAX, "version 1 in the binary form"},
	{S(SIG "\x31\x11\0\x0c" FOUR), E_SYNTAX, "version 3"},
	{S(SIG "\x22\x11\0\x0c" FOUR), E_SYNTAX, "another command"},
	{S(SIG "\x21\x12\0\x0c" FOUR), E_SYNTAX, "datagrams"},
	{S(SIG "\x21\x41\0\x0c" FOUR), E_SYNTAX, "another family"},
	{S(SIG "\x21\x11\0\x0b" FOUR), E_SYNTAX, "too short for its addresses"},
	{S(SIG "\x21\x21\0\x0c" FOUR), E_SYNTAX, "too short for IPv6"},
	{S(SIG "\x21\x11\xff\xff"), E_TOO_LONG, "more than the limit, known from its head"},
};

START_TEST(refused)
{
	struct proxy_header h;
	size_t used = 77;
	ck_assert_msg(proxy_parse(&h, &used, bad[_i].in) == bad[_i].code, "%s", bad[_i].spec);
	ck_assert_uint_eq(used, 77);
}
END_TEST

START_TEST(limit)
{
	for (size_t n = PROXY_MAX - 1; n <= PROXY_MAX + 1; n++) {
		struct proxy_header h;
		size_t used;
		char text[PROXY_MAX + 1] = SIG "\x21\x11";
		text[14] = (char)((n - 16) >> 8);
		text[15] = (char)((n - 16) & 0xff);
		ck_assert_int_eq(proxy_parse(&h, &used, slice_make(text, n)), n > PROXY_MAX ? E_TOO_LONG : 0);
	}
}
END_TEST

UNIT_MAIN("proxy",
	tcase_add_loop_test(t, parses, 0, sizeof good / sizeof *good);
	tcase_add_loop_test(t, every_truncation_wants_more, 0, sizeof good / sizeof *good);
	tcase_add_loop_test(t, refused, 0, sizeof bad / sizeof *bad);
	tcase_add_test(t, limit);)
