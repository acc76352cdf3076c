/* Unit tests of directory/embedded.c and account.c: what entries come to, what is refused, who is found. */
#include "directory/embedded.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

#define HEAD "dn: uid=a,dc=x\nuid: a\nmail: a@b\n"

static const struct {
	const char *spec, *text, *want; /* NULL: it is accepted */
} files[] = {
	{"empty", "", NULL},
	{"an entry", HEAD, NULL},
	{"entries that are no accounts", "dn: dc=x\ndc: x\nmailQuotaSize: 7\n\ndn: ou=y\nou: y\n", NULL},
	{"attributes without meaning", HEAD "jpegPhoto:: AAAA\nmail;x-old: not an address\n", NULL},
	{"the same address twice in one entry", HEAD "mailAlternateAddress: A@B\nmail: a@b\n", NULL},
	{"all attributes", HEAD "mailAlternateAddress: c@b\nmailHost: h.b\nmailMessageStore: /m\nhomeDirectory: /h\naccountStatus: NoPop\ndeliveryMode: reply\n"
		"mailForwardingAddress: &x@y\nmailReplyText: t\nmailQuotaSize: 1\nmailQuotaCount: 2\nmailSizeMax: 3\nqmailUID: 100\nqmailGID: 4294967294\n"
		"uidNumber: 100\ngidNumber: 100\nqmailDotMode: none\ndeliveryProgramPath: /bin/x\nuserPassword: x\nobjectClass: qmailUser\n", NULL},
	{"all attributes of a group", "dn: cn=g\nobjectClass: qmailGroup\nmail: g@b\ndnmember: uid=a\nrfc822member: a@b\nfiltermember: (x=y)\nmembersonly: TRUE\nsenderconfirm: false\n"
		"confirmtext: x\ndnmoderator: uid=a\nrfc822moderator: a@b\nmoderatortext: x\ndnsender: x\nrfc822sender: x@y\nfiltersender: x\nbounceadmin: TRUE\n", NULL},
	{"address of two entries", HEAD "\ndn: uid=c\nuid: c\n# comment\nmailAlternateAddress: A@B\n", "8: the address A@B is also at line 3: it can belong to one entry alone"},
	{"address of two entries, another way to write it", HEAD "\ndn: uid=c\nuid: c\nmail:: ImEiQGIu\n", "7: the address \"a\"@b. is also at line 3: it can belong to one entry alone"},
	{"uid of two entries", HEAD "\ndn: uid=c\nuid: A\nmail: c@b\n", "6: the uid A is also at line 2: it can belong to one entry alone"},
	{"dn of two entries", HEAD "\ndn: UID=A , DC=x\nuid: c\nmail: c@b\n", "5: the dn UID=A , DC=x is also at line 1: it can belong to one entry alone"},
	{"no address", "dn: a\nuid: a\nmail: a\n", "3: mail: not an address: it must be local@domain"},
	{"an address with a blank", "dn: a\nuid: a\nmail: a b@c\n", "3: mail: not an address: it must be local@domain"},
	{"alternate that is none", HEAD "mailAlternateAddress: @b\n", "4: mailAlternateAddress: not an address: it must be local@domain"},
	{"forward that is none", HEAD "mailForwardingAddress: |prog\n", "4: mailForwardingAddress: not an address: it must be local@domain"},
	{"status", HEAD "accountStatus: on\n", "4: accountStatus: not one of active, noaccess, disabled, deleted"},
	{"mode", HEAD "deliveryMode: nolokal\n", "4: deliveryMode: not one of nolocal, noforward, reply, noprogram, local, forward, program, noreply"},
	{"quota", HEAD "mailQuotaSize: 10M\n", "4: mailQuotaSize: not a whole number of 0 or more"},
	{"negative quota", HEAD "mailQuotaCount: -1\n", "4: mailQuotaCount: not a whole number of 0 or more"},
	{"quota past 2^63", HEAD "mailSizeMax: 9223372036854775808\n", "4: mailSizeMax: not a whole number of 0 or more"},
	{"uid of the system", HEAD "uidNumber: 99\n", "4: uidNumber: not a number from 100 to 4294967294"},
	{"gid past the end", HEAD "qmailGID: 4294967295\n", "4: qmailGID: not a number from 100 to 4294967294"},
	{"host", HEAD "mailHost: a_b!\n", "4: mailHost: not a host name"},
	{"store with dots", HEAD "mailMessageStore: /m/../x\n", "4: mailMessageStore: a path must not contain \"..\""},
	{"empty store", HEAD "mailMessageStore:\n", "4: mailMessageStore: not a path of at most 2047 octets"},
	{"relative store", HEAD "mailMessageStore: m\n", "1: mailMessageStore: relative, and there is neither control/ldapmessagestore nor homeDirectory to stand before it"},
	{"group's switch", "dn: g\nobjectClass: qmailGroup\nmail: g@b\nmembersonly: yes\n", "4: membersonly: neither TRUE nor FALSE"},
	{"nowhere to deliver", "dn: g\nmail: g@b\n", "1: an address without uid, mailHost or mailForwardingAddress: there is nowhere to deliver"},
	{"empty uid", "dn: g\nuid:\n", "2: uid: empty or longer than 256 octets"},
	{"change record", HEAD "\ndn: x\nchangetype: delete\n", "6: change records are not read: give the entry as it shall be"},
};

