/* postern skim: stolen accounts.  As the operator who calls it; reads the control folder, and files that the operator names. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "control/cmd.h"
#include "lib/io.h"
#include "skim/replay.h"
#include "supervise/graph.h"

/* What was found, for people; with --json standard output is for machines alone, and so is this for standard error. */
static void tell_counts(const struct replay_counts *n)
{
	fprintf(stderr, "%llu events of %zu users: %llu log, %llu hold, %llu stop, %llu lock; %llu bad lines\n", n->events, n->users,
		n->reported[1], n->reported[2], n->reported[3], n->reported[4], n->bad);
}

static int replay_file(const struct options *o, const char *name)
{
	static struct control c;
	struct replay_counts n;
	struct err e;
	bool standard = strcmp(name, "-") == 0;
	int fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return cmd_fail(o, EXIT_TEMPORARY, "%s: %s", name, strerror(errno));
	int rc = control_read(&c, o->control, BIT(P_SKIM), &e);
	if (rc == 0)
		rc = replay(&n, &c, fd, standard ? "standard input" : name, stdout, stderr, &e);
	control_free(&c);
	if (!standard)
		close_fd(&fd);
	if (rc < 0)
		return cmd_fail(o, rc == E_SYNTAX ? EXIT_FAULT : EXIT_TEMPORARY, "%s", e.text);
	tell_counts(&n);
	return n.bad ? EXIT_FAULT : 0;
}

int cmd_skim(const struct options *o)
{
	if (strcmp(o->arg[0], "replay") == 0 && o->args == 2)
		return replay_file(o, o->arg[1]);
	return cmd_usage(o);
}
