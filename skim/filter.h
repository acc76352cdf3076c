/* postern-skim as QMAILQUEUE in an existing qmail (`qmail-skim`, or postern-skim --filter): postern-skim(8), FILTER. */
#ifndef POSTERN_SKIM_FILTER_H
#define POSTERN_SKIM_FILTER_H
#include <stdbool.h>

#include "lib/err.h"
#include "skim/rules.h"

/* Where it finds things; from the environment. */
struct filter_places {
	const char *conf, *control, *state, *queue; /* QMAILSKIMCONF, QMAILSKIMCONTROL, QMAILSKIMSTATE, QMAILSKIMQUEUE or their defaults */
};
struct filter_places filter_places(void);
/* Settings, places and an empty history.  0; E_NOT_FOUND: there is no configuration, nothing is checked; others with the reason. */
MUST_CHECK int filter_engine(struct engine *g, const struct filter_places *p, struct err *e);

/* Was the program started for this? */
bool filter_named(int argc, char *const *argv);
/* The exit code, or it has become the real qmail-queue. */
int filter_run(int argc, char *const *argv);
/* filter_desk.c: list, flag, lock, clear, restore, travel on the same history. */
int filter_desk(int argc, char *const *argv);
#endif
