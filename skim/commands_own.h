/* What skim/commands*.c share.  Internal to them. */
#ifndef POSTERN_SKIM_COMMANDS_OWN_H
#define POSTERN_SKIM_COMMANDS_OWN_H
#include "skim/commands.h"

struct caller {
	struct command *cmd;
	struct engine *g;
	bool responds;
	int64_t now;
	commands_changed *changed;
	void *arg;
	struct buf row;
};

/* list and show; each ends the caller. */
void commands_list(struct caller *c);
void commands_show(struct caller *c);
void commands_fail(struct caller *c, const struct err *e);
static inline struct slice name_of(const struct user *u) { return slice_make(u->name, u->name_n); }
#endif
