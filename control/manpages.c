/* Manual pages and default files that are made from the tables of the code, so that they cannot say anything else: `postern manpage NAME`
 * prints mdoc, `postern defaults DIR` writes files. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cmd.h"
#include "lib/io.h"
#include "supervise/graph.h"

#define ROFF_PLACES 76

/* mdoc: a backslash anywhere, and a dot or quote at the beginning of a line, mean something; each sentence begins a line. */
void manpage_text(FILE *out, const char *text)
{
	struct slice word, rest = slice_str(text);
	size_t at = 0;
	bool sentence = false;
	while (slice_word(&word, &rest)) {
		if (at && (at + 1 + word.n > ROFF_PLACES || (sentence && word.p[0] >= 'A' && word.p[0] <= 'Z')))
			at = (fputc('\n', out), 0);
		if (at)
			fputc(' ', out);
		else if (word.p[0] == '.' || word.p[0] == '\'')
			fputs("\\&", out);
		for (size_t i = 0; i < word.n; i++)
			fputs(word.p[i] == '\\' ? "\\e" : (char[]){word.p[i], 0}, out);
		at += 1 + word.n;
		sentence = slice_ends(word, ".");
	}
	fputc('\n', out);
}

static const char *kind_words(const struct control_file *f)
{
	static const char *const words[] = {
		[CONTROL_NUMBER] = "One whole number", [CONTROL_WORD] = "One word", [CONTROL_TEXT] = "One line",
		[CONTROL_LINES] = "One entry per line", [CONTROL_BLOB] = "A file as it is", [CONTROL_FOLDER] = "A folder of files",
	};
	return words[f->kind];
}

static const char *default_words(const struct control_file *f)
{
	return !f->def ? NULL : strcmp(f->def, "=me") == 0 ? "the name in me" : f->def;
}

static void readers(FILE *out, const struct control_file *f)
{
	bool first = true;
	for (unsigned i = 0; i < graph_rows; i++)
		if (f->readers & BIT(graph[i].program)) {
			fprintf(out, "%s\n.Xr postern-%s 8", first ? "Read by" : " ,", graph[i].name);
			first = false;
		}
	if (f->readers & BIT(P_SUPERVISE))
		fprintf(out, "%s\n.Xr postern-supervise 8", first ? "Read by" : " ,");
	fputs(first && !(f->readers & BIT(P_SUPERVISE)) ? "" : " .\n", out);
}

static void file_entry(FILE *out, const struct control_file *f)
{
	fprintf(out, ".It Pa %s\n", f->name);
	manpage_text(out, f->help);
	fprintf(out, "%s", kind_words(f));
	if (f->kind == CONTROL_NUMBER)
		fprintf(out, " of %s, %lld to %lld", f->unit, f->least, f->most);
	if (default_words(f))
		fprintf(out, "; the default is %s", default_words(f));
	fputs(".\n", out);
	readers(out, f);
}

static const char control_head[] =
	".\\\" Generated from control/files.def by `postern manpage control`.\n"
	".Dd November 22, 2026\n.Dt POSTERN-CONTROL 5\n.Os\n.Sh NAME\n.Nm postern-control\n.Nd control files of Postern\n"
	".Sh DESCRIPTION\nPostern is configured by plain text files in one folder, usually\n.Pa /etc/postern .\n"
	"Each holds one setting, or one entry per line.\n"
	"A line that begins with\n.Ql #\nis a comment; blanks at both ends of a line and empty lines are passed over.\n"
	"A file that is absent means the default.\nA wrong value never does: nothing starts with it\n"
	"(or, on reload, the former settings stay), and file, line and reason are named;\n.Ic postern check\nnames all of them.\n"
	"README, hidden files and editors' copies are passed over;\nother unknown names are reported.\n.Pp\n"
	"There is no compile step.\nAfter a change, send SIGHUP to\n.Xr postern-supervise 8 .\n"
	".Sh FILES\n.Bl -tag -width Ds\n";
static const char control_tail[] =
	".El\n.Sh SEE ALSO\n.Xr postern-directory 5 ,\n.Xr postern 8 ,\n.Xr postern-supervise 8\n";

static void page_control(FILE *out)
{
	fputs(control_head, out);
	for (size_t i = 0; i < C_COUNT; i++)
		file_entry(out, &control_files[i]);
	fputs(control_tail, out);
}

