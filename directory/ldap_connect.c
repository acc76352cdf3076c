/* Connecting to LDAP servers: see ldap_connect.h.  RFC 4511, RFC 4513.
 *
 * Runs in threads of postern-directory; each connection is one thread's or the loop's, never both.  Nothing is taken from
 * ldap.conf or the environment. */
#include "directory/ldap_connect.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/control.h"
#include "lib/io.h"

#define CONNECT_SECONDS 10
#define KEEPALIVE_SECONDS 60
#define VAIN_SAMPLES 16
#define VAIN_USEC_MOST 999999

const struct ldap_settings *ldap_connect_settings;
static _Atomic size_t good; /* the server that the searches go to: passwords begin there too, not at one that is dead */

int ldap_settings(struct ldap_settings *s, const struct control *c, struct err *e)
{
	*s = (struct ldap_settings){.object_class = control_word(c, C_ldapobjectclass), .defaults = backend_defaults(c)};
	s->defaults.object_class = slice_make("", 0); /* the filter sees to it, and knows of subclasses */
	s->timeout_sec = (int)control_number(c, C_ldaptimeout);
	s->cache_sec = (int)control_number(c, C_directorycache);
	if (ldap_servers(s->server, &s->servers, c, e) < 0)
		return E_SYNTAX;
	if (!control_present(c, C_ldapbasedn))
		return control_fault(e, c, C_ldapbasedn, 0, "missing: ldapserver needs to know where searches begin");
	if (slice_copy(s->base, sizeof s->base, control_word(c, C_ldapbasedn)) < 0 || slice_copy(s->login, sizeof s->login, control_word(c, C_ldaplogin)) < 0
	    || slice_copy(s->password, sizeof s->password, control_word(c, C_ldappassword)) < 0)
		return control_fault(e, c, C_ldapbasedn, 1, "too long, or ldaplogin or ldappassword is");
	(void)!slice_copy(s->ca_file, sizeof s->ca_file, control_word(c, C_ldapcafile));
	return 0;
}

/* Called by libldap when the socket is connected, before a word is said on it: a server that stops in the middle of an answer, or of
 * a TLS handshake, holds a thread no longer than this. */
static int on_connect(LDAP *ld, Sockbuf *sb, LDAPURLDesc *server, struct sockaddr *address, struct ldap_conncb *cb)
{
	struct timeval limit = {ldap_connect_settings->timeout_sec, 0};
	int fd = -1;
	(void)ld, (void)server, (void)address, (void)cb;
	if (ber_sockbuf_ctrl(sb, LBER_SB_OPT_GET_FD, &fd) > 0 && fd >= 0) {
		(void)!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
		(void)!setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	}
	return 0;
}

static void on_close(LDAP *ld, Sockbuf *sb, struct ldap_conncb *cb)
{
	(void)ld, (void)sb, (void)cb;
}

static int set_options(LDAP *ld, const struct ldap_settings *s, struct ldap_conncb *cb)
{
	int version = 3, demand = LDAP_OPT_X_TLS_DEMAND, server_side = 0;
	int seconds = s->timeout_sec < CONNECT_SECONDS ? s->timeout_sec : CONNECT_SECONDS;
	struct timeval limit = {seconds, 0};
	int idle = KEEPALIVE_SECONDS, probes = 3, interval = 10;
	ldap_set_option(ld, LDAP_OPT_CONNECT_CB, cb);
	ldap_set_option(ld, LDAP_OPT_X_KEEPALIVE_IDLE, &idle); /* firewalls forget idle connections */
	ldap_set_option(ld, LDAP_OPT_X_KEEPALIVE_PROBES, &probes);
	ldap_set_option(ld, LDAP_OPT_X_KEEPALIVE_INTERVAL, &interval);
	ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
	ldap_set_option(ld, LDAP_OPT_RESTART, LDAP_OPT_ON);
	ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &limit);
	ldap_set_option(ld, LDAP_OPT_TIMEOUT, &limit);
	ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand);
	ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTFILE, s->ca_file);
	ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &server_side);
	return ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
}

static int bind_as(LDAP *ld, const char *dn, char *password)
{
	struct berval credentials = {strlen(password), password};
	return ldap_sasl_bind_s(ld, dn, LDAP_SASL_SIMPLE, &credentials, NULL, NULL, NULL);
}

/* LDAP_SUCCESS with *LD, or what libldap says. */
static int open_server(LDAP **ld, const struct ldap_server *server, const struct ldap_settings *s, const char *dn, char *password)
{
	static struct ldap_conncb cb = {on_connect, on_close, NULL};
	int rc = ldap_initialize(ld, server->url);
	if (rc != LDAP_SUCCESS)
		return rc;
	set_options(*ld, s, &cb);
	if (server->starttls)
		rc = ldap_start_tls_s(*ld, NULL, NULL);
	return rc == LDAP_SUCCESS ? bind_as(*ld, dn, password) : rc;
}

