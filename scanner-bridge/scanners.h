/* control/scanners: which scanners there are.
 *	clamav embedded:DIR        libclamav in postern-scanworker with the signatures in DIR
 *	clamav unix:PATH           clamd
 *	spamassassin unix:PATH     spamd
 *	spamassassin HOST:PORT     spamd; [IPv6]:PORT
 * Each of the four forms at most once, and spamassassin once; embedded and clamd may be used together. */
#ifndef POSTERN_SCAN_SCANNERS_H
#define POSTERN_SCAN_SCANNERS_H
#include <netinet/in.h>
#include <sys/un.h>

#include "lib/control.h"

struct scanners {
	char embedded[256];                              /* folder of signatures; "": none */
	char clamd[sizeof((struct sockaddr_un *)0)->sun_path];
	char spamd_path[sizeof((struct sockaddr_un *)0)->sun_path];
	char spamd_host[256], spamd_port[6];             /* name or address without brackets */
};
/* 0, or E_SYNTAX with "scanners:LINE: reason". */
MUST_CHECK int scanners_parse(struct scanners *out, const struct control *c, struct err *e);
/* The same, and that the signature folder can be read and holds signatures: for `postern check` (opens files). */
MUST_CHECK int scanners_check(const struct control *c, struct err *e);
static inline bool scanners_spamd(const struct scanners *s) { return s->spamd_path[0] || s->spamd_host[0]; }
#endif
