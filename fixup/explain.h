/* What the rules make of an address: a dry run for people. */
#ifndef POSTERN_FIXUP_EXPLAIN_H
#define POSTERN_FIXUP_EXPLAIN_H
#include <stdbool.h>

/* `postern fixup ADDRESS`: read CONTROL_DIR and print what ADDRESS becomes and by which file and line.
 * Exit code: 0, 1 (a control file is wrong), 100 (not an address), 111 (could not read). */
int cmd_fixup(const char *control_dir, const char *address, bool json);
#endif
