/* Connections to scanners: a Unix socket or addresses found before confinement. */
#ifndef POSTERN_SCAN_DIAL_H
#define POSTERN_SCAN_DIAL_H
#include <sys/socket.h>

#include "lib/io.h"

#define ENDPOINT_ADDRESSES 8
struct endpoint {
	char name[300]; /* for messages */
	struct sockaddr_storage address[ENDPOINT_ADDRESSES];
	socklen_t length[ENDPOINT_ADDRESSES];
	size_t count;
};
/* PATH fits into sun_path (control/scanners' parser sees to that). */
void endpoint_unix(struct endpoint *to, const char *path);
/* Look HOST up (blocks on the resolver, needs files and network: before program_confine()).  0 or E_NOT_FOUND. */
MUST_CHECK int endpoint_resolve(struct endpoint *to, const char *host, const char *port, struct err *e);
/* Connect, trying each address once; non-blocking, close-on-exec.  The descriptor, E_TIMEOUT or E_SYS. */
int dial(const struct endpoint *to, int64_t deadline, struct err *e);
#endif
