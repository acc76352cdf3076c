/* Text in the INI format of qmail-skim.conf, as Perl's Config::IniFiles reads it without its extensions: "[section]", "key=value"
 * with the blanks around both dropped, comment lines that begin with "#" or ";".  A key may stand several times. */
#ifndef POSTERN_SKIM_INI_H
#define POSTERN_SKIM_INI_H
#include "lib/err.h"

#define INI_LINE_MAX 4096
#define INI_LINES_MAX 200000

struct ini {
	struct slice rest;
	struct slice section; /* as written, without blanks at the ends; empty before the first */
	struct slice key, value;
	int line;             /* of the entry, from 1 */
};
/* Start with {.rest = text}.  1: the next entry is in .section, .key, .value; 0: end; E_SYNTAX, E_TOO_LONG with a reason (no file, no line:
 * .line says where).  Slices borrow from the text. */
MUST_CHECK int ini_next(struct ini *ini, struct err *e);
#endif
