/* Certificates by the name that the client asks for (SNI, RFC 6066 3): see tls.h.
 *
 * Part of postern-tls; the check also runs in postern check and the supervisor.  The files are the administrator's, the name is the client's and only
 * compared. */
#include <openssl/err.h>
#include <stdlib.h>

#include "lib/addr.h"
#include "smtpd-outside/tls.h"

#define NAMES_MAX 200
#define SUFFIX ".pem"

struct names {
	size_t count;
	struct {
		struct slice host; /* borrows from the settings */
		SSL_CTX *ctx;
	} site[NAMES_MAX];
};

/* The tickets' keys are those of the context that the connection began with. */
static int choose(SSL *ssl, int *alert, void *arg)
{
	const struct names *n = arg;
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	(void)alert;
	for (size_t i = 0; asked && i < n->count; i++)
		if (slice_case_eq_str(n->site[i].host, asked))
			return SSL_set_SSL_CTX(ssl, n->site[i].ctx) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_NOACK;
}

/* The host of a file's name; empty: not of the form NAME.pem. */
static struct slice host_of(struct slice file)
{
	struct slice host = slice_ends(file, SUFFIX) ? slice_upto(file, file.n - strlen(SUFFIX)) : slice_make("", 0);
	return host.n && host.p[0] != '[' && addr_check_domain(host, false) == 0 ? host : slice_make("", 0);
}

static int add(struct names *n, struct slice file, struct slice pem, struct err *e)
{
	struct err why;
	struct slice host = host_of(file);
	if (!host.n)
		return err_set(e, E_SYNTAX, "certs/%.*s: the name must be that of a host, with .pem behind it", SLICE_FMT(slice_upto(file, 80)));
	if (n->count == NAMES_MAX)
		return err_set(e, E_SYNTAX, "certs: more than %d files", NAMES_MAX);
	SSL_CTX *ctx = tls_context(pem, &why);
	if (!ctx)
		return err_set(e, E_SYNTAX, "certs/%.*s: %s", SLICE_FMT(slice_upto(file, 80)), why.text);
	n->site[n->count].host = host;
	n->site[n->count++].ctx = ctx;
	return 0;
}

static void forget(struct names *n)
{
	while (n->count)
		SSL_CTX_free(n->site[--n->count].ctx);
	free(n);
}

static int read_all(struct names *n, const struct control *c, struct err *e)
{
	struct slice file, pem;
	int rc = 0;
	for (size_t at = 0; rc == 0 && control_member_next(c, C_certs, &at, &file, &pem); )
		rc = add(n, file, pem, e);
	return rc;
}

int tls_names(SSL_CTX *ctx, const struct control *c, struct err *e)
{
	struct names *n = calloc(1, sizeof *n);
	if (!n)
		return err_sys(e, "certs");
	int rc = read_all(n, c, e);
	if (rc == 0 && n->count) {
		SSL_CTX_set_tlsext_servername_callback(ctx, choose);
		SSL_CTX_set_tlsext_servername_arg(ctx, n); /* for as long as the program runs */
	} else {
		forget(n);
	}
	return rc;
}

int tls_check_names(const struct control *c, struct err *e)
{
	struct names *n = calloc(1, sizeof *n);
	if (!n)
		return err_sys(e, "certs");
	int rc = read_all(n, c, e);
	if (rc == 0 && n->count && !control_present(c, C_servercert))
		rc = err_set(e, E_SYNTAX, "certs: servercert.pem is missing, which serves clients that ask for no name");
	forget(n);
	return rc;
}
