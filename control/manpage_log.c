/* postern-log(5), from the table of events: `postern manpage log`. */
#include <ctype.h>
#include <string.h>

#include "control/cmd.h"
#include "lib/log.h"

static const char head[] =
	".\\\" Generated from lib/events.def by `postern manpage log`.\n"
	".Dd November 22, 2026\n.Dt POSTERN-LOG 5\n.Os\n.Sh NAME\n.Nm postern-log\n.Nd log lines of Postern\n"
	".Sh DESCRIPTION\nEvery program of Postern writes lines of one form, which\n.Xr postern-supervise 8\nkeeps in\n.Pa STATE/log/current\n"
	"and copies to its standard error:\n"
	".Bd -literal -offset indent\ntime program[pid] id event key=value ...\n.Ed\n"
	".Bl -tag -width program\n"
	".It Ar time\nUTC, to the microsecond, as in\n.Li 2026-11-22T10:36:00.123456Z .\n"
	".It Ar program\nThe program's name without\n.Dq postern- ,\nand its process id.\n"
	".It Ar id\nThe message id: 13 characters, the same in the answer to the client,\n"
	"in every log line about the message and in the name of its file\nin the Maildir; a hyphen where the line is not about a message.\n"
	".It Ar event\nOne of those below.\nNothing else can be logged.\n"
	".It Ar key Ns = Ns Ar value\nThe keys of the event, in this order; one that does not apply may be missing.\n.El\n.Pp\n"
	"A value of printable ASCII without blank, quotation mark, backslash\nor equals sign stands as it is.\n"
	"Every other value is put in quotation marks, with\n.Ql \\e\\(dq ,\n.Ql \\e\\e\nand\n.Ql \\exHH ,\n"
	"so that text from outside can neither forge a line nor reach a terminal.\n"
	"Values are cut at 512 octets, lines at 2048.\n";

/* "door_deny" is printed "door-deny", as in the log. */
static void print_name(FILE *out, const char *name)
{
	for (; *name; name++)
		fputc(*name == '_' ? '-' : *name, out);
}

static void print_event(FILE *out, const struct log_event_info *e)
{
	struct slice key, keys = slice_str(e->keys);
	fputs(".It Sy ", out);
	print_name(out, e->name);
	while (slice_word(&key, &keys))
		fprintf(out, " Ar %.*s", SLICE_FMT(key));
	fputc('\n', out);
	char first[2] = {(char)toupper((unsigned char)e->meaning[0]), 0};
	struct buf text = BUF_INIT(4096);
	buf_add_str(&text, first);
	buf_add_str(&text, e->meaning[0] ? e->meaning + 1 : "");
	buf_add_str(&text, ".");
	buf_add_char(&text, 0);
	manpage_text(out, text.overflow ? e->meaning : text.p);
	buf_free(&text);
}

static bool seen_before(size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (strcmp(log_events[i].program, log_events[at].program) == 0)
			return true;
	return false;
}

static void print_section(FILE *out, const char *program)
{
	bool any = strcmp(program, "any") == 0;
	fprintf(out, ".Ss %s%s\n.Bl -tag -width Ds\n", any ? "All programs" : "postern-", any ? "" : program);
	for (size_t i = 0; i < EV_COUNT; i++)
		if (strcmp(log_events[i].program, program) == 0)
			print_event(out, &log_events[i]);
	fputs(".El\n", out);
}

void manpage_log(FILE *out)
{
	fputs(head, out);
	fputs(".Sh EVENTS\n", out);
	for (size_t i = 0; i < EV_COUNT; i++)
		if (!seen_before(i))
			print_section(out, log_events[i].program);
	fputs(".Sh EXAMPLES\nThe whole story of one message:\n.Dl grep 0f3k8m2q1x7zt STATE/log/current\n"
		".Sh SEE ALSO\n.Xr postern 8 ,\n.Xr postern-supervise 8\n", out);
}
