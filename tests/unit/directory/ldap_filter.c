/* Unit tests of directory/ldap_filter.c: outside text can only be a literal; lines of control/ldapserver. */
#include "directory/ldap_filter.h"

#include <ldap.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

int ldap_pvt_put_filter(BerElement *ber, const char *text); /* libldap's own parser, in no header */

static const struct {
	const char *spec;
	struct slice key;
	const char *want;
} filters[] = {
	{"plain", {"anna", 4}, "(uid=anna)"},
	{"what addresses have", {"a.b-c_d+e@f", 11}, "(uid=a.b-c_d+e@f)"},
	{"a star", {"*", 1}, "(uid=\\2a)"},
	{"parentheses", {")(uid=*", 7}, "(uid=\\29\\28uid\\3d\\2a)"},
	{"a backslash", {"\\2a", 3}, "(uid=\\5c2a)"},
	{"NUL", {"a\0b", 3}, "(uid=a\\00b)"},
	{"overlong UTF-8", {"\xc0\xaf", 2}, "(uid=\\c0\\af)"},
	{"blanks and controls", {" \n\x7f", 3}, "(uid=\\20\\0a\\7f)"},
	{"approximate, greater", {"~=<>&|!", 7}, "(uid=\\7e\\3d\\3c\\3e\\26\\7c\\21)"},
};

START_TEST(filter)
{
	struct buf b = BUF_INIT(4096);
	ldap_filter(&b, LOOKUP_LOGIN, filters[_i].key, slice_make("", 0));
	ck_assert_msg(slice_eq_str(buf_slice(&b), filters[_i].want), "%s: %.*s", filters[_i].spec, SLICE_FMT(buf_slice(&b)));
	buf_free(&b);
}
END_TEST

START_TEST(address_and_class)
{
	struct buf b = BUF_INIT(4096);
	ldap_filter(&b, LOOKUP_ADDRESS, slice_str("a*@b"), slice_str("qmail(User"));
	ck_assert(slice_eq_str(buf_slice(&b), "(&(objectClass=qmail\\28User)(|(mail=a\\2a@b)(mailAlternateAddress=a\\2a@b)))"));
	buf_free(&b);
}
END_TEST

/* All octets, as libldap itself reads the filter: one equality with just these octets. */
START_TEST(every_octet)
{
	char key[256];
	struct buf b = BUF_INIT(4096);
	BerElement *ber = ber_alloc_t(LBER_USE_DER);
	struct berval out;
	for (int i = 0; i < 256; i++)
		key[i] = (char)i;
	ldap_filter(&b, LOOKUP_LOGIN, slice_make(key, sizeof key), slice_make("", 0));
	buf_add_char(&b, 0);
	ck_assert_int_eq(ldap_pvt_put_filter(ber, b.p), 0);
	ck_assert_int_eq(ber_flatten2(ber, &out, 0), 0);
	/* equalityMatch [3], length, OCTET STRING "uid", OCTET STRING of 256 octets */
	static const unsigned char head[] = {0xa3, 0x82, 0x01, 0x09, 0x04, 0x03, 'u', 'i', 'd', 0x04, 0x82, 0x01, 0x00};
	ck_assert_uint_eq(out.bv_len, sizeof head + sizeof key);
	ck_assert(memcmp(out.bv_val, head, sizeof head) == 0 && memcmp(out.bv_val + sizeof head, key, sizeof key) == 0);
	ber_free(ber, 1);
	buf_free(&b);
}
END_TEST

static const struct {
	const char *spec, *text;
	size_t count;
	const char *want; /* of the last server; or the error */
} servers[] = {
	{"a host", "ldap.x.test", 1, "ldap://ldap.x.test"},
	{"host and port", "ldap.x.test:3890", 1, "ldap://ldap.x.test:3890"},
	{"an address", "[2001:db8::1]:389", 1, "ldap://[2001:db8::1]:389"},
	{"several on a line", "a b c:3", 3, "ldap://c:3"},
	{"several lines, a comment", "a\n# x\nldaps://b", 2, "ldaps://b"},
	{"ldapi", "ldapi://%2frun%2fslapd", 1, "ldapi://%2frun%2fslapd"},
	{"starttls", "a starttls", 1, "ldap://a+"},
	{"starttls after a URL", "ldap://a:3 STARTTLS", 1, "ldap://a:3+"},
	{"starttls alone", "starttls", 0, "/c/ldapserver:1: starttls stands after a server that is spoken to by ldap://"},
	{"starttls after ldaps", "a\nldaps://b starttls", 0, "/c/ldapserver:2: starttls stands after a server that is spoken to by ldap://"},
	{"another URL", "http://x", 0, "/c/ldapserver:1: not a URL of LDAP: ldap://, ldaps:// or ldapi://"},
	{"eight", "a b c d e f g h", 8, "ldap://h"},
	{"nine", "a b c d e f g h i", 0, "/c/ldapserver:1: more than 8 servers"},
	{"none", "# nothing", 0, "/c/ldapserver: names no server"},
};

START_TEST(server)
{
	static struct control c = {.dir = "/c"};
	struct ldap_server list[LDAP_SERVERS_MAX];
	struct err e = {0};
	size_t count;
	char got[400];
	c.value[C_ldapserver] = (struct control_value){.content = slice_str(servers[_i].text), .present = true};
	if (ldap_servers(list, &count, &c, &e) == 0)
		snprintf(got, sizeof got, "%s%s", list[count - 1].url, list[count - 1].starttls ? "+" : "");
	else
		snprintf(got, sizeof got, "%s", e.text), count = 0;
	ck_assert_msg(count == servers[_i].count && strcmp(got, servers[_i].want) == 0, "%s: %s", servers[_i].spec, got);
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof *table)
UNIT_MAIN("ldap_filter", {
	tcase_add_loop_test(t, filter, 0, ROWS(filters));
	tcase_add_test(t, address_and_class);
	tcase_add_test(t, every_octet);
	tcase_add_loop_test(t, server, 0, ROWS(servers));
})
