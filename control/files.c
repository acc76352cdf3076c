/* The table of control files, from control/files.def: one row per file, in the order of enum control_id.  Data alone; every program
 * links it. */
#include "lib/control.h"
#include "supervise/graph.h"

const struct control_file control_files[C_COUNT] = {
#define CONTROL(ident, name, kind, def, least, most, unit, readers, help) \
	{name, kind, def, least, most, unit, readers, help},
#include "control/files.def"
#undef CONTROL
};
