/* smtpd-outside/helo: what speaks against a name in HELO. */
#include "smtpd-outside/helo.h"

#include "tests/unit/unit.h"

#define NO_NAME "is no full host name"
#define NOT_YOURS "is not your address"
#define NO_ADDRESS "is no address"
#define OURS "is this site's own"

static const struct {
	const char *helo, *client, *fault, *spec;
} rows[] = {
	{"mail.far.test", "192.0.2.7", NULL, "a host name"},
	{"mail.far.test.", "192.0.2.7", NULL, "with the root's dot"},
	{"my_host.far.test", "192.0.2.7", NULL, "names with _ are common"},
	{"xn--mnchen-3ya.test", "192.0.2.7", NULL, "a name in ASCII form"},
	{"far.1test", "192.0.2.7", NULL, "a last label with a letter"},
	{"friend", "192.0.2.7", NO_NAME, "RFC 5321 2.3.5: no dot"},
	{"friend.", "192.0.2.7", NO_NAME, "the root's dot is no dot"},
	{"localhost", "192.0.2.7", NO_NAME, "no dot"},
	{".", "192.0.2.7", NO_NAME, "nothing"},
	{".far.test", "192.0.2.7", NO_NAME, "begins with a dot"},
	{"far..", "192.0.2.7", NO_NAME, "an empty label at the end"},
	{"192.0.2.7", "192.0.2.7", NO_NAME, "RFC 5321 4.1.3: an address has brackets"},
	{"2001:db8::7", "2001:db8::7", NO_NAME, "an address has brackets"},
	{"::ffff:192.0.2.7", "192.0.2.7", NO_NAME, "an address has brackets"},
	{"[192.0.2.7]", "192.0.2.7", NULL, "its own address"},
	{"[192.0.2.8]", "192.0.2.7", NOT_YOURS, "another's"},
	{"[10.0.0.1]", "192.0.2.7", NOT_YOURS, "one of a network behind"},
	{"[IPv6:2001:db8::7]", "2001:db8::7", NULL, "its own address"},
	{"[ipv6:2001:DB8:0::7]", "2001:db8::7", NULL, "in another form"},
	{"[2001:db8::7]", "2001:db8::7", NULL, "without the tag"},
	{"[IPv6:2001:db8::8]", "2001:db8::7", NOT_YOURS, "another's"},
	{"[mail.far.test]", "192.0.2.7", NO_ADDRESS, "a name in brackets"},
	{"[]", "192.0.2.7", NO_NAME, "nothing in brackets"},
	{"[192.0.2.7", "192.0.2.7", NO_NAME, "half a literal"},
	{"mx1.campus.test", "192.0.2.7", OURS, "control/me"},
	{"MX1.Campus.test", "192.0.2.7", OURS, "in any case"},
	{"mx1.campus.test", "127.0.0.1", NULL, "said by this host"},
	{"mx1.campus.test", "::1", NULL, "said by this host"},
	{"mx1.campus.test", "198.51.100.1", NULL, "said by this host's own address"},
	{"campus.test", "192.0.2.7", OURS, "a domain of locals"},
	{"campus.test.", "192.0.2.7", OURS, "with the root's dot"},
	{"web.dept.test", "192.0.2.7", NULL, "below a .domain of locals: its hosts may be anywhere"},
	{"xcampus.test", "192.0.2.7", NULL, "ends like one of ours"},
};

START_TEST(fault)
{
	struct control c = {0};
	struct ip client, local;
	c.value[C_me] = (struct control_value){.content = slice_str("mx1.campus.test\n"), .present = true};
	c.value[C_locals] = (struct control_value){.content = slice_str("campus.test\n.dept.test\n"), .present = true};
	ck_assert_int_eq(ip_parse(&client, slice_str(rows[_i].client)), 0);
	ck_assert_int_eq(ip_parse(&local, slice_str("198.51.100.1")), 0);
	const char *got = helo_fault(slice_str(rows[_i].helo), &client, &local, &c);
	ck_assert_msg(got ? rows[_i].fault && strcmp(got, rows[_i].fault) == 0 : !rows[_i].fault, "%s (%s): %s", rows[_i].helo, rows[_i].spec, got ? got : "fine");
}
END_TEST

UNIT_MAIN("helo", tcase_add_loop_test(t, fault, 0, (int)(sizeof rows / sizeof *rows));)
