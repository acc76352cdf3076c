/* Where mail is told to go: the lines of control/smtproutes, control/lmtproutes and control/qmqproutes.  The parsers of the agents, postern-route, postern-queue and
 * postern check. */
#ifndef POSTERN_DELIVER_HOSTPORT_H
#define POSTERN_DELIVER_HOSTPORT_H
#include "lib/addr.h"
#include "lib/control.h"

#define UNIX_PATH_MAX_OCTETS 107

struct hostport {
	char host[256];   /* name, IPv4 or IPv6 address without brackets; or the path of a Unix socket */
	bool is_ip, is_unix;
	struct ip ip;
	uint16_t port;
};
/* HOST, HOST:PORT, ADDRESS:PORT, [ADDRESS], [ADDRESS]:PORT; without a port PORT, and when that is 0 one must be there.  0 or E_SYNTAX. */
MUST_CHECK int hostport_parse(struct hostport *out, struct slice text, uint16_t port, struct err *e);
/* The same or unix:PATH. */
MUST_CHECK int hostport_parse_lmtp(struct hostport *out, struct slice text, struct err *e);
/* One line: its domain (or ".domain", or "" for all others) and its destination.  0 or E_SYNTAX. */
MUST_CHECK int smtproute_parse(struct slice *domain, struct hostport *to, bool *by_mx, struct slice line, struct err *e);
MUST_CHECK int lmtproute_parse(struct slice *domain, struct slice *to, struct slice line, struct err *e);
/* The line for DOMAIN: itself, then ".parent" from the longest, then "".  0: *TO is the relay; E_NOT_FOUND: no line, or one that says MX. */
MUST_CHECK int smtproute_find(struct hostport *to, const struct control *c, struct slice domain);
/* The same for LMTP, exact, ".parent" or ""; *TO is as in the line.  0 or E_NOT_FOUND. */
MUST_CHECK int lmtproute_find(struct slice *to, const struct control *c, struct slice domain);
/* What H is called among destinations, the same in postern-queue and postern-remote: "host:port", an address in its shortest form, IPv6 in brackets. */
#define HOSTPORT_NAME_MAX 264
void hostport_name(char out[HOSTPORT_NAME_MAX], const struct hostport *h);
/* A line of control/qmqproutes, "host:address[:port]", address IPv4 or [IPv6].  0 or E_SYNTAX. */
#define QMQP_PORT 628
struct qmqp_route {
	struct slice host;
	struct ip ip;
	uint16_t port;
};
MUST_CHECK int qmqp_route_parse(struct qmqp_route *r, struct slice line, struct err *e);
/* A line of control/resolver, ADDRESS:PORT; OUT as libunbound wants it.  0 or E_SYNTAX. */
MUST_CHECK int resolver_line(char out[80], struct slice line, struct err *e);
#endif
