/* See scram.h.  Runs in postern-directory, in the loop (a few SHA-256) and in its threads (a password against a secret); scram_secret_parse() in the lint too.
 * What comes from a session may be any octets; secrets are compared in constant time and leave in no other form than the ServerSignature of who proved to
 * know the password. */
#include "directory/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <sys/random.h>

#include "lib/base64.h"
#include "lib/netstring.h"

#define SCHEME "{SCRAM-SHA-256}"
#define NONCE_OCTETS 18
#define STAMP_OCTETS 8

static bool hmac(unsigned char out[SCRAM_OCTETS], const unsigned char key[SCRAM_OCTETS], struct slice text)
{
	return HMAC(EVP_sha256(), key, SCRAM_OCTETS, (const unsigned char *)text.p, text.n, out, NULL);
}

static bool sha256(unsigned char out[SCRAM_OCTETS], const void *p, size_t n)
{
	return EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL) == 1;
}

static int no_memory(struct err *e)
{
	return err_set(e, E_SYS, "the cryptographic library has no memory");
}

/* ---- secrets ---- */

bool scram_is_secret(struct slice stored)
{
	return slice_case_starts(stored, SCHEME);
}

/* Exactly SCRAM_OCTETS. */
static bool take_key(unsigned char out[SCRAM_OCTETS], struct slice text)
{
	size_t used;
	return base64_decode((char *)out, SCRAM_OCTETS, &used, text) == 0 && used == SCRAM_OCTETS;
}

static bool take_salt(char *out, size_t size, struct slice text)
{
	char octets[SCRAM_SALT_MOST];
	size_t used;
	return base64_decode(octets, sizeof octets, &used, text) == 0 && used && slice_copy(out, size, text) == 0;
}

int scram_secret_parse(struct scram_secret *s, struct slice stored, struct err *e)
{
	struct slice rest, part[4];
	long long n;
	if (!scram_is_secret(stored))
		return err_set(e, E_SYNTAX, "it does not begin with " SCHEME);
	rest = slice_from(stored, strlen(SCHEME));
	for (size_t i = 0; i < 4; i++)
		if (!slice_cut(&part[i], &rest, ','))
			return err_set(e, E_SYNTAX, "iterations, salt, stored key and server key are wanted, with commas between them");
	if (rest.p)
		return err_set(e, E_SYNTAX, "something stands behind the server key");
	if (slice_number(&n, part[0], SCRAM_ITERATIONS_LEAST, SCRAM_ITERATIONS_MOST) < 0)
		return err_set(e, E_SYNTAX, "the iterations are not a number from %d to %d", SCRAM_ITERATIONS_LEAST, SCRAM_ITERATIONS_MOST);
	s->iterations = (unsigned)n;
	if (!take_salt(s->salt, sizeof s->salt, part[1]))
		return err_set(e, E_SYNTAX, "the salt is not base64 of 1 to %d octets", SCRAM_SALT_MOST);
	if (!take_key(s->stored_key, part[2]) || !take_key(s->server_key, part[3]))
		return err_set(e, E_SYNTAX, "stored key and server key are not base64 of %d octets each", SCRAM_OCTETS);
	return 0;
}

bool scram_password_matches(const struct scram_secret *s, struct slice password)
{
	unsigned char salted[SCRAM_OCTETS], client_key[SCRAM_OCTETS], stored_key[SCRAM_OCTETS];
	char salt[SCRAM_SALT_MOST];
	size_t n;
	bool ok = base64_decode(salt, sizeof salt, &n, slice_str(s->salt)) == 0
		&& PKCS5_PBKDF2_HMAC(password.p, (int)password.n, (const unsigned char *)salt, (int)n, (int)s->iterations, EVP_sha256(), SCRAM_OCTETS, salted) == 1
		&& hmac(client_key, salted, slice_str("Client Key")) && sha256(stored_key, client_key, sizeof client_key)
		&& CRYPTO_memcmp(stored_key, s->stored_key, sizeof stored_key) == 0;
	OPENSSL_cleanse(salted, sizeof salted);
	OPENSSL_cleanse(client_key, sizeof client_key);
	return ok;
}

/* ---- a site ---- */

int scram_site_init(struct scram_site *site, struct slice key, unsigned iterations, struct err *e)
{
	unsigned char root[SCRAM_OCTETS];
	site->iterations = iterations;
	if (key.n && key.n < SCRAM_SITE_KEY_LEAST)
		return err_set(e, E_SYNTAX, "less than %d characters, which could be guessed; openssl rand -hex 32 makes one", SCRAM_SITE_KEY_LEAST);
	if (key.n ? !sha256(root, key.p, key.n) : getrandom(root, sizeof root, 0) != (ssize_t)sizeof root)
		return no_memory(e);
	bool ok = hmac(site->made_up_key, root, slice_str("made-up secrets")) && hmac(site->ticket_key, root, slice_str("tickets"));
	OPENSSL_cleanse(root, sizeof root);
	return ok ? 0 : no_memory(e);
}

int scram_make_up(struct scram_secret *s, const struct scram_site *site, struct slice name)
{
	unsigned char seed[SCRAM_OCTETS];
	struct buf salt = BUF_OVER(s->salt);
	if (!hmac(seed, site->made_up_key, name) || !hmac(s->stored_key, seed, slice_str("stored key")) || !hmac(s->server_key, seed, slice_str("server key")))
		return E_SYS;
	base64_encode(&salt, slice_make(seed, SCRAM_SALT_USUAL));
	buf_add_char(&salt, 0);
	s->iterations = site->iterations;
	return salt.overflow ? E_SYS : 0;
}

