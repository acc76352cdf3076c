/* The parts of the operator's command `postern`: what its subcommands share. */
#ifndef POSTERN_CONTROL_CMD_H
#define POSTERN_CONTROL_CMD_H
#include <stdbool.h>
#include <stdio.h>

#include "lib/buf.h"
#include "lib/control.h"

#define EXIT_FAULT 1
#define EXIT_USAGE 100
#define EXIT_TEMPORARY 111

#define CMD_ARGS_MAX 1000 /* ids of messages; a command of the queue takes as many */

/* The command line, taken apart. */
struct options {
	const char *control, *state;
	bool json, dry_run, force, bytes;
	bool lock, release, delete, keep; /* of skim */
	const char *why;                 /* the same */
	const char *by;                  /* --by WORD */
	const char *verb;                /* the subcommand; NULL: none */
	const char *arg[CMD_ARGS_MAX + 1]; /* what follows it, NULL-ended */
	int args;
	bool help, version;
};
/* Options may stand before or after the subcommand; "--" ends them.  0, or E_SYNTAX with the reason in *E. */
MUST_CHECK int options_parse(struct options *o, int argc, char *const *argv, struct err *e);

/* Each subcommand: returns the exit code. */
int cmd_serve(const struct options *o);
int cmd_check(const struct options *o);
int cmd_door(const struct options *o);
int cmd_queue(const struct options *o);
int cmd_quarantine(const struct options *o);
int cmd_user(const struct options *o);
int cmd_skim(const struct options *o);
int cmd_manpage(const struct options *o);
int cmd_defaults(const struct options *o);

/* TEXT as mdoc text lines: escaped, filled, each sentence on a line of its own. */
void manpage_text(FILE *out, const char *text);
/* postern-log(5), from lib/events.def. */
void manpage_log(FILE *out);
void manpage_replies(FILE *out);

/* Say TEXT on standard error, "postern VERB: TEXT". */
int cmd_fail(const struct options *o, int exit_code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The short usage of one subcommand, on standard error; returns EXIT_USAGE. */
int cmd_usage(const struct options *o);

/* A table for people: the columns as wide as their widest cell, numbers to the right, the columns cut to the terminal (not cut
 * where the output is none).  Cells are copied; control characters in them become "?". */
#define TABLE_COLUMNS_MAX 12
struct table {
	const char *title[TABLE_COLUMNS_MAX];
	bool right[TABLE_COLUMNS_MAX];
	int columns;
	struct buf cells; /* each with a NUL behind it */
	size_t count;
};
#define TABLE_INIT ((struct table){.cells = BUF_INIT((size_t)1 << 30)})
void table_column(struct table *t, const char *title, bool right);
void table_cell(struct table *t, struct slice text);
void table_cell_format(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_print(struct table *t, FILE *out); /* and free it */
size_t table_rows(const struct table *t);

/* Bold on and off, where OUT is a terminal, else "". */
const char *tty_bold(FILE *out);
const char *tty_red(FILE *out);
const char *tty_plain(FILE *out);

/* "40 s", "12 min", "5 h", "3 d"; and "now", "in 12 min", "12 min ago". */
void words_span(char text[32], long long sec);
void words_when(char text[32], long long wall_sec, long long now_sec);
void words_octets(char text[32], long long octets);
/* TEXT with control characters replaced, to OUT. */
void print_clean(FILE *out, struct slice text);

/* A JSON text to standard output, and its last use. */
struct json_t;
int json_print(struct json_t *j);
struct json_t *json_slice(struct slice s); /* octets that are not UTF-8 become "?" */
#endif