START_TEST(file)
{
	struct embedded d;
	struct account_defaults defaults = {0};
	struct err e = {0};
	int rc = embedded_load(&d, slice_str(files[_i].text), &defaults, &e);
	if (!files[_i].want) {
		ck_assert_msg(rc == 0, "%s: %s", files[_i].spec, e.text);
		embedded_free(&d);
		return;
	}
	char want[300];
	snprintf(want, sizeof want, "directory.ldif:%s", files[_i].want);
	ck_assert_msg(rc == E_SYNTAX && strcmp(e.text, want) == 0, "%s: %s", files[_i].spec, e.text);
}
END_TEST

/* What one entry comes to. */
static const struct {
	const char *spec, *text;
	enum directory_verdict verdict;
	bool local, forward, reply;
	const char *store;
	long long uid, gid;
	size_t forwards;
} accounts[] = {
	{"plain", HEAD, DIRECTORY_YES, true, false, false, "", -1, -1, 0},
	{"forward adds", HEAD "mailForwardingAddress: x@y\n", DIRECTORY_YES, true, true, false, "", -1, -1, 1},
	{"nolocal", HEAD "mailForwardingAddress: x@y\ndeliveryMode: nolocal\n", DIRECTORY_YES, false, true, false, "", -1, -1, 1},
	{"nombox", HEAD "mailForwardingAddress: x@y\ndeliveryMode: NOMBOX\n", DIRECTORY_YES, false, true, false, "", -1, -1, 1},
	{"forwardonly", HEAD "mailForwardingAddress: x@y\ndeliveryMode: forwardonly\n", DIRECTORY_YES, false, true, false, "", -1, -1, 1},
	{"noforward", HEAD "mailForwardingAddress: x@y\ndeliveryMode: noforward\n", DIRECTORY_YES, true, false, false, "", -1, -1, 1},
	{"modes that say nothing", HEAD "deliveryMode: local\ndeliveryMode: program\ndeliveryMode: noreply\n", DIRECTORY_YES, true, false, false, "", -1, -1, 0},
	{"neither local nor forward", HEAD "deliveryMode: nolocal\n", DIRECTORY_DISABLED, false, false, false, "", -1, -1, 0},
	{"nolocal but another host", HEAD "deliveryMode: nolocal\nmailHost: h\n", DIRECTORY_YES, false, false, false, "", -1, -1, 0},
	{"reply", HEAD "deliveryMode: reply\nmailReplyText: x\n", DIRECTORY_YES, true, false, true, "", -1, -1, 0},
	{"reply without a text", HEAD "deliveryMode: reply\n", DIRECTORY_YES, true, false, false, "", -1, -1, 0},
	{"disabled", HEAD "accountStatus: disabled\n", DIRECTORY_DISABLED, true, false, false, "", -1, -1, 0},
	{"deleted", HEAD "accountStatus: DELETED\n", DIRECTORY_NO, true, false, false, "", -1, -1, 0},
	{"noaccess", HEAD "accountStatus: noaccess\n", DIRECTORY_YES, true, false, false, "", -1, -1, 0},
	{"absolute store", HEAD "mailMessageStore: /m/a/\n", DIRECTORY_YES, true, false, false, "/m/a", -1, -1, 0},
	{"relative store", HEAD "mailMessageStore: ./a/Maildir/\n", DIRECTORY_YES, true, false, false, "/store/a/Maildir", -1, -1, 0},
	{"posix ids", HEAD "uidNumber: 100\ngidNumber: 4294967294\n", DIRECTORY_YES, true, false, false, "", 100, 4294967294, 0},
	{"qmail ids go first", HEAD "uidNumber: 100\ngidNumber: 101\nqmailUID: 102\nqmailGID: 103\n", DIRECTORY_YES, true, false, false, "", 102, 103, 0},
	{"half a pair is none", HEAD "uidNumber: 100\nqmailGID: 103\n", DIRECTORY_YES, true, false, false, "", -1, -1, 0},
	{"forward without uid", "dn: a\nmail: a@b\nmailForwardingAddress: x@y\n", DIRECTORY_YES, false, true, false, "", -1, -1, 1},
	{"a group", "dn: a\nmail: a@b\nuid: g\nobjectClass: qmailGroup\nrfc822member: x@y\nmailMessageStore: lists/a\n", DIRECTORY_YES, false, true, false, "", -1, -1, 1},
	{"a group of DNs", "dn: a\nmail: a@b\nobjectClass: QmailGroup\ndnmember: A\ndnmember: zz\n", DIRECTORY_YES, false, true, false, "", -1, -1, 1},
	{"a group of nobody", "dn: a\nmail: a@b\nobjectClass: qmailGroup\ndnmember: zz\n", DIRECTORY_DISABLED, false, true, false, "", -1, -1, 0},
	{"a group with rules", "dn: a\nmail: a@b\nobjectClass: qmailGroup\nrfc822member: x@y\nrfc822moderator: x@y\n", DIRECTORY_TEMPORARY, false, true, false, "", -1, -1, 1},
	{"a group without rules", "dn: a\nmail: a@b\nobjectClass: qmailGroup\nrfc822member: x@y\nmembersonly: FALSE\n", DIRECTORY_YES, false, true, false, "", -1, -1, 1},
};

