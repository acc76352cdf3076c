/* smtpd-outside/tls_context: what control/servercert.pem may hold.  Certificates are made here, so nothing expires in the tree. */
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "smtpd-outside/tls.h"
#include "tests/unit/unit.h"

enum { A_CERT = 1, B_CERT = 2, A_KEY = 4, B_KEY = 8, A_LOCKED = 16 };

static EVP_PKEY *key_of(bool second)
{
	static EVP_PKEY *keys[2];
	if (!keys[second])
		keys[second] = second ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	ck_assert_ptr_nonnull(keys[second]);
	return keys[second];
}

static X509 *make_cert(bool second, long from_sec, long to_sec)
{
	X509 *x = X509_new();
	ASN1_INTEGER_set(X509_get_serialNumber(x), second + 1);
	X509_gmtime_adj(X509_getm_notBefore(x), from_sec);
	X509_gmtime_adj(X509_getm_notAfter(x), to_sec);
	X509_set_pubkey(x, key_of(second));
	X509_NAME *name = X509_get_subject_name(x);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"mx.test", -1, -1, 0);
	X509_set_issuer_name(x, name);
	ck_assert_int_gt(X509_sign(x, key_of(second), EVP_sha256()), 0);
	return x;
}

static void add_cert(BIO *out, bool second, long from_sec, long to_sec)
{
	X509 *x = make_cert(second, from_sec, to_sec);
	ck_assert_int_eq(PEM_write_bio_X509(out, x), 1);
	X509_free(x);
}

static BIO *file_of(int parts, long from_sec, long to_sec)
{
	BIO *out = BIO_new(BIO_s_mem());
	if (parts & A_CERT)
		add_cert(out, false, from_sec, to_sec);
	if (parts & B_CERT)
		add_cert(out, true, from_sec, to_sec);
	if (parts & A_KEY)
		PEM_write_bio_PrivateKey(out, key_of(false), NULL, NULL, 0, NULL, NULL);
	if (parts & B_KEY)
		PEM_write_bio_PrivateKey(out, key_of(true), NULL, NULL, 0, NULL, NULL);
	if (parts & A_LOCKED)
		PEM_write_bio_PKCS8PrivateKey(out, key_of(false), EVP_aes_128_cbc(), "pass", 4, NULL, NULL);
	return out;
}

static struct slice content(BIO *file)
{
	char *p;
	long n = BIO_get_mem_data(file, &p);
	return slice_make(p, (size_t)n);
}

#define DAY 86400L

static const struct {
	int parts;
	const char *reason; /* NULL: fine */
	const char *spec;
} files[] = {
	{A_CERT | A_KEY, NULL, "EC certificate and key"},
	{B_CERT | B_KEY, NULL, "RSA certificate and key"},
	{A_CERT | B_CERT | A_KEY, NULL, "a chain of two"},
	{0, "no certificate", "empty"},
	{A_KEY, "no certificate", "key alone"},
	{A_CERT, "no private key", "certificate alone"},
	{A_CERT | B_KEY, "does not belong", "another certificate's key"},
	{A_CERT | B_CERT | B_KEY, "does not belong", "the key of the chain"},
	{A_CERT | A_LOCKED, "passphrase", "a key with a passphrase"},
};

START_TEST(parts)
{
	BIO *file = file_of(files[_i].parts, -DAY, 100 * DAY);
	struct err e = {0};
	int r = tls_check_cert(content(file), &e);
	ck_assert_msg(r == (files[_i].reason ? E_SYNTAX : 0), "%s: %s", files[_i].spec, e.text);
	ck_assert_msg(!files[_i].reason || strstr(e.text, files[_i].reason), "%s: %s", files[_i].spec, e.text);
	BIO_free(file);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
	BIO *file = file_of(A_CERT | A_KEY, -DAY, 100 * DAY);
	struct slice whole = content(file);
	for (size_t n = 0; n < whole.n - 1; n += 7) {
		struct err e;
		ck_assert_msg(tls_check_cert(slice_upto(whole, n), &e) == E_SYNTAX, "%zu of %zu octets", n, whole.n);
	}
	BIO_free(file);
}
END_TEST

static const struct {
	long from, to;
	const char *host, *warning;
} dates[] = {
	{-DAY, 100 * DAY, "", NULL},
	{-DAY, 15 * DAY, "", NULL},
	{-DAY, 13 * DAY, "", "within two weeks"},
	{-10 * DAY, -DAY, "", "has expired"},
	{DAY, 100 * DAY, "", "not valid yet"},
	{-DAY, 100 * DAY, "MX.test", NULL},
	{-DAY, 100 * DAY, "mail.test", "the certificate is not for mail.test"},
	{-10 * DAY, -DAY, "mail.test", "has expired"},
};

START_TEST(warnings)
{
	BIO *file = file_of(A_CERT | A_KEY, dates[_i].from, dates[_i].to);
	struct err e = {0};
	ck_assert_int_eq(tls_check_cert(content(file), &e), 0); /* it serves all the same */
	bool say = tls_cert_warning(content(file), slice_str(dates[_i].host), &e);
	ck_assert_msg(say == (dates[_i].warning != NULL) && (!say || strstr(e.text, dates[_i].warning)), "%d: %s", _i, e.text);
	BIO_free(file);
}
END_TEST

UNIT_MAIN("tls_context",
	tcase_add_loop_test(t, parts, 0, sizeof files / sizeof *files);
	tcase_add_test(t, every_truncation_is_refused);
	tcase_add_loop_test(t, warnings, 0, sizeof dates / sizeof *dates);)