/* ---- messages ---- */

static void add_rest(struct buf *b, const struct scram_secret *s)
{
	buf_add_format(b, ",s=%s,i=%u", s->salt, s->iterations);
}

int scram_server_first(struct buf *b, const struct scram_secret *s, struct slice nonce)
{
	unsigned char fresh[NONCE_OCTETS];
	if (getrandom(fresh, sizeof fresh, 0) != (ssize_t)sizeof fresh)
		return E_SYS;
	buf_add_str(b, "r=");
	buf_add_slice(b, nonce);
	base64_encode(b, slice_make(fresh, sizeof fresh));
	add_rest(b, s);
	return b->overflow ? E_SYS : 0;
}

bool scram_says(const struct scram_secret *s, struct slice server_first)
{
	char space[sizeof s->salt + 32];
	struct buf rest = BUF_OVER(space);
	add_rest(&rest, s);
	buf_add_char(&rest, 0);
	return !rest.overflow && slice_ends(server_first, space);
}

static bool stamp_mac(unsigned char mac[SCRAM_OCTETS], const struct scram_site *site, struct slice stamp, struct slice user, struct slice client_ip, struct slice server_first)
{
	struct buf text = BUF_INIT(QUESTION_MAX);
	netstring_add(&text, stamp);
	netstring_add(&text, user);
	netstring_add(&text, client_ip);
	netstring_add(&text, server_first);
	bool ok = !text.overflow && hmac(mac, site->ticket_key, buf_slice(&text));
	buf_free(&text);
	return ok;
}

int scram_ticket(char ticket[DIRECTORY_TICKET_OCTETS], const struct scram_site *site, int64_t now, struct slice user, struct slice client_ip, struct slice server_first)
{
	for (size_t i = 0; i < STAMP_OCTETS; i++)
		ticket[i] = (char)(now >> (56 - 8 * i) & 0xff);
	return stamp_mac((unsigned char *)ticket + STAMP_OCTETS, site, slice_make(ticket, STAMP_OCTETS), user, client_ip, server_first) ? 0 : E_SYS;
}

bool scram_ticket_valid(struct slice ticket, const struct scram_site *site, int64_t now, struct slice user, struct slice client_ip, struct slice server_first)
{
	unsigned char mac[SCRAM_OCTETS];
	uint64_t made = 0;
	if (ticket.n != DIRECTORY_TICKET_OCTETS)
		return false;
	for (size_t i = 0; i < STAMP_OCTETS; i++)
		made = made << 8 | (unsigned char)ticket.p[i];
	return stamp_mac(mac, site, slice_upto(ticket, STAMP_OCTETS), user, client_ip, server_first)
		&& CRYPTO_memcmp(mac, ticket.p + STAMP_OCTETS, sizeof mac) == 0 && made <= (uint64_t)now && (uint64_t)now - made <= SCRAM_TICKET_SEC;
}

/* AuthMessage: RFC 5802 3. */
static void add_auth_message(struct buf *b, struct slice bare, struct slice server_first, struct slice without_proof)
{
	buf_add_slice(b, bare);
	buf_add_char(b, ',');
	buf_add_slice(b, server_first);
	buf_add_char(b, ',');
	buf_add_slice(b, without_proof);
}

/* H(ClientProof XOR ClientSignature) must be the stored key. */
static int compare(const struct scram_secret *s, const unsigned char signature[SCRAM_OCTETS], struct slice proof)
{
	unsigned char client_key[SCRAM_OCTETS], stored_key[SCRAM_OCTETS];
	for (size_t i = 0; i < SCRAM_OCTETS; i++)
		client_key[i] = (unsigned char)proof.p[i] ^ signature[i];
	int rc = !sha256(stored_key, client_key, sizeof client_key) ? E_SYS : CRYPTO_memcmp(stored_key, s->stored_key, sizeof stored_key) ? E_REFUSED : 0;
	OPENSSL_cleanse(client_key, sizeof client_key);
	return rc;
}

int scram_prove(char final[SCRAM_FINAL_MAX], const struct scram_secret *s, struct slice bare, struct slice server_first, struct slice without_proof, struct slice proof)
{
	unsigned char client[SCRAM_OCTETS], server[SCRAM_OCTETS];
	struct buf message = BUF_INIT(2 * QUESTION_MAX), out = {final, 0, SCRAM_FINAL_MAX, SCRAM_FINAL_MAX, false};
	add_auth_message(&message, bare, server_first, without_proof);
	bool known = !message.overflow && hmac(client, s->stored_key, buf_slice(&message)) && hmac(server, s->server_key, buf_slice(&message));
	buf_free(&message);
	if (!known)
		return E_SYS;
	int rc = proof.n == SCRAM_OCTETS ? compare(s, client, proof) : E_REFUSED;
	final[0] = 0;
	if (rc < 0)
		return rc;
	buf_add_str(&out, "v=");
	base64_encode(&out, slice_make(server, sizeof server));
	buf_add_char(&out, 0);
	return out.overflow ? E_SYS : 0;
}
