/* smtpd-outside/scram: the two messages of a client, RFC 5802 7. */
#include "smtpd-outside/scram.h"

#include "lib/err.h"
#include "tests/unit/unit.h"

static const struct {
	const char *spec, *message;
	const char *user, *nonce, *whom, *header; /* user NULL: E_SYNTAX */
	char flag;
} firsts[] = {
	{"7677 3", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "user", "rOprNGfwEbeRWgbNEkqO", "", "n,,", 'n'},
	{"5802 6 the client could bind", "y,,n=user,r=x", "user", "x", "", "y,,", 'y'},
	{"5802 7 for whom", "n,a=user,n=user,r=x", "user", "x", "user", "n,a=user,", 'n'},
	{"5802 6 bound", "p=tls-exporter,,n=u,r=x", "u", "x", "", "p=tls-exporter,,", 'p'},
	{"5802 7 extensions", "n,,n=u,r=x,t=a,F=b=c", "u", "x", "", "n,,", 'n'},
	{"5802 5.1 encoded name", "n,,n=a=2Cb=3D,r=x", "a=2Cb=3D", "x", "", "n,,", 'n'},
	{"nonce of any printable", "n,,n=u,r=!\"#$%&'()*+-./:;<=>?@[\\]^_`{|}~", "u", "!\"#$%&'()*+-./:;<=>?@[\\]^_`{|}~", "", "n,,", 'n'},
	{"empty", "", NULL, NULL, NULL, NULL, 0},
	{"5802 7 no header", "n=user,r=x", NULL, NULL, NULL, NULL, 0},
	{"5802 7 one comma", "n,n=user,r=x", NULL, NULL, NULL, NULL, 0},
	{"5802 7 flag in capitals", "N,,n=user,r=x", NULL, NULL, NULL, NULL, 0},
	{"5802 7 flag with a value", "n=1,,n=user,r=x", NULL, NULL, NULL, NULL, 0},
	{"5802 7 no flag", ",,n=user,r=x", NULL, NULL, NULL, NULL, 0},
	{"5801 4 F flag is not for us", "F,n,,n=user,r=x", NULL, NULL, NULL, NULL, 0},
	{"5802 7 binding without name", "p=,,n=user,r=x", NULL, NULL, NULL, NULL, 0},
	{"5802 7 binding without =", "p,,n=user,r=x", NULL, NULL, NULL, NULL, 0},
	{"5802 7 characters of a binding", "p=tls_unique,,n=user,r=x", NULL, NULL, NULL, NULL, 0},
	{"5802 7 empty authzid", "n,a=,n=user,r=x", NULL, NULL, NULL, NULL, 0},
	{"5802 7 not an authzid", "n,b=x,n=user,r=x", NULL, NULL, NULL, NULL, 0},
	{"5802 7 empty user", "n,,n=,r=x", NULL, NULL, NULL, NULL, 0},
	{"5802 7 no user", "n,,r=x", NULL, NULL, NULL, NULL, 0},
	{"5802 7 order", "n,,r=x,n=user", NULL, NULL, NULL, NULL, 0},
	{"5802 5.1 m= must be understood", "n,,m=x,n=user,r=x", NULL, NULL, NULL, NULL, 0},
	{"5802 5.1 m= elsewhere", "n,,n=user,r=x,m=y", NULL, NULL, NULL, NULL, 0},
	{"5802 7 no nonce", "n,,n=user", NULL, NULL, NULL, NULL, 0},
	{"5802 7 empty nonce", "n,,n=user,r=", NULL, NULL, NULL, NULL, 0},
	{"5802 7 a blank in the nonce", "n,,n=user,r=a b", NULL, NULL, NULL, NULL, 0},
	{"5802 7 eight bits in the nonce", "n,,n=user,r=a\303\244", NULL, NULL, NULL, NULL, 0},
	{"5802 7 the nonce twice", "n,,n=user,r=a,r=b", NULL, NULL, NULL, NULL, 0},
	{"5802 7 extension of two letters", "n,,n=user,r=a,tt=b", NULL, NULL, NULL, NULL, 0},
	{"5802 7 empty extension", "n,,n=user,r=a,t=", NULL, NULL, NULL, NULL, 0},
	{"a comma at the end", "n,,n=user,r=a,", NULL, NULL, NULL, NULL, 0},
	{"5802 7 capital", "n,,N=user,r=a", NULL, NULL, NULL, NULL, 0},
};

START_TEST(first)
{
	struct scram_first f;
	struct slice m = slice_str(firsts[_i].message);
	int r = scram_parse_first(&f, m);
	ck_assert_msg(r == (firsts[_i].user ? 0 : E_SYNTAX), "%s", firsts[_i].spec);
	if (r < 0)
		return;
	ck_assert_msg(f.flag == firsts[_i].flag && slice_eq_str(f.user, firsts[_i].user) && slice_eq_str(f.nonce, firsts[_i].nonce) &&
		slice_eq_str(f.whom, firsts[_i].whom) && slice_eq_str(f.header, firsts[_i].header), "%s", firsts[_i].spec);
	ck_assert(f.header.p == m.p && f.bare.p == m.p + f.header.n && f.header.n + f.bare.n == m.n);
}
END_TEST

