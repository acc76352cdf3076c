/* postern: the operator's command.  As whoever calls it; reads the control folder and speaks to the running suite's sockets, which check who
 * calls.  postern(8). */
#include "control/cmd.h"

#include <stdarg.h>
#include <string.h>

#include "control/privileges.h"
#include "fixup/explain.h"
#include "lib/program.h"

static int cmd_help(const struct options *o);
static int cmd_version(const struct options *o);
static int run_fixup(const struct options *o);
static int run_privileges(const struct options *o);

static const struct subcommand {
	const char *name, *usage, *what;
	int (*run)(const struct options *o);
	int least, most; /* arguments */
	bool hidden;
} subcommands[] = {
	{"serve", "", "run the whole suite in the foreground", cmd_serve, 0, 0, false},
	{"check", "", "check all control files, name every fault and doubt", cmd_check, 0, 0, false},
	{"queue", "[list] [KEY=VALUE ...] | show ID | top [--by WHAT] [KEY=VALUE ...] | status |\n"
		"       retry|release|delete WHICH [--dry-run] | bounce WHICH [because=TEXT] [--dry-run] |\n"
		"       hold WHICH [because=TEXT] [until=SPAN [then=release|bounce|delete]] [--dry-run] |\n"
		"       verify [FOLDER] [--bytes] | export WHICH >FILE | import <FILE\n"
		"       (WHICH: ID ..., all, or KEY=VALUE ... with sender, recipient, user, domain, host, client, class, state,\n"
		"       hold, owner, reason, older, newer)", "what waits and why; act on it", cmd_queue, 0, CMD_ARGS_MAX, false},
	{"quarantine", "list|show|release|delete [ID|all|KEY=VALUE ...] [--dry-run] [--force]", "what the scan policy holds back; release or delete it",
		cmd_quarantine, 0, CMD_ARGS_MAX, false},
	{"skim", "list | show USER|CODE | flag USER [--lock] --why TEXT | clear USER | restore USER [--release|--delete|--keep] |\n"
		"       retry USER | travel USER COUNTRY,... until YYYY-MM-DD | travel USER none | report USER | login [FILE] | replay FILE|-",
		"stolen accounts: who is suspected and why, what is done about it, giving back", cmd_skim, 0, CMD_ARGS_MAX, false},
	{"user", "ADDRESS", "what the directory says of an address and where its mail goes", cmd_user, 1, 1, false},
	{"door", "[ADDRESS [HOST]]", "how many clients there are; which line of tcp.smtp counts for one", cmd_door, 0, 2, false},
	{"privileges", "", "what each program may do, and whether the running ones hold to it", run_privileges, 0, 0, false},
	{"fixup", "ADDRESS", "what an address is rewritten to, and by which line", run_fixup, 1, 1, false},
	{"defaults", "DIR", "write commented default control files where there are none", cmd_defaults, 1, 1, false},
	{"help", "", "this list", cmd_help, 0, 0, false},
	{"version", "", "the version", cmd_version, 0, 0, false},
	{"manpage", "NAME", "print a generated manual page", cmd_manpage, 1, 1, true},
};
#define SUBCOMMANDS (sizeof subcommands / sizeof *subcommands)

static const struct subcommand *find(const char *name)
{
	for (size_t i = 0; i < SUBCOMMANDS; i++)
		if (name && strcmp(name, subcommands[i].name) == 0)
			return &subcommands[i];
	return NULL;
}

static void list(FILE *out)
{
	fprintf(out, "usage: postern COMMAND [ARGUMENT ...] [-c CONTROL] [-s STATE] [--json]\n\n");
	for (size_t i = 0; i < SUBCOMMANDS; i++)
		if (!subcommands[i].hidden)
			fprintf(out, "  %s%-10s%s %s\n", tty_bold(out), subcommands[i].name, tty_plain(out), subcommands[i].what);
	fprintf(out, "\nCONTROL is /etc/postern, STATE /var/lib/postern.  Exit codes: 0 yes or done, 1 no or fault found,\n"
		"100 wrong usage, 111 temporary failure.  The manual page is postern(8).\n");
}

static int cmd_help(const struct options *o)
{
	(void)o;
	list(stdout);
	return 0;
}

static int run_privileges(const struct options *o)
{
	return cmd_privileges(o->control, o->state, o->json);
}

static int cmd_version(const struct options *o)
{
	(void)o;
	printf("postern %s\n", POSTERN_VERSION);
	return 0;
}

static int run_fixup(const struct options *o)
{
	return cmd_fixup(o->control, o->arg[0], o->json);
}

int cmd_usage(const struct options *o)
{
	const struct subcommand *s = find(o->verb);
	if (s)
		fprintf(stderr, "usage: postern %s%s%s [-c CONTROL] [-s STATE] [--json]\n", s->name, s->usage[0] ? " " : "", s->usage);
	else
		list(stderr);
	return EXIT_USAGE;
}

int cmd_fail(const struct options *o, int exit_code, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	fprintf(stderr, "postern%s%s: ", o->verb ? " " : "", o->verb ? o->verb : "");
	vfprintf(stderr, format, ap);
	fputc('\n', stderr);
	va_end(ap);
	return exit_code;
}

static int run(const struct options *o)
{
	const struct subcommand *s = find(o->verb);
	if (o->version)
		return cmd_version(o);
	if (o->help) {
		if (!s)
			return cmd_help(o);
		printf("usage: postern %s%s%s\n%s\n", s->name, s->usage[0] ? " " : "", s->usage, s->what);
		return 0;
	}
	if (!s) {
		if (o->verb)
			cmd_fail(&(struct options){0}, 0, "there is no command %s", o->verb);
		return cmd_usage(o);
	}
	if (o->args < s->least || o->args > s->most)
		return cmd_usage(o);
	/* Not to be passed over by a command that would then act in earnest. */
	if ((o->dry_run && s->run != cmd_quarantine && s->run != cmd_queue) || (o->force && s->run != cmd_quarantine))
		return cmd_fail(o, EXIT_USAGE, "has no option --%s", o->dry_run ? "dry-run" : "force");
	if (o->bytes && (s->run != cmd_queue || !o->args || strcmp(o->arg[0], "verify") != 0))
		return cmd_fail(o, EXIT_USAGE, "has no option --bytes");
	if ((o->lock || o->release || o->delete || o->keep || o->why) && s->run != cmd_skim)
		return cmd_fail(o, EXIT_USAGE, "has no option --lock, --release, --delete, --keep or --why");
	if (o->by && s->run != cmd_queue)
		return cmd_fail(o, EXIT_USAGE, "has no option --by");
	return s->run(o);
}

int main(int argc, char **argv)
{
	struct options o;
	struct err e;
	if (options_parse(&o, argc, argv, &e) < 0) {
		cmd_fail(&o, 0, "%s", e.text);
		return cmd_usage(&o);
	}
	int code = run(&o);
	/* A listing that did not reach its reader is not done. */
	bool written = fflush(stdout) == 0 && !ferror(stdout);
	if (!written && (code != EXIT_TEMPORARY || o.json)) /* else that was said */
		return cmd_fail(&o, code ? code : EXIT_TEMPORARY, "the output could not be written");
	return code;
}
