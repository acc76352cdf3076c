/* control/listen: `NAME ADDRESS:PORT [proxy]`, one listening socket a line.  Read by the supervisor, which opens the sockets, and by
 * the doors, which find those of their lanes in the same order; checked by `postern check`. */
#ifndef POSTERN_SMTPD_LISTEN_H
#define POSTERN_SMTPD_LISTEN_H
#include <stdint.h>

#include "lib/addr.h"
#include "lib/control.h"
#include "supervise/graph.h"

#define LISTEN_MAX 64 /* lines */

enum listen_name { LISTEN_SMTP, LISTEN_SUBMISSION, LISTEN_SUBMISSIONS, LISTEN_QMQP, LISTEN_CONSOLE, LISTEN_COUNT };
struct listen_info {
	const char *name;
	bool available; /* false: refused with "not yet available" */
};
extern const struct listen_info listen_names[LISTEN_COUNT];
/* Whose door holds a listener of that name: smtp LANE_OUTSIDE, submission and submissions LANE_SUBMISSION, qmqp LANE_CLUSTER; console LANE_NONE. */
enum lane listen_lane(enum listen_name name);

struct listen_line {
	enum listen_name name;
	struct ip ip;
	uint16_t port;  /* 1..65535 */
	bool any6;      /* an IPv6 address: [::]:25 takes IPv6 alone (IPV6_V6ONLY) */
	bool proxy;     /* each connection begins with a PROXY header */
};

/* One line.  0, or E_SYNTAX with the reason in *E (no file name, no line number) and OUT untouched. */
MUST_CHECK int listen_parse_line(struct listen_line *out, struct slice line, struct err *e);
/* The whole file, or where it is absent `smtp 0.0.0.0:25` and `smtp [::]:25`.  OUT has room for LISTEN_MAX.  0, or E_SYNTAX with
 * "listen:LINE: reason" (also for the same address and port twice, too many lines, and no line at all). */
MUST_CHECK int listen_parse(struct listen_line *out, size_t *count, const struct control *c, struct err *e);
/* The lines of one lane alone, in the file's order: the sockets that the door of that lane gets. */
MUST_CHECK int listen_parse_lane(struct listen_line *out, size_t *count, const struct control *c, enum lane lane, struct err *e);
/* Does the file (or its default) have a listener for LANE?  False also where the file is faulty. */
bool listen_has_lane(const struct control *c, enum lane lane);
#endif
