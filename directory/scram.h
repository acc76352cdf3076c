/* SCRAM-SHA-256 on the side that holds the secrets: RFC 5802 3 and 5, RFC 7677.  Messages are put together here and taken apart in the session
 * (smtpd-outside/scram.h).  Nothing is kept between the two messages of an exchange; what must not change meanwhile comes back under a ticket. */
#ifndef POSTERN_DIRECTORY_SCRAM_H
#define POSTERN_DIRECTORY_SCRAM_H
#include "directory/query.h"
#include "lib/err.h"

#define SCRAM_OCTETS 32          /* of a SHA-256 */
#define SCRAM_SALT_MOST 64       /* octets of a salt */
#define SCRAM_SALT_USUAL 16      /* as Dovecot makes them; those that are made up have so many */
#define SCRAM_ITERATIONS_LEAST 4096 /* RFC 7677 4 */
#define SCRAM_ITERATIONS_MOST 1000000
#define SCRAM_TICKET_SEC 600     /* between the two messages of a client */
#define SCRAM_SITE_KEY_LEAST 32  /* characters of control/scramkey */

struct scram_secret {
	unsigned iterations;
	char salt[SCRAM_SALT_MOST * 4 / 3 + 8]; /* base64 */
	unsigned char stored_key[SCRAM_OCTETS], server_key[SCRAM_OCTETS];
};
/* STORED is {SCRAM-SHA-256}ITERATIONS,SALT,STOREDKEY,SERVERKEY, the last three in strict base64, as `doveadm pw` writes it. */
bool scram_is_secret(struct slice stored);
/* 0, or E_SYNTAX with the reason: not such a value, or outside the limits above. */
MUST_CHECK int scram_secret_parse(struct scram_secret *s, struct slice stored, struct err *e);
/* PASSWORD, octet for octet, is the one that S was made from.  S->iterations times two SHA-256: for a thread.  Constant time but for that. */
bool scram_password_matches(const struct scram_secret *s, struct slice password);

/* What all exchanges of a site have in common.  KEY (control/scramkey) may be empty: then each process draws its own, and other hosts and the next
 * process make up other salts. */
struct scram_site {
	unsigned iterations; /* of secrets that are made up */
	unsigned char made_up_key[SCRAM_OCTETS], ticket_key[SCRAM_OCTETS];
};
/* 0, or E_SYNTAX (a key that is too short), E_SYS. */
MUST_CHECK int scram_site_init(struct scram_site *site, struct slice key, unsigned iterations, struct err *e);
/* A secret for NAME, who has none: always the same, told from a true one by nothing but that no password is known to fit.  0 or E_SYS. */
MUST_CHECK int scram_make_up(struct scram_secret *s, const struct scram_site *site, struct slice name);

/* server-first-message, with the client's NONCE and 18 fresh octets behind it, appended to B.  0 or E_SYS. */
MUST_CHECK int scram_server_first(struct buf *b, const struct scram_secret *s, struct slice nonce);
/* SERVER_FIRST says just S's salt and iterations. */
bool scram_says(const struct scram_secret *s, struct slice server_first);
/* That SERVER_FIRST was made for USER and CLIENT_IP at NOW (seconds since 1970).  0 or E_SYS. */
MUST_CHECK int scram_ticket(char ticket[DIRECTORY_TICKET_OCTETS], const struct scram_site *site, int64_t now, struct slice user, struct slice client_ip,
	struct slice server_first);
/* It was, no longer ago than SCRAM_TICKET_SEC. */
bool scram_ticket_valid(struct slice ticket, const struct scram_site *site, int64_t now, struct slice user, struct slice client_ip, struct slice server_first);

/* "v=" and ServerSignature: server-final-message. */
#define SCRAM_FINAL_MAX 64
/* Is PROOF that of whoever knows S's password?  0 with FINAL; E_REFUSED: no; E_SYS: cannot be said.  In the same time in all cases. */
MUST_CHECK int scram_prove(char final[SCRAM_FINAL_MAX], const struct scram_secret *s, struct slice bare, struct slice server_first, struct slice without_proof,
	struct slice proof);
#endif
