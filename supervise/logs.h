/* What makes a line from a program a log line of that program. */
#ifndef POSTERN_SUPERVISE_LOGS_H
#define POSTERN_SUPERVISE_LOGS_H
#include "lib/slice.h"

/* LINE (without LF) begins `YYYY-MM-DDTHH:MM:SS.ffffffZ PROGRAM[pid] ` and is printable ASCII.  Linear, never blocks. */
bool log_line_of(struct slice line, const char *program);
/* `syscall-refused NUMBER`, as lib/seccomp.c writes it; *NUMBER is set when it is. */
bool log_line_refused(long long *number, struct slice line);
#endif
