/* Unit tests of directory/scram.c: RFC 7677 3 as it stands there, what may be stored, what an exchange is held to. */
#include "directory/scram.h"

#include <stdio.h>

#include "directory/password.h"
#include "tests/unit/unit.h"

#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define KEYS "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define STORED "{SCRAM-SHA-256}4096," SALT "," KEYS
#define NONCE "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define BARE "n=user,r=rOprNGfwEbeRWgbNEkqO"
#define FIRST "r=" NONCE ",s=" SALT ",i=4096"
#define WITHOUT_PROOF "c=biws,r=" NONCE
#define FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
/* dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ= */
static const char proof[] = "\x74\x7c\xdb\x65\xaa\x56\x22\x4e\x23\x52\x13\x7e\x52\xd7\xbd\xca\xd6\xa0\xf7\x38\xdf\x30\x78\x2c\xaa\x69\xa2\xcf\xb0\x27\x75\x54";

static struct scram_secret secret(const char *stored)
{
	struct scram_secret s;
	struct err e;
	ck_assert_msg(scram_secret_parse(&s, slice_str(stored), &e) == 0, "%s", e.text);
	return s;
}

START_TEST(rfc7677)
{
	struct scram_secret s = secret(STORED);
	char final[SCRAM_FINAL_MAX];
	ck_assert_int_eq(scram_prove(final, &s, slice_str(BARE), slice_str(FIRST), slice_str(WITHOUT_PROOF), slice_make(proof, 32)), 0);
	ck_assert_str_eq(final, FINAL);
	ck_assert(scram_says(&s, slice_str(FIRST)));
	ck_assert(scram_password_matches(&s, slice_str("pencil")) && !scram_password_matches(&s, slice_str("Pencil")));
}
END_TEST

/* Each octet of what is proved counts. */
START_TEST(another_message)
{
	struct scram_secret s = secret(STORED);
	char final[SCRAM_FINAL_MAX], text[3][128], other[32];
	const char *const good[3] = {BARE, FIRST, WITHOUT_PROOF};
	for (size_t m = 0; m < 3; m++)
		for (size_t i = 0; i < strlen(good[m]); i++) {
			for (size_t k = 0; k < 3; k++)
				snprintf(text[k], sizeof text[k], "%s", good[k]);
			text[m][i] ^= 1;
			ck_assert_int_eq(scram_prove(final, &s, slice_str(text[0]), slice_str(text[1]), slice_str(text[2]), slice_make(proof, 32)), E_REFUSED);
			ck_assert_str_eq(final, "");
		}
	for (size_t i = 0; i < 32; i++) {
		memcpy(other, proof, 32);
		other[i] = (char)(other[i] ^ 0x80);
		ck_assert_int_eq(scram_prove(final, &s, slice_str(BARE), slice_str(FIRST), slice_str(WITHOUT_PROOF), slice_make(other, 32)), E_REFUSED);
	}
	for (size_t n = 0; n < 32; n++)
		ck_assert_int_eq(scram_prove(final, &s, slice_str(BARE), slice_str(FIRST), slice_str(WITHOUT_PROOF), slice_make(proof, n)), E_REFUSED);
}
END_TEST

