/* postern queue: asking STATE/run/queue.sock (postern-queue(8), COMMANDS).  The queue checks who calls. */
#include "control/cmd_queue.h"

#include <limits.h>
#include <unistd.h>

#include "directory/query.h"
#include "lib/io.h"

#define ANSWER_MSEC (2 * DIRECTORY_ASK_MSEC) /* postern-respond may be amid a question to the LDAP servers, and have one for this command */

struct slice row_get(const struct row *r, const char *key)
{
	for (size_t i = 0; i + 1 < r->count; i += 2)
		if (slice_eq_str(r->cell[i], key))
			return r->cell[i + 1];
	return slice_make("", 0);
}

long long row_number(const struct row *r, const char *key)
{
	long long v = 0;
	(void)!slice_number(&v, row_get(r, key), LLONG_MIN + 1, LLONG_MAX);
	return v;
}

int suite_ask(const struct options *o, const char *program, const struct slice *args, size_t count, each_row *each, void *arg, char text[COMMAND_MAX])
{
	static char space[COMMAND_MAX];
	char path[PATH_MAX];
	struct row r;
	struct err e;
	int fd, code = EXIT_TEMPORARY, rc;
	text[0] = 0;
	if ((size_t)snprintf(path, sizeof path, "%s/run/%s.sock", o->state, program) >= sizeof path)
		return cmd_fail(o, EXIT_USAGE, "the state folder's name is too long");
	rc = command_call(&fd, path, args, count, &e);
	if (rc == E_NOT_FOUND)
		return cmd_fail(o, EXIT_TEMPORARY, "%s does not run: is the suite running, and do the control files ask for this program? (postern privileges shows which run)", program);
	if (rc < 0)
		return cmd_fail(o, EXIT_TEMPORARY, "%s", e.text);
	while ((rc = command_next(fd, space, r.cell, 2 * ROW_KEYS_MAX, &r.count, &code, deadline_in(ANSWER_MSEC), &e)) == 0)
		if (each)
			each(arg, &r);
	close(fd);
	if (rc < 0)
		return cmd_fail(o, EXIT_TEMPORARY, "the answer of %s broke off: %s", program, e.text);
	snprintf(text, COMMAND_MAX, "%.*s", SLICE_FMT(r.cell[0]));
	return code;
}

int queue_ask(const struct options *o, const struct slice *args, size_t count, each_row *each, void *arg, char text[COMMAND_MAX])
{
	return suite_ask(o, "queue", args, count, each, arg, text);
}
