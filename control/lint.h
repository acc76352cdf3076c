/* Checks of the control files that go beyond one value: the grammar of each line, what files say about each other, file modes, names
 * in the folder that mean something elsewhere but not here.  `postern check` prints what is found, the supervisor refuses to start
 * (or to reload) with a fault. */
#ifndef POSTERN_CONTROL_LINT_H
#define POSTERN_CONTROL_LINT_H
#include "lib/control.h"

/* Told of each finding: "FOLDER/FILE:LINE: reason" (without line where none is meant), one printable line that says what to do.  A warning never stops the
 * suite. */
typedef void lint_report(void *arg, bool warning, const char *text);

/* Check all that C holds (read by control_read() with all readers) and the names in its folder.  Reports every finding; REPORT may be
 * NULL.  Reads the folder again for names and modes; a folder that cannot be listed is a warning.  Blocks on files only.
 * 0, or E_SYNTAX with the first fault in *E. */
MUST_CHECK int control_lint(const struct control *c, struct err *e, lint_report *report, void *arg);

/* What the checkers use to report; internal to control/lint*.c. */
struct lint {
	const struct control *c;
	struct err *first; /* the first fault; may be NULL */
	lint_report *report;
	void *arg;
	unsigned faults, warnings;
	bool faulty[C_COUNT]; /* by lint_lines(): not to be believed by lint_across() */
};
void lint_fault(struct lint *l, enum control_id id, int line, const char *format, ...) __attribute__((format(printf, 4, 5)));
void lint_fault_text(struct lint *l, const char *text); /* with "FOLDER/FILE:LINE: " already in it */
void lint_fault_in(struct lint *l, enum control_id id, const char *text); /* with "LINE: " or " " already at its beginning */
void lint_warning(struct lint *l, const char *file, int line, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The parts, in the order in which they run. */
void lint_lines(struct lint *l);  /* every line by its grammar (lint_lines.c) */
void lint_across(struct lint *l); /* what files say about each other (lint_across.c) */
void lint_auth(struct lint *l);   /* who can log in (lint_auth.c); called by lint_across() */
void lint_rules(struct lint *l);  /* what tcprules text allows (lint_rules.c); called by lint_across() */
void lint_names(struct lint *l);  /* names and modes in the folder (lint_names.c) */
#endif
