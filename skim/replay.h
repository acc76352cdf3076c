/* `postern skim replay`: past events through the rules, without a running suite; nothing is kept. */
#ifndef POSTERN_SKIM_REPLAY_H
#define POSTERN_SKIM_REPLAY_H
#include <stdio.h>

#include "lib/control.h"

struct replay_counts {
	unsigned long long lines, bad, events, reported[5]; /* by enum skim_action */
	size_t users;
};
/* Events from descriptor IN, one JSON object a line; decisions to OUT; one line for each bad event to COMPLAIN ("NAME:LINE: reason").
 * 0; E_SYNTAX: control/skim or geoip.mmdb is wrong; E_SYS: IN cannot be read, OUT cannot be written, no memory. */
MUST_CHECK int replay(struct replay_counts *counts, const struct control *c, int in, const char *name, FILE *out, FILE *complain, struct err *e);
#endif