START_TEST(account_row)
{
	static struct account a;
	struct embedded d;
	struct err e;
	struct account_defaults defaults = {.message_store = slice_str("/store/"), .quota_octets = 5, .quota_count = 6};
	ck_assert_msg(embedded_load(&d, slice_str(accounts[_i].text), &defaults, &e) == 0, "%s: %s", accounts[_i].spec, e.text);
	ck_assert(embedded_find(&a, &d, KEY_ADDRESS, slice_str("a@b")));
	const struct directory_entry *n = &a.entry;
	ck_assert_msg(a.verdict == accounts[_i].verdict, "%s: %c %s", accounts[_i].spec, a.verdict, a.text);
	ck_assert_msg((a.verdict == DIRECTORY_YES) == (a.text[0] == 0), "%s: a text for all but yes", accounts[_i].spec);
	ck_assert_msg(n->local == accounts[_i].local && n->forward == accounts[_i].forward && n->reply == accounts[_i].reply, "%s", accounts[_i].spec);
	ck_assert_msg(slice_eq_str(n->message_store, accounts[_i].store), "%s: %.*s", accounts[_i].spec, SLICE_FMT(n->message_store));
	ck_assert_msg(n->uid_number == accounts[_i].uid && n->gid_number == accounts[_i].gid, "%s", accounts[_i].spec);
	ck_assert_msg(n->forward_count == accounts[_i].forwards, "%s: %zu", accounts[_i].spec, n->forward_count);
	ck_assert(n->quota_octets == 5 && n->quota_count == 6 && n->size_most == 0);
	embedded_free(&d);
}
END_TEST

