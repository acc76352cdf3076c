/* Serving the callers of STATE/run/inject.sock: one at a time in each worker. */
#ifndef POSTERN_INJECT_SERVE_H
#define POSTERN_INJECT_SERVE_H
#include "inject/request.h"

struct serve {
	struct slice me;
	struct names names;
	size_t databytes;
	unsigned maxhops;
	int64_t answer_msec;
	int listen_fd, next_fd;
};
/* Wait for one caller and serve it; all that goes wrong with it ends with its connection.  Returns at once when told to stop. */
void serve_one(const struct serve *s);
#endif
