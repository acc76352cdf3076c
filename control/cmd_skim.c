/* postern skim: stolen accounts.  As the operator who calls it; asks the running postern-skim (STATE/run/skim.sock); for replay reads the control folder, and
 * files that the operator names. */
#include "control/cmd_skim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/io.h"
#include "skim/replay.h"
#include "supervise/graph.h"

int skim_ask(const struct options *o, const struct slice *args, size_t count, each_row *each, void *arg, char text[COMMAND_MAX])
{
	return suite_ask(o, "skim", args, count, each, arg, text);
}

bool suite_has(const struct options *o, const char *program)
{
	char path[PATH_MAX];
	return (size_t)snprintf(path, sizeof path, "%s/run/%s.sock", o->state, program) < sizeof path && access(path, F_OK) == 0;
}

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

static int tell_login(const struct options *o, const char *name, unsigned long long number, struct slice line)
{
	static char text[COMMAND_MAX];
	struct slice args[] = {slice_str("login"), line};
	if (slice_trim(line).n == 0)
		return 0;
	if (line.n > COMMAND_MAX - 100)
		return cmd_fail(o, EXIT_FAULT, "%s:%llu: the line is too long", name, number);
	int code = skim_ask(o, args, 2, NULL, NULL, text);
	if (code && text[0])
		cmd_fail(o, code, "%s:%llu: %s", name, number, text);
	else if (text[0])
		printf("%s\n", text);
	/* wrong lines are told and left out; the one who follows a log goes on */
	return code == EXIT_USAGE ? EXIT_FAULT : code;
}

/* Logins of other programs, a JSON line each, as they come. */
static int feed_logins(const struct options *o, const char *name)
{
	FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int worst = 0;
	if (!in)
		return cmd_fail(o, EXIT_TEMPORARY, "%s: %s", name, strerror(errno));
	for (unsigned long long number = 1; worst != EXIT_TEMPORARY && (n = getline(&line, &room, in)) >= 0; number++) {
		int code = tell_login(o, in == stdin ? "standard input" : name, number, slice_make(line, (size_t)n));
		worst = code > worst ? code : worst;
		fflush(stdout);
	}
	if (ferror(in))
		worst = cmd_fail(o, EXIT_TEMPORARY, "%s: %s", name, strerror(errno));
	free(line);
	if (in != stdin)
		fclose(in);
	return worst;
}

int cmd_skim(const struct options *o)
{
	const char *verb = o->args ? o->arg[0] : "list";
	bool acting = o->lock || o->release || o->delete || o->keep || o->why;
	if (!acting && strcmp(verb, "list") == 0 && o->args <= 1)
		return skim_list(o);
	if (!acting && strcmp(verb, "show") == 0 && o->args == 2)
		return skim_show(o, o->arg[1]);
	if (!acting && strcmp(verb, "replay") == 0 && o->args == 2)
		return replay_file(o, o->arg[1]);
	if (!acting && strcmp(verb, "login") == 0 && o->args <= 2)
		return feed_logins(o, o->args == 2 ? o->arg[1] : "-");
	int code = skim_act(o, verb);
	return code == EXIT_USAGE ? cmd_usage(o) : code;
}
