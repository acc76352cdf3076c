/* control/servercert.pem: checks for `postern check` and the supervisor. */
#ifndef POSTERN_SMTPD_TLS_CERT_H
#define POSTERN_SMTPD_TLS_CERT_H
#include "lib/control.h"

/* Can postern-tls use this file: a certificate, its chain, the key that belongs to it, no passphrase?  0, or E_SYNTAX with the reason in *E (no
 * file name). */
MUST_CHECK int tls_check_cert(struct slice pem, struct err *e);
/* The files of control/certs: 0, or E_SYNTAX with "certs/FILE: reason". */
MUST_CHECK int tls_check_names(const struct control *c, struct err *e);
/* Is there something to say about a certificate that can be used (expired, about to expire, not valid yet, not for HOST; an empty HOST: for any)?  True with
 * the text in *W.  Such a certificate still serves: most senders do not look, and no TLS would be worse. */
bool tls_cert_warning(struct slice pem, struct slice host, struct err *w);
#endif
