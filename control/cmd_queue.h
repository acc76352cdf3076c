/* Asking the queue, for the parts of `postern queue`. */
#ifndef POSTERN_CONTROL_CMD_QUEUE_H
#define POSTERN_CONTROL_CMD_QUEUE_H
#include "control/cmd.h"
#include "lib/command.h"

#define ROW_KEYS_MAX 64

struct row {
	struct slice cell[2 * ROW_KEYS_MAX]; /* key, value, key, value … */
	size_t count;
};
/* The value of KEY; empty (or 0) where there is none. */
struct slice row_get(const struct row *r, const char *key);
long long row_number(const struct row *r, const char *key);

/* Ask, and call EACH (may be NULL) for every row of the answer.  The exit code of the answer, its text in TEXT; what goes wrong on the way
 * is told on standard error. */
typedef void each_row(void *arg, const struct row *r);
int queue_ask(const struct options *o, const struct slice *args, size_t count, each_row *each, void *arg, char text[COMMAND_MAX]);
/* The same of another program, by STATE/run/PROGRAM.sock. */
int suite_ask(const struct options *o, const char *program, const struct slice *args, size_t count, each_row *each, void *arg, char text[COMMAND_MAX]);
/* The words after "queue" as a request to it; ids become one list.  0, or EXIT_USAGE (told).  Free .ids. */
struct queue_request {
	struct slice arg[COMMAND_ARGS_MAX];
	size_t count;
	struct buf ids;
	char by[80];
};
int queue_arguments(struct queue_request *r, const struct options *o);
/* A row kind=progress, on standard error where that is a terminal; and away with it. */
void queue_progress(const struct row *r);
void queue_progress_end(void);
/* A row as JSON, without its kind. */
struct json_t *queue_row_object(const struct row *r);
/* top and status (cmd_queue_status.c). */
int queue_top(const struct options *o);
int queue_status(const struct options *o);
/* list and show (cmd_queue_show.c). */
int queue_query(const struct options *o, const char *verb);
/* verify (cmd_queue_verify.c): reads a log offline. */
int queue_verify(const struct options *o);
/* export and import (cmd_queue_export.c). */
int queue_export(const struct options *o);
int queue_import(const struct options *o);
#endif
