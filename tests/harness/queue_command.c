/* See queue_command.h. */
#include "tests/harness/queue_command.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/command.h"

int queue_command(char *out, size_t size, const char *folder, const struct slice *args, size_t count)
{
	static char space[COMMAND_MAX];
	char path[128];
	struct err e;
	struct slice row[64];
	struct buf b = {out, 0, size - 1, size - 1, false};
	int fd, code = -1, rc = 0;
	size_t n;
	snprintf(path, sizeof path, "%s/queue.sock", folder);
	out[0] = 0;
	if (command_call(&fd, path, args, count, &e) < 0)
		return -1;
	while (rc == 0 && (rc = command_next(fd, space, row, 64, &n, &code, deadline_in(5000), &e)) == 0) {
		for (size_t i = 0; i + 1 < n; i += 2)
			buf_add_format(&b, "%.*s=%.*s;", SLICE_FMT(row[i]), SLICE_FMT(row[i + 1]));
		buf_add_char(&b, '\n');
	}
	close(fd);
	out[b.n] = 0;
	return rc == 1 ? code : -1;
}
