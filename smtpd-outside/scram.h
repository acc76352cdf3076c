/* What a client of SCRAM sends, taken apart: RFC 5802 5 and 7 (attribute order, reserved extension, gs2-header), RFC 7677.  No arithmetic: that is
 * postern-directory's, so the session sees neither salted password nor stored keys.  Nothing allocates or blocks; all is linear. */
#ifndef POSTERN_SMTPD_SCRAM_H
#define POSTERN_SMTPD_SCRAM_H
#include "directory/query.h"

/* client-first-message.  Slices borrow from it. */
struct scram_first {
	char flag;            /* 'n', 'y', or 'p' with .binding: RFC 5802 6 */
	struct slice binding; /* name of the channel binding type */
	struct slice whom;    /* authzid as it is encoded; empty: none */
	struct slice header;  /* gs2-header with its last comma: what c= of the next message repeats */
	struct slice bare;    /* client-first-message-bare */
	struct slice user;    /* as it is encoded; never empty */
	struct slice nonce;   /* printable, without comma; 1 to DIRECTORY_NONCE_MAX octets */
};
/* 0, or E_SYNTAX: not one (a NUL, an attribute out of order, "m=" (an extension that must be understood, and is not), a nonce too long, …).  Optional
 * extensions behind the nonce are passed over. */
MUST_CHECK int scram_parse_first(struct scram_first *out, struct slice message);

/* client-final-message. */
struct scram_final {
	struct slice binding;       /* c=, in base64 */
	struct slice nonce;
	struct slice without_proof; /* client-final-message-without-proof */
	char proof[DIRECTORY_PROOF_OCTETS];
};
/* 0, or E_SYNTAX: not one; the proof must be the last attribute, in strict base64, and as long as a SHA-256. */
MUST_CHECK int scram_parse_final(struct scram_final *out, struct slice message);

/* ENCODED, a saslname, as the name that it stands for, into OUT (which has room for ENCODED.n octets; the two may not overlap); *USED says how many.
 * 0, or E_SYNTAX: a "=" before anything else than 2C and 3D. */
MUST_CHECK int scram_name(char *out, size_t *used, struct slice encoded);
#endif
