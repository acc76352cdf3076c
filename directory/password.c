/* Stored passwords: see password.h.  RFC 2307 5.3, the schemes of slapd.conf(5) password-hash and of qmail-ldap,
 * and {SCRAM-SHA-256} as Dovecot writes it.
 *
 * Runs in a thread of postern-directory.  The password is a stranger's, the stored value the administrator's; neither is
 * ever written anywhere. */
#include "directory/password.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "directory/scram.h"

static const struct scheme {
	const char *name;
	const EVP_MD *(*digest)(void);
	size_t octets;
	bool salted;
} schemes[] = {
	{"{SSHA}", EVP_sha1, 20, true}, {"{SHA}", EVP_sha1, 20, false}, {"{SMD5}", EVP_md5, 16, true}, {"{MD5}", EVP_md5, 16, false},
	{"{SSHA256}", EVP_sha256, 32, true}, {"{SHA256}", EVP_sha256, 32, false},
	{"{SSHA512}", EVP_sha512, 64, true}, {"{SHA512}", EVP_sha512, 64, false},
};

/* Base64 of STORED into OUT (PASSWORD_STORED_MAX octets); the octets, or 0. */
static size_t decode(unsigned char *out, struct slice stored)
{
	size_t pad = 0;
	if (stored.n == 0 || stored.n % 4 || stored.n > PASSWORD_STORED_MAX)
		return 0;
	while (pad < 2 && stored.p[stored.n - 1 - pad] == '=')
		pad++;
	int n = EVP_DecodeBlock(out, (const unsigned char *)stored.p, (int)stored.n);
	return n <= 0 ? 0 : (size_t)n - pad;
}

static bool digest_matches(const struct scheme *s, struct slice stored, struct slice password)
{
	unsigned char want[PASSWORD_STORED_MAX], got[EVP_MAX_MD_SIZE];
	size_t n = decode(want, stored);
	if (n < s->octets || (!s->salted && n != s->octets))
		return false;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool ok = c && EVP_DigestInit_ex(c, s->digest(), NULL) && EVP_DigestUpdate(c, password.p, password.n)
		&& EVP_DigestUpdate(c, want + s->octets, n - s->octets) && EVP_DigestFinal_ex(c, got, NULL)
		&& CRYPTO_memcmp(got, want, s->octets) == 0;
	EVP_MD_CTX_free(c);
	return ok;
}

static bool text_matches(struct slice a, struct slice b)
{
	return a.n == b.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}

/* "*" and "!" mark a locked password; crypt_r answers "*0" where it cannot. */
static bool crypt_matches(struct slice stored, struct slice password)
{
	char setting[PASSWORD_STORED_MAX + 1], phrase[PASSWORD_MAX + 1];
	struct crypt_data *data = calloc(1, sizeof *data);
	bool ok = false;
	if (data && slice_copy(setting, sizeof setting, stored) == 0 && slice_copy(phrase, sizeof phrase, password) == 0) {
		const char *got = crypt_r(phrase, setting, data);
		ok = got && got[0] != '*' && text_matches(slice_str(got), stored);
	}
	explicit_bzero(phrase, sizeof phrase);
	if (data)
		explicit_bzero(data, sizeof *data);
	free(data);
	return ok;
}

static bool scram_matches(struct slice stored, struct slice password)
{
	struct scram_secret secret;
	struct err e;
	bool ok = scram_secret_parse(&secret, stored, &e) == 0 && scram_password_matches(&secret, password);
	explicit_bzero(&secret, sizeof secret);
	return ok;
}

bool password_scheme_known(struct slice stored)
{
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (slice_case_starts(stored, schemes[i].name))
			return true;
	return !slice_starts(stored, "{") || slice_case_starts(stored, "{CRYPT}") || slice_case_starts(stored, "{CLEARTEXT}") || scram_is_secret(stored);
}

bool password_matches(struct slice stored, struct slice password)
{
	if (password.n == 0 || password.n > PASSWORD_MAX || stored.n == 0 || stored.n > PASSWORD_STORED_MAX)
		return false;
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (slice_case_starts(stored, schemes[i].name))
			return digest_matches(&schemes[i], slice_from(stored, strlen(schemes[i].name)), password);
	if (slice_case_starts(stored, "{CRYPT}"))
		return crypt_matches(slice_from(stored, 7), password);
	if (scram_is_secret(stored))
		return scram_matches(stored, password);
	if (slice_case_starts(stored, "{CLEARTEXT}"))
		return text_matches(slice_from(stored, 11), password);
	return stored.p[0] != '{' && text_matches(stored, password);
}