static const struct {
	const char *name;
	void (*print)(FILE *out);
} pages[] = {
	{"control", page_control},
	{"log", manpage_log},
	{"replies", manpage_replies},
};

int cmd_manpage(const struct options *o)
{
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
		if (strcmp(o->arg[0], pages[i].name) == 0) {
			pages[i].print(stdout);
			return 0;
		}
	return cmd_fail(o, EXIT_USAGE, "there is no generated page %s", o->arg[0]);
}

/* TEXT as comment lines of at most 78 places. */
static void comment(struct buf *b, const char *text)
{
	struct slice word, rest = slice_str(text);
	size_t at = 0;
	while (slice_word(&word, &rest)) {
		if (at == 0 || at + 1 + word.n > 78) {
			buf_add_str(b, at ? "\n#" : "#");
			at = 1;
		}
		buf_add_char(b, ' ');
		buf_add_slice(b, word);
		at += 1 + word.n;
	}
	buf_add_char(b, '\n');
}

/* What stands in a default file; false for a file whose mere presence means something. */
static bool default_content(struct buf *b, const struct control_file *f, const char *me)
{
	const char *domain = strchr(me, '.');
	comment(b, f->help);
	if (f->kind == CONTROL_NUMBER)
		buf_add_format(b, "# %s, %lld to %lld; this is the default:\n", f->unit, f->least, f->most);
	if (strcmp(f->name, "me") == 0)
		buf_add_format(b, "%s\n", me);
	else if (strcmp(f->name, "locals") == 0)
		buf_add_format(b, "%s\n", domain && strchr(domain + 1, '.') ? domain + 1 : me);
	else if (f->kind == CONTROL_LINES && strcmp(f->name, "rcpthosts") == 0)
		return true;
	else if (f->def && strcmp(f->def, "=me") != 0)
		buf_add_format(b, "%s\n", f->def);
	else
		return false;
	return true;
}

/* Never over a file that is there.  1 written, 0 was there, E_SYS. */
static int write_new(int dir, const char *dir_name, const char *name, const struct buf *content, struct err *e)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno == EEXIST ? 0 : err_sys(e, "%s/%s", dir_name, name);
	int rc = io_pwrite_all(fd, content->p, content->n, 0, e);
	if (close(fd) < 0 && rc == 0)
		rc = err_sys(e, "%s/%s", dir_name, name);
	if (rc < 0)
		unlinkat(dir, name, 0);
	return rc < 0 ? rc : 1;
}

/* All files and what they mean, those without a default file too. */
static void readme(struct buf *b)
{
	buf_add_str(b, "Control files of Postern.  postern-control(5) has more; `postern check` names what is wrong.\n");
	for (size_t i = 0; i < C_COUNT; i++) {
		const struct control_file *f = &control_files[i];
		buf_add_format(b, "\n%s\n", f->name);
		buf_add_format(b, "\t%s\n", f->help);
		if (default_words(f))
			buf_add_format(b, "\tDefault: %s %s\n", default_words(f), f->unit);
	}
}

static void host_name(char me[256])
{
	if (gethostname(me, 255) < 0 || !me[0])
		snprintf(me, 256, "localhost");
	me[255] = 0;
}

static int write_defaults(int dir, const char *name, int *written, struct err *e)
{
	struct buf b = BUF_INIT(1 << 20);
	char me[256];
	host_name(me);
	readme(&b);
	int rc = write_new(dir, name, "README", &b, e);
	for (size_t i = 0; rc >= 0 && i < C_COUNT; i++) {
		buf_reset(&b);
		if (default_content(&b, &control_files[i], me) && (rc = write_new(dir, name, control_files[i].name, &b, e)) > 0)
			++*written;
	}
	buf_free(&b);
	return rc;
}

int cmd_defaults(const struct options *o)
{
	struct err e;
	int written = 0;
	if (mkdir(o->arg[0], 0755) < 0 && errno != EEXIST)
		return cmd_fail(o, EXIT_TEMPORARY, "%s: %s", o->arg[0], strerror(errno));
	int dir = open(o->arg[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return cmd_fail(o, EXIT_TEMPORARY, "%s: %s", o->arg[0], strerror(errno));
	int rc = write_defaults(dir, o->arg[0], &written, &e);
	close(dir);
	if (rc < 0)
		return cmd_fail(o, EXIT_TEMPORARY, "%s", e.text);
	printf("%d files written to %s; what else there is stands in %s/README\n", written, o->arg[0], o->arg[0]);
	return 0;
}