/* 10,000 entries: each found by all its keys and no other; the table grows on the way. */
START_TEST(many)
{
	static struct account a;
	struct embedded d;
	struct err e;
	struct account_defaults defaults = {0};
	struct buf b = BUF_INIT(1 << 24);
	char key[64];
	for (int i = 0; i < 10000; i++)
		buf_add_format(&b, "dn: uid=u%d,dc=x\nuid: u%d\nmail: U%d@B\nmailAlternateAddress: alias%d@b\n\n", i, i, i, i);
	ck_assert_msg(embedded_load(&d, buf_slice(&b), &defaults, &e) == 0, "%s", e.text);
	ck_assert_uint_eq(d.entries, 10000);
	ck_assert_uint_eq(d.used, 40000);
	for (int i = 0; i < 10000; i++) {
		snprintf(key, sizeof key, "u%d", i);
		ck_assert(embedded_find(&a, &d, KEY_LOGIN, slice_str(key)) && slice_eq_str(a.entry.uid, key));
		ck_assert(!embedded_find(&a, &d, KEY_ADDRESS, slice_str(key)));
		snprintf(key, sizeof key, "alias%d@b", i);
		ck_assert(embedded_find(&a, &d, KEY_ADDRESS, slice_str(key)) && slice_eq_str(a.entry.alternates[0], key));
		ck_assert(!embedded_find(&a, &d, KEY_LOGIN, slice_str(key)));
		snprintf(key, sizeof key, "uid=u%d,dc=x", i);
		ck_assert(embedded_find(&a, &d, KEY_DN, slice_str(key)));
		snprintf(key, sizeof key, "nobody%d@b", i);
		ck_assert(!embedded_find(&a, &d, KEY_ADDRESS, slice_str(key)));
	}
	embedded_free(&d);
	buf_free(&b);
}
END_TEST

static int with_addresses(size_t count)
{
	struct embedded d;
	struct account_defaults defaults = {0};
	struct err e;
	struct buf b = BUF_INIT(1 << 20);
	buf_add_str(&b, "dn: a\nuid: a\n");
	for (size_t i = 0; i < count; i++)
		buf_add_format(&b, "mailAlternateAddress: a%zu@b\n", i);
	int rc = embedded_load(&d, buf_slice(&b), &defaults, &e);
	if (rc == 0)
		embedded_free(&d);
	buf_free(&b);
	return rc;
}

START_TEST(limits)
{
	ck_assert_int_eq(with_addresses(DIRECTORY_ADDRESSES_MAX), 0);
	ck_assert_int_eq(with_addresses(DIRECTORY_ADDRESSES_MAX + 1), E_SYNTAX);
}
END_TEST

START_TEST(object_class)
{
	static struct account a;
	struct embedded d;
	struct err e;
	struct account_defaults defaults = {.object_class = slice_str("QMAILUSER")};
	ck_assert_int_eq(embedded_load(&d, slice_str("dn: a\nuid: a\nmail: a@b\nobjectClass: person\n\ndn: c\nuid: c\nmail: c@b\nobjectClass: qmailUser\n"), &defaults, &e), 0);
	ck_assert(!embedded_find(&a, &d, KEY_ADDRESS, slice_str("a@b")));
	ck_assert(embedded_find(&a, &d, KEY_ADDRESS, slice_str("c@b")));
	embedded_free(&d);
}
END_TEST

/* Nothing of an entry stays for the one that is read next into the same place. */
START_TEST(user_class)
{
	static struct account a;
	struct embedded d;
	struct err e;
	struct account_defaults defaults = {0};
	ck_assert_int_eq(embedded_load(&d, slice_str(HEAD "userClass: bulk\n\ndn: c\nuid: c\nmail: c@b\n\ndn: d\nuid: d\nmail: d@b\nuserClass: staff\n"), &defaults, &e), 0);
	static const char *const want[][2] = {{"a", "bulk"}, {"c", ""}, {"d", "staff"}, {"a", "bulk"}};
	for (int i = 0; i < 4; i++) {
		ck_assert(embedded_find(&a, &d, KEY_LOGIN, slice_str(want[i][0])));
		ck_assert_str_eq(a.entry.user_class, want[i][1]);
	}
	embedded_free(&d);
}
END_TEST

#define ROWS(table) (int)(sizeof table / sizeof *table)
UNIT_MAIN("embedded", {
	tcase_add_loop_test(t, file, 0, ROWS(files));
	tcase_add_loop_test(t, account_row, 0, ROWS(accounts));
	tcase_add_test(t, many);
	tcase_add_test(t, limits);
	tcase_add_test(t, object_class);
	tcase_add_test(t, user_class);
})
