/* Stored passwords: RFC 2307 userPassword with its {SCHEME}.  Everything compares in constant time. */
#ifndef POSTERN_DIRECTORY_PASSWORD_H
#define POSTERN_DIRECTORY_PASSWORD_H
#include "lib/slice.h"

#define PASSWORD_MAX 512        /* octets of a password that is checked at all */
#define PASSWORD_STORED_MAX 512 /* octets of a stored one */

/* PASSWORD is the one STORED stands for: {SSHA} {SHA} {SMD5} {MD5} {SSHA256} {SHA256} {SSHA512} {SHA512} {CRYPT} {SCRAM-SHA-256}
 * {CLEARTEXT}, or without a scheme the password itself (as slapd has it).  An empty password never matches.  May take long ({CRYPT}, {SCRAM-SHA-256}); any thread. */
bool password_matches(struct slice stored, struct slice password);
/* STORED has no scheme, or one of these; with another one no password matches. */
bool password_scheme_known(struct slice stored);
#endif
