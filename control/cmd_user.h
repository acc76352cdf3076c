/* What `postern user` found out, for those who print it. */
#ifndef POSTERN_CONTROL_CMD_USER_H
#define POSTERN_CONTROL_CMD_USER_H
#include "control/cmd.h"
#include "deliver/route.h"
#include "directory/query.h"

struct user {
	const struct options *o;
	struct control control;
	struct slice asked;         /* as given */
	struct buf address, space, targets;
	enum directory_verdict verdict;
	char text[DIRECTORY_TEXT_MAX];
	struct directory_entry entry;
	bool has_entry, relayed;
	pid_t child;
	int sock;
};

/* cmd_user_print.c.  The JSON one returns 0 or an exit code. */
void user_print(const struct user *u);
int user_print_json(const struct user *u);
#endif
