/* Checks of the control files: the frame.  Runs as whoever calls it (root in the supervisor and for most operators), over files that
 * only root should be able to write; their content is still parsed by the same bounded parsers that serve the programs. */
#include "control/lint.h"

#include <stdarg.h>
#include <stdio.h>

/* "FILE:LINE: reason", as control_fault() writes it. */
static void found(struct lint *l, bool warning, const char *file, int line, const char *format, va_list ap)
{
	char text[sizeof ((struct err *)0)->text];
	int n = line ? snprintf(text, sizeof text, "%s:%d: ", file, line) : snprintf(text, sizeof text, "%s: ", file);
	if (n >= 0 && (size_t)n < sizeof text)
		vsnprintf(text + n, sizeof text - (size_t)n, format, ap);
	struct err e;
	err_set(&e, E_SYNTAX, "%s", text);
	if (!warning && l->faults == 0 && l->first)
		*l->first = e;
	*(warning ? &l->warnings : &l->faults) += 1;
	if (l->report)
		l->report(l->arg, warning, e.text);
}

void lint_fault(struct lint *l, enum control_id id, int line, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	found(l, false, control_files[id].name, line, format, ap);
	va_end(ap);
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