#define KEY31 "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4g=="
#define KEY33 "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qYx"
#define SALT64 "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMw=="
#define SALT65 "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ="
static const struct {
	const char *spec, *stored;
	bool good;
} rows[] = {
	{"as doveadm writes it", "{SCRAM-SHA-256}4096,mf15JCICpNEf9pw2Ysp45w==,weEU4K4Dy0MmcAq5PHuIi5UWGHqMwldneW0lCEOhTPE=,lTe7MTtXmolwRJkac/xSkNg4UPESnCXEbdUkCRUqZnU=", true},
	{"the scheme's case", "{scram-sha-256}4096," SALT "," KEYS, true},
	{"iterations at the least", "{SCRAM-SHA-256}4096," SALT "," KEYS, true},
	{"one less", "{SCRAM-SHA-256}4095," SALT "," KEYS, false},
	{"at the most", "{SCRAM-SHA-256}1000000," SALT "," KEYS, true},
	{"one more", "{SCRAM-SHA-256}1000001," SALT "," KEYS, false},
	{"no number", "{SCRAM-SHA-256}," SALT "," KEYS, false},
	{"a number and more", "{SCRAM-SHA-256}4096x," SALT "," KEYS, false},
	{"a sign", "{SCRAM-SHA-256}+4096," SALT "," KEYS, false},
	{"salt at the most", "{SCRAM-SHA-256}4096," SALT64 "," KEYS, true},
	{"one octet more", "{SCRAM-SHA-256}4096," SALT65 "," KEYS, false},
	{"no salt", "{SCRAM-SHA-256}4096,," KEYS, false},
	{"salt not base64", "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ," KEYS, false},
	{"stored key too short", "{SCRAM-SHA-256}4096," SALT "," KEY31 "," KEY31, false},
	{"server key too long", "{SCRAM-SHA-256}4096," SALT ",WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=," KEY33, false},
	{"three fields", "{SCRAM-SHA-256}4096," SALT ",WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=", false},
	{"five fields", STORED ",x", false},
	{"a comma at the end", STORED ",", false},
	{"a blank at the end", STORED " ", false},
	{"nothing", "{SCRAM-SHA-256}", false},
	{"another hash", "{SCRAM-SHA-1}4096," SALT "," KEYS, false},
	{"locked", "{POSTERN-LOCKED}" STORED, false},
	{"none", "", false},
};

START_TEST(stored)
{
	struct scram_secret s;
	struct err e = {0};
	ck_assert_msg((scram_secret_parse(&s, slice_str(rows[_i].stored), &e) == 0) == rows[_i].good, "%s", rows[_i].spec);
	ck_assert_msg(rows[_i].good || e.text[0], "%s: no reason", rows[_i].spec);
}
END_TEST

/* What PLAIN and LOGIN bring is compared with the same value. */
START_TEST(password)
{
	ck_assert(password_matches(slice_str(STORED), slice_str("pencil")));
	ck_assert(!password_matches(slice_str(STORED), slice_str("pencils")));
	ck_assert(!password_matches(slice_str(STORED), slice_str("")));
	ck_assert(!password_matches(slice_str(STORED), slice_str(STORED)));
	ck_assert(!password_matches(slice_str("{POSTERN-LOCKED}" STORED), slice_str("pencil")));
	ck_assert(!password_matches(slice_str("{SCRAM-SHA-256}4095," SALT "," KEYS), slice_str("pencil")));
}
END_TEST

#define SITE_KEY "0123456789abcdef0123456789abcdef"

static struct scram_site site_of(const char *key)
{
	struct scram_site site;
	struct err e;
	ck_assert_int_eq(scram_site_init(&site, slice_str(key), 5000, &e), 0);
	return site;
}

START_TEST(made_up)
{
	struct scram_site a = site_of(SITE_KEY), again = site_of(SITE_KEY), other = site_of(SITE_KEY "x"), drawn = site_of(""), drawn2 = site_of("");
	struct scram_secret x, y, z;
	struct err e;
	char final[SCRAM_FINAL_MAX];
	ck_assert(scram_make_up(&x, &a, slice_str("anna")) == 0 && scram_make_up(&y, &again, slice_str("anna")) == 0);
	ck_assert(!strcmp(x.salt, y.salt) && x.iterations == 5000 && strlen(x.salt) == strlen(SALT));
	ck_assert(!memcmp(x.stored_key, y.stored_key, 32) && memcmp(x.stored_key, x.server_key, 32));
	ck_assert(scram_make_up(&z, &a, slice_str("annb")) == 0 && strcmp(x.salt, z.salt));
	ck_assert(scram_make_up(&z, &other, slice_str("anna")) == 0 && strcmp(x.salt, z.salt));
	ck_assert(scram_make_up(&y, &drawn, slice_str("anna")) == 0 && scram_make_up(&z, &drawn2, slice_str("anna")) == 0 && strcmp(y.salt, z.salt));
	ck_assert_int_eq(scram_prove(final, &x, slice_str(BARE), slice_str(FIRST), slice_str(WITHOUT_PROOF), slice_make(proof, 32)), E_REFUSED);
	ck_assert_int_eq(scram_site_init(&a, slice_upto(slice_str(SITE_KEY), 31), 4096, &e), E_SYNTAX);
}
END_TEST

