/* The command line of `postern`.  getopt_long() is not used, because options may stand on both sides of the subcommand whatever the
 * environment says (POSIXLY_CORRECT). */
#include <string.h>

#include "control/cmd.h"

struct reader {
	int argc, at;
	char *const *argv;
};

/* The value of an option: the rest of the word ("-cDIR", "--control=DIR") or the next word. */
static int value_of(const char **out, struct reader *r, const char *name, const char *rest, const char *what, struct err *e)
{
	if (!*rest) {
		if (r->at == r->argc)
			return err_set(e, E_SYNTAX, "%s needs %s", name, what);
		rest = r->argv[r->at++];
	} else if (*rest == '=' && name[1] == '-') {
		rest++;
	}
	if (!*rest)
		return err_set(e, E_SYNTAX, "%s needs %s", name, what);
	*out = rest;
	return 0;
}

static int value(const char **out, struct reader *r, const char *name, const char *rest, struct err *e)
{
	return value_of(out, r, name, rest, "a folder", e);
}

/* Options without a value. */
static bool *flag(struct options *o, const char *word)
{
	const struct {
		const char *name;
		bool *to;
	} flags[] = {{"--json", &o->json}, {"--dry-run", &o->dry_run}, {"--force", &o->force}, {"--bytes", &o->bytes}, {"--lock", &o->lock}, {"--release", &o->release},
		{"--delete", &o->delete}, {"--keep", &o->keep}, {"--help", &o->help}, {"-h", &o->help}, {"--version", &o->version}, {"-V", &o->version}};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (strcmp(word, flags[i].name) == 0)
			return flags[i].to;
	return NULL;
}

static bool starts(const char *word, const char *name)
{
	return strncmp(word, name, strlen(name)) == 0;
}

static int option(struct options *o, struct reader *r, const char *word, struct err *e)
{
	bool *to = flag(o, word);
	if (to)
		*to = true;
	else if (strcmp(word, "--control") == 0 || starts(word, "--control="))
		return value(&o->control, r, "--control", word + strlen("--control"), e);
	else if (strcmp(word, "--state") == 0 || starts(word, "--state="))
		return value(&o->state, r, "--state", word + strlen("--state"), e);
	else if (strcmp(word, "--why") == 0 || starts(word, "--why="))
		return value_of(&o->why, r, "--why", word + strlen("--why"), "a reason", e);
	else if (strcmp(word, "--by") == 0 || starts(word, "--by="))
		return value_of(&o->by, r, "--by", word + strlen("--by"), "a word", e);
	else if (starts(word, "-c"))
		return value(&o->control, r, "-c", word + 2, e);
	else if (starts(word, "-s"))
		return value(&o->state, r, "-s", word + 2, e);
	else
		return err_set(e, E_SYNTAX, "there is no option %s", word);
	return 0;
}

static int argument(struct options *o, const char *word, struct err *e)
{
	if (!o->verb)
		o->verb = word;
	else if (o->args == CMD_ARGS_MAX)
		return err_set(e, E_SYNTAX, "more than %d arguments; xargs -n 500 runs a command as often as needed", CMD_ARGS_MAX);
	else
		o->arg[o->args++] = word;
	return 0;
}

int options_parse(struct options *o, int argc, char *const *argv, struct err *e)
{
	struct reader r = {argc, 1, argv};
	bool only_arguments = false;
	int rc = 0;
	*o = (struct options){.control = "/etc/postern", .state = "/var/lib/postern"};
	while (rc == 0 && r.at < argc) {
		const char *word = argv[r.at++];
		if (!only_arguments && strcmp(word, "--") == 0)
			only_arguments = true;
		else if (!only_arguments && word[0] == '-' && word[1])
			rc = option(o, &r, word, e);
		else
			rc = argument(o, word, e);
	}
	return rc;
}
