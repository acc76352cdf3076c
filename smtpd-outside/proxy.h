/* The PROXY header that a TCP balancer puts before each connection, versions 1 and 2.
 * https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt */
#ifndef POSTERN_SMTPD_PROXY_H
#define POSTERN_SMTPD_PROXY_H
#include <stdint.h>

#include "lib/addr.h"

#define PROXY_MAX 4096 /* octets of a header, its TLVs included */

struct proxy_header {
	bool known;             /* false: LOCAL, UNKNOWN, UNSPEC or a Unix socket: the connection's own addresses count */
	struct ip client, local;
	uint16_t client_port, local_port;
};

/* Parse the header at the start of IN; set *USED to its octets.  0, or with OUT and USED untouched:
 *   E_EOF       cut off: more octets could make it whole (never for PROXY_MAX octets or more)
 *   E_SYNTAX    no PROXY header
 *   E_TOO_LONG  version 1 over 107 octets, version 2 over PROXY_MAX
 * TLVs are passed over.  Never allocates; linear in IN. */
MUST_CHECK int proxy_parse(struct proxy_header *out, size_t *used, struct slice in);
#endif
