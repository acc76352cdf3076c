/* The parts of `postern skim`. */
#ifndef POSTERN_CONTROL_CMD_SKIM_H
#define POSTERN_CONTROL_CMD_SKIM_H
#include "control/cmd_queue.h"

int skim_ask(const struct options *o, const struct slice *args, size_t count, each_row *each, void *arg, char text[COMMAND_MAX]);
/* Does PROGRAM have a socket for operators in the running suite? */
bool suite_has(const struct options *o, const char *program);
/* cmd_skim_show.c */
int skim_list(const struct options *o);
int skim_show(const struct options *o, const char *key);
/* All that is known of one user, as the JSON text that --json prints; words for people are made from it. */
struct known {
	struct json_t *user;                              /* NULL: not known */
	struct json_t *evidence, *logins, *sent, *limits, *held, *actions;
	bool responds;                                    /* postern-respond runs */
};
/* cmd_skim_print.c: all of it; what to do next; the text of a member, "" where there is none. */
void skim_print(const struct known *k);
void skim_advice(char text[800], const struct known *k);
const char *json_text(const struct json_t *j, const char *key);
/* cmd_skim_act.c: flag, clear, restore, travel, report; EXIT_USAGE without a word where the arguments fit none of them. */
int skim_act(const struct options *o, const char *verb);
/* "2026-11-22T14:00:00Z" */
void time_text(char text[32], long long sec);
#endif
