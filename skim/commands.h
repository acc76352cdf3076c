/* Operators' commands to postern-skim (STATE/run/skim.sock): postern-skim(8), COMMANDS. */
#ifndef POSTERN_SKIM_COMMANDS_H
#define POSTERN_SKIM_COMMANDS_H
#include "lib/command.h"
#include "skim/rules.h"

/* Is told of each user whom a command changed, with the decision where it judged something (else NULL). */
typedef void commands_changed(void *arg, struct user *u, const struct decision *d);
/* RESPONDS: postern-respond runs.  Take one caller on LISTEN_FD and answer it.  Waits at most some seconds for a caller who is slow. */
void commands_serve(struct engine *g, bool responds, int listen_fd, commands_changed *changed, void *arg);
/* The same for a request that was read; ends the caller. */
void commands_answer(struct command *cmd, struct engine *g, bool responds, int64_t now, commands_changed *changed, void *arg);
#endif