static void close_ldap(LDAP **ld)
{
	if (*ld)
		ldap_unbind_ext(*ld, NULL, NULL);
	*ld = NULL;
}

static void describe(struct connecting *c, const struct ldap_server *server, int rc)
{
	char *more = NULL;
	if (c->ld)
		ldap_get_option(c->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &more);
	snprintf(c->error, sizeof c->error, "%.80s: %.40s%s%.60s", server->url, ldap_err2string(rc), more && *more ? ": " : "", more ? more : "");
	ldap_memfree(more);
}

void ldap_connect_run(struct work *w)
{
	struct connecting *c = (struct connecting *)w;
	char password[PASSWORD_MAX + 1];
	c->ld = NULL;
	c->error[0] = 0;
	for (size_t i = 0; i < c->settings->servers && !c->ld; i++) {
		const struct ldap_server *server = &c->settings->server[i];
		memcpy(password, c->settings->password, sizeof password);
		int rc = open_server(&c->ld, server, c->settings, c->settings->login, password);
		c->server = server->url;
		if (rc == LDAP_SUCCESS) {
			good = i;
			return;
		}
		describe(c, server, rc);
		close_ldap(&c->ld);
	}
}

/* Bind on a connection that stood idle, perhaps too long; then on a fresh one to each server. */
static int try_bind(struct check *c, const struct ldap_settings *s)
{
	LDAP *ld = c->connection;
	int rc = LDAP_SERVER_DOWN;
	if (ld)
		rc = bind_as(ld, c->dn, c->password);
	for (size_t i = 0; i < s->servers && clock_msec() < c->deadline && (rc < 0 || rc == LDAP_UNAVAILABLE || rc == LDAP_BUSY); i++) {
		close_ldap(&ld);
		rc = open_server(&ld, &s->server[(good + i) % s->servers], s, c->dn, c->password);
	}
	c->connection = ld;
	return rc;
}

static bool fits_stored(const struct check *c)
{
	bool fits = false;
	for (size_t i = 0; i < c->stored_count; i++)
		fits |= password_matches(slice_str(c->stored[i]), slice_str(c->password));
	return fits;
}

/* How long the latest wrong passwords took, and until there was one the latest right one. */
static _Atomic int64_t refused_usec[VAIN_SAMPLES], right_usec;
static _Atomic unsigned refused;

static void remember_time(int rc, int64_t usec)
{
	if (rc == LDAP_INVALID_CREDENTIALS)
		refused_usec[refused++ % VAIN_SAMPLES] = usec;
	else if (rc == LDAP_SUCCESS)
		right_usec = usec;
}

/* A name that nobody has: the server hashes nothing for it, so what it would have taken is waited. */
static void wait_in_vain(void)
{
	unsigned known = refused < VAIN_SAMPLES ? refused : VAIN_SAMPLES;
	int64_t usec = known ? refused_usec[(uint64_t)clock_usec() % known] : right_usec;
	struct timespec left = {0, (usec < VAIN_USEC_MOST ? usec : VAIN_USEC_MOST) * 1000};
	(void)nanosleep(&left, NULL);
}

/* RFC 4513 5.1.1 and 5.1.2: with no name or no password a bind proves nothing. */
static int judge(struct check *c)
{
	int64_t begin = clock_usec();
	int rc = LDAP_INVALID_CREDENTIALS;
	if (!c->dn[0] || !c->password[0]) {
		wait_in_vain();
		return rc;
	}
	rc = fits_stored(c) ? LDAP_SUCCESS : try_bind(c, ldap_connect_settings);
	remember_time(rc, clock_usec() - begin);
	return rc;
}

void ldap_connect_check(struct work *w)
{
	struct check *c = (struct check *)w;
	int rc = clock_msec() >= c->deadline ? LDAP_TIMEOUT : judge(c);
	c->verdict = rc == LDAP_SUCCESS ? DIRECTORY_YES
		: rc == LDAP_INVALID_CREDENTIALS || rc == LDAP_INAPPROPRIATE_AUTH || rc == LDAP_NO_SUCH_OBJECT ? DIRECTORY_NO : DIRECTORY_TEMPORARY;
	if (c->verdict == DIRECTORY_TEMPORARY)
		snprintf(c->text, sizeof c->text, "the LDAP server cannot check passwords now: %.100s", ldap_err2string(rc));
	if (c->verdict == DIRECTORY_TEMPORARY) {
		LDAP *ld = c->connection;
		close_ldap(&ld);
		c->connection = NULL;
	}
}
