/* Certificate, key and settings of TLS: see tls.h and tls_cert.h.
 *
 * Part of postern-tls, which alone keeps the key; also run by postern check and the supervisor on the administrator's file.
 * RFC 8446, RFC 5246 with RFC 9325's advice: TLS 1.2 and 1.3, forward secrecy, AEAD first, no compression, no renegotiation. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "smtpd-outside/tls.h"

#define SOON_SEC (14 * 24 * 3600)

static const char ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:!aNULL:!PSK:!SRP";
/* Half the hashing of AES-256 with SHA-384, and as much as anybody can need; a client that offers the others alone gets them. */
static const char suites[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"; /* TLS 1.3 */

void tls_error(struct err *e, enum err_code code, const char *what)
{
	unsigned long n = ERR_get_error();
	const char *reason = n ? ERR_reason_error_string(n) : NULL;
	err_set(e, code, "%s%s%s", what, *what && reason ? ": " : "", reason ? reason : *what ? "" : "connection closed");
	ERR_clear_error();
}

/* Nobody is here to type a passphrase. */
static int no_passphrase(char *buf, int size, int writing, void *asked)
{
	(void)buf;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

static BIO *reader(struct slice pem)
{
	return pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
}

static int load_key(SSL_CTX *ctx, struct slice pem, struct err *e)
{
	bool asked = false;
	BIO *bio = reader(pem);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked) : NULL;
	int r = 0;
	BIO_free(bio);
	if (!key && asked)
		r = err_set(e, E_SYNTAX, "the key has a passphrase; store it without one (openssl pkey -in … -out …), mode 0600");
	else if (!key)
		r = err_set(e, E_SYNTAX, "no private key; the file holds the certificate, its chain and the key, in PEM");
	else if (X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) != 1)
		r = err_set(e, E_SYNTAX, "the key does not belong to the first certificate");
	else if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
		r = (tls_error(e, E_SYNTAX, "the key cannot be used"), E_SYNTAX);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return r;
}

/* The first certificate is the server's own, the others its chain. */
static int load_chain(SSL_CTX *ctx, struct slice pem, struct err *e)
{
	bool asked = false;
	BIO *bio = reader(pem);
	X509 *cert = bio ? PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, &asked) : NULL;
	int r = 0;
	if (!cert)
		r = err_set(e, E_SYNTAX, "no certificate; the file holds the certificate, its chain and the key, in PEM");
	else if (SSL_CTX_use_certificate(ctx, cert) != 1)
		r = (tls_error(e, E_SYNTAX, "the certificate cannot be used"), E_SYNTAX);
	X509_free(cert);
	while (r == 0 && (cert = PEM_read_bio_X509(bio, NULL, no_passphrase, &asked)))
		if (SSL_CTX_add0_chain_cert(ctx, cert) != 1) {
			X509_free(cert);
			r = (tls_error(e, E_SYNTAX, "a certificate of the chain cannot be used"), E_SYNTAX);
		}
	BIO_free(bio);
	unsigned long last = ERR_peek_last_error();
	if (r == 0 && last && ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
		r = (tls_error(e, E_SYNTAX, "a certificate of the chain is damaged"), E_SYNTAX);
	ERR_clear_error();
	return r;
}

/* A client that says what it wants to speak and does not mean SMTP was led here by somebody (ALPACA, CVE-2021-3618). */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len, void *arg)
{
	(void)ssl;
	(void)arg;
	for (unsigned at = 0; at < in_len; at += 1u + in[at])
		if (in[at] == 4 && at + 5 <= in_len && memcmp(in + at + 1, "smtp", 4) == 0) {
			*out = in + at + 1;
			*out_len = 4;
			return SSL_TLSEXT_ERR_OK;
		}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool configure(SSL_CTX *ctx)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets alone: each connection is a process of its own */
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_dh_auto(ctx, 1);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 && SSL_CTX_set_cipher_list(ctx, ciphers) == 1 &&
		SSL_CTX_set_ciphersuites(ctx, suites) == 1 &&
		SSL_CTX_set_num_tickets(ctx, 1) == 1 && SSL_CTX_set_max_send_fragment(ctx, 8192) == 1;
}

SSL_CTX *tls_context(struct slice pem, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx || !configure(ctx)) {
		tls_error(e, E_SYS, "TLS cannot be set up");
		SSL_CTX_free(ctx);
		return NULL;
	}
	if (load_chain(ctx, pem, e) < 0 || load_key(ctx, pem, e) < 0) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* Both ends of a connection in memory take turns. */
static bool meet(SSL *server, SSL *client)
{
	SSL_set_accept_state(server);
	SSL_set_connect_state(client);
	for (int turn = 0; turn < 10; turn++) {
		int c = SSL_do_handshake(client), s = SSL_do_handshake(server);
		if (c == 1 && s == 1)
			return true;
	}
	return false;
}

static bool rehearse(SSL_CTX *server_ctx, SSL_CTX *client_ctx, int version)
{
	SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
	BIO *a = NULL, *b = NULL;
	bool ok = server && client && BIO_new_bio_pair(&a, 0, &b, 0) == 1;
	if (ok) {
		SSL_set_bio(server, a, a);
		SSL_set_bio(client, b, b);
		SSL_set_max_proto_version(client, version);
		char octet = 'x';
		ok = meet(server, client) && SSL_write(server, &octet, 1) == 1 && SSL_read(client, &octet, 1) == 1;
	}
	SSL_free(server);
	SSL_free(client);
	return ok;
}

int tls_rehearse(SSL_CTX *ctx, struct err *e)
{
	SSL_CTX *client = SSL_CTX_new(TLS_client_method());
	bool ok = client && rehearse(ctx, client, TLS1_2_VERSION) && rehearse(ctx, client, TLS1_3_VERSION);
	if (!ok)
		tls_error(e, E_SYNTAX, "no handshake succeeds with this certificate");
	SSL_CTX_free(client);
	return ok ? 0 : E_SYNTAX;
}

int tls_check_cert(struct slice pem, struct err *e)
{
	SSL_CTX *ctx = tls_context(pem, e);
	int r = ctx ? tls_rehearse(ctx, e) : E_SYNTAX;
	SSL_CTX_free(ctx);
	return r;
}

static bool date_warning(const X509 *cert, struct err *w)
{
	time_t soon = time(NULL) + SOON_SEC;
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
		err_set(w, E_REFUSED, "the certificate has expired; replace the file and reload");
	else if (X509_cmp_time(X509_get0_notAfter(cert), &soon) < 0)
		err_set(w, E_REFUSED, "the certificate expires within two weeks");
	else if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
		err_set(w, E_REFUSED, "the certificate is not valid yet");
	else
		return false;
	return true;
}

static bool name_warning(X509 *cert, struct slice host, struct err *w)
{
	if (!host.n || X509_check_host(cert, host.p, host.n, 0, NULL) == 1)
		return false;
	err_set(w, E_REFUSED, "the certificate is not for %.*s: clients that ask for that name will not believe it", SLICE_FMT(slice_upto(host, 100)));
	return true;
}

bool tls_cert_warning(struct slice pem, struct slice host, struct err *w)
{
	bool asked = false;
	BIO *bio = reader(pem);
	X509 *cert = bio ? PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, &asked) : NULL;
	bool say = cert && (date_warning(cert, w) || name_warning(cert, host, w));
	X509_free(cert);
	BIO_free(bio);
	ERR_clear_error();
	return say;
}
