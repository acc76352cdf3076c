/* Checks of the control files: the frame.  Runs as whoever calls it (root in the supervisor and for most operators), over files that
 * only root should be able to write; their content is still parsed by the same bounded parsers that serve the programs. */
#include "control/lint.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/buf.h"

#define TEXT_MAX 600

static void tell(struct lint *l, bool warning, const char *text)
{
	struct err e;
	err_set(&e, E_SYNTAX, "%s", text);
	if (!warning && l->faults == 0 && l->first)
		*l->first = e;
	*(warning ? &l->warnings : &l->faults) += 1;
	if (l->report)
		l->report(l->arg, warning, text);
}

/* "FOLDER/FILE:LINE: reason", as control_fault() writes it. */
static void found(struct lint *l, bool warning, const char *file, int line, const char *format, va_list ap)
{
	struct buf b = BUF_INIT(TEXT_MAX);
	char reason[300];
	vsnprintf(reason, sizeof reason, format, ap);
	buf_add_format(&b, "%s/%s:", l->c->dir, file);
	if (line)
		buf_add_format(&b, "%d:", line);
	buf_add_format(&b, " %s", reason);
	for (size_t i = 0; i < b.n; i++)
		if ((unsigned char)b.p[i] < 0x20 || b.p[i] == 0x7f)
			b.p[i] = '?';
	buf_add_char(&b, 0);
	tell(l, warning, b.overflow ? reason : b.p);
	buf_free(&b);
}

void lint_fault(struct lint *l, enum control_id id, int line, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	found(l, false, control_files[id].name, line, format, ap);
	va_end(ap);
}

void lint_fault_text(struct lint *l, const char *text)
{
	tell(l, false, text);
}

void lint_fault_in(struct lint *l, enum control_id id, const char *text)
{
	struct buf b = BUF_INIT(TEXT_MAX);
	buf_add_format(&b, "%s/%s:%s", l->c->dir, control_files[id].name, text);
	buf_add_char(&b, 0);
	tell(l, false, b.overflow ? text : b.p);
	buf_free(&b);
}

void lint_warning(struct lint *l, const char *file, int line, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	found(l, true, file, line, format, ap);
	va_end(ap);
}

int control_lint(const struct control *c, struct err *e, lint_report *report, void *arg)
{
	struct lint l = {.c = c, .first = e, .report = report, .arg = arg};
	lint_lines(&l);
	lint_across(&l);
	lint_names(&l);
	return l.faults ? E_SYNTAX : 0;
}