#define PROOF "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
static const struct {
	const char *spec, *message, *without; /* NULL: E_SYNTAX */
} finals[] = {
	{"7677 3", "c=biws,r=abc," PROOF, "c=biws,r=abc"},
	{"5802 7 extensions", "c=biws,r=abc,t=x,Z=y=," PROOF, "c=biws,r=abc,t=x,Z=y="},
	{"empty", "", NULL},
	{"no proof", "c=biws,r=abc", NULL},
	{"5802 7 the proof is last", "c=biws,r=abc," PROOF ",t=x", NULL},
	{"a comma behind it", "c=biws,r=abc," PROOF ",", NULL},
	{"two proofs", "c=biws,r=abc," PROOF "," PROOF, NULL},
	{"no binding", "r=abc," PROOF, NULL},
	{"empty binding", "c=,r=abc," PROOF, NULL},
	{"order", "r=abc,c=biws," PROOF, NULL},
	{"no nonce", "c=biws," PROOF, NULL},
	{"5802 5.1 m= must be understood", "c=biws,r=abc,m=x," PROOF, NULL},
	{"m= first", "m=x,c=biws,r=abc," PROOF, NULL},
	{"proof of 31 octets", "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndQ==", NULL},
	{"proof of 33 octets", "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQx", NULL},
	{"proof without padding", "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ", NULL},
	{"bits left over in it", "c=biws,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVR=", NULL},
	{"empty proof", "c=biws,r=abc,p=", NULL},
};

START_TEST(final)
{
	static const char proof[] = "\x74\x7c\xdb\x65\xaa\x56\x22\x4e\x23\x52\x13\x7e\x52\xd7\xbd\xca\xd6\xa0\xf7\x38\xdf\x30\x78\x2c\xaa\x69\xa2\xcf\xb0\x27\x75\x54";
	struct scram_final f;
	int r = scram_parse_final(&f, slice_str(finals[_i].message));
	ck_assert_msg(r == (finals[_i].without ? 0 : E_SYNTAX), "%s", finals[_i].spec);
	if (r == 0) {
		ck_assert_msg(slice_eq_str(f.without_proof, finals[_i].without) && slice_eq_str(f.nonce, "abc") && slice_eq_str(f.binding, "biws"), "%s", finals[_i].spec);
		ck_assert(!memcmp(f.proof, proof, 32));
	}
}
END_TEST

START_TEST(limits)
{
	static char text[DIRECTORY_NONCE_MAX + 16] = "n,,n=u,r=";
	struct scram_first f;
	struct scram_final l;
	memset(text + 9, 'x', DIRECTORY_NONCE_MAX + 1);
	ck_assert_int_eq(scram_parse_first(&f, slice_make(text, 9 + DIRECTORY_NONCE_MAX)), 0);
	ck_assert_int_eq(scram_parse_first(&f, slice_make(text, 9 + DIRECTORY_NONCE_MAX + 1)), E_SYNTAX);
	ck_assert_int_eq(scram_parse_first(&f, slice_make("n,,n=u\0,r=x", 11)), E_SYNTAX);
	ck_assert_int_eq(scram_parse_first(&f, slice_make("n,,n=u,r=x,t=\0", 14)), E_SYNTAX);
	ck_assert_int_eq(scram_parse_final(&l, slice_make("c=biws,r=a\0bc," PROOF, 14 + strlen(PROOF))), E_SYNTAX);
}
END_TEST

static const struct {
	const char *encoded, *name; /* NULL: E_SYNTAX */
} names[] = {
	{"user", "user"}, {"a=2Cb", "a,b"}, {"=3D=2C=3D", "=,="}, {"a=3D2C", "a=2C"}, {"m\303\274ller", "m\303\274ller"},
	{"a=", NULL}, {"a=2", NULL}, {"a=2c", NULL}, {"a=3d", NULL}, {"=41", NULL}, {"=2D", NULL}, {"==3D", NULL},
};

START_TEST(name)
{
	char out[16];
	size_t n;
	int r = scram_name(out, &n, slice_str(names[_i].encoded));
	ck_assert_msg(r == (names[_i].name ? 0 : E_SYNTAX) && (r < 0 || slice_eq_str(slice_make(out, n), names[_i].name)), "%s", names[_i].encoded);
}
END_TEST

UNIT_MAIN("smtpd-outside/scram",
	tcase_add_loop_test(t, first, 0, sizeof firsts / sizeof *firsts);
	tcase_add_loop_test(t, final, 0, sizeof finals / sizeof *finals);
	tcase_add_loop_test(t, name, 0, sizeof names / sizeof *names);
	tcase_add_test(t, limits);)