START_TEST(server_first)
{
	struct scram_secret s = secret(STORED), other = secret("{SCRAM-SHA-256}4097," SALT "," KEYS);
	char one[DIRECTORY_SERVER_FIRST_MAX], two[DIRECTORY_SERVER_FIRST_MAX], longest[DIRECTORY_NONCE_MAX];
	struct buf a = BUF_OVER(one), b = BUF_OVER(two);
	ck_assert(scram_server_first(&a, &s, slice_str("abc")) == 0 && scram_server_first(&b, &s, slice_str("abc")) == 0);
	ck_assert(slice_starts(buf_slice(&a), "r=abc") && slice_ends(buf_slice(&a), ",s=" SALT ",i=4096"));
	ck_assert_uint_eq(a.n, strlen("r=abc") + 24 + strlen(",s=" SALT ",i=4096"));
	ck_assert(a.n == b.n && memcmp(one, two, a.n));
	ck_assert(scram_says(&s, buf_slice(&a)) && !scram_says(&other, buf_slice(&a)));
	memset(longest, 'n', sizeof longest);
	s = secret("{SCRAM-SHA-256}1000000," SALT64 "," KEYS);
	buf_reset(&a);
	ck_assert_int_eq(scram_server_first(&a, &s, slice_make(longest, sizeof longest)), 0);
}
END_TEST

START_TEST(tickets)
{
	struct scram_site site = site_of(SITE_KEY), other = site_of("");
	char ticket[DIRECTORY_TICKET_OCTETS];
	struct slice t = slice_make(ticket, sizeof ticket), user = slice_str("anna"), ip = slice_str("192.0.2.1"), first = slice_str(FIRST);
	int64_t now = 1800000000;
	ck_assert_int_eq(scram_ticket(ticket, &site, now, user, ip, first), 0);
	ck_assert(scram_ticket_valid(t, &site, now, user, ip, first));
	ck_assert(scram_ticket_valid(t, &site, now + SCRAM_TICKET_SEC, user, ip, first));
	ck_assert(!scram_ticket_valid(t, &site, now + SCRAM_TICKET_SEC + 1, user, ip, first));
	ck_assert(!scram_ticket_valid(t, &site, now - 1, user, ip, first));
	ck_assert(!scram_ticket_valid(t, &other, now, user, ip, first));
	ck_assert(!scram_ticket_valid(t, &site, now, slice_str("annb"), ip, first));
	ck_assert(!scram_ticket_valid(t, &site, now, user, slice_str("192.0.2.2"), first));
	ck_assert(!scram_ticket_valid(t, &site, now, user, ip, slice_str(FIRST "0")));
	ck_assert(!scram_ticket_valid(t, &site, now, slice_str("anna9:192.0.2.1"), slice_str(""), first));
	for (size_t i = 0; i < sizeof ticket; i++) {
		ticket[i] ^= 1;
		ck_assert(!scram_ticket_valid(t, &site, now, user, ip, first));
		ticket[i] ^= 1;
	}
	ck_assert(!scram_ticket_valid(slice_upto(t, sizeof ticket - 1), &site, now, user, ip, first));
}
END_TEST

UNIT_MAIN("directory/scram",
	tcase_add_test(t, rfc7677);
	tcase_add_test(t, another_message);
	tcase_add_loop_test(t, stored, 0, sizeof rows / sizeof *rows);
	tcase_add_test(t, password);
	tcase_add_test(t, made_up);
	tcase_add_test(t, server_first);
	tcase_add_test(t, tickets);)
