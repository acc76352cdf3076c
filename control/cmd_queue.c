/* postern queue: what waits and why, and what to do about it.  Speaks to STATE/run/queue.sock (postern-queue(8), COMMANDS), which checks
 * who calls.  What it answers is shown as it is, control characters aside. */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/cmd.h"
#include "lib/command.h"
#include "lib/io.h"

#define ROW_KEYS_MAX 64
#define ANSWER_MSEC 30000
#define IDS_MAX 1000000 /* acted on in one go */

struct row {
	struct slice cell[2 * ROW_KEYS_MAX]; /* key, value, key, value … */
	size_t count;
};

static struct slice get(const struct row *r, const char *key)
{
	for (size_t i = 0; i + 1 < r->count; i += 2)
		if (slice_eq_str(r->cell[i], key))
			return r->cell[i + 1];
	return slice_make("", 0);
}

static long long get_number(const struct row *r, const char *key)
{
	long long v = 0;
	(void)!slice_number(&v, get(r, key), LLONG_MIN + 1, LLONG_MAX);
	return v;
}

/* Ask, and call EACH for every row of the answer; the exit code of the answer, its text in TEXT. */
typedef void each_row(void *arg, const struct row *r);

static int ask_queue(const struct options *o, const struct slice *args, size_t count, each_row *each, void *arg, char text[COMMAND_MAX])
{
	static char space[COMMAND_MAX];
	char path[PATH_MAX];
	struct row r;
	struct err e;
	int fd, code = EXIT_TEMPORARY, rc;
	text[0] = 0;
	if ((size_t)snprintf(path, sizeof path, "%s/run/queue.sock", o->state) >= sizeof path)
		return cmd_fail(o, EXIT_USAGE, "the state folder's name is too long");
	if ((rc = command_call(&fd, path, args, count, &e)) < 0)
		return cmd_fail(o, EXIT_TEMPORARY, "%s", e.text);
	while ((rc = command_next(fd, space, r.cell, 2 * ROW_KEYS_MAX, &r.count, &code, deadline_in(ANSWER_MSEC), &e)) == 0)
		if (each)
			each(arg, &r);
	close(fd);
	if (rc < 0)
		return cmd_fail(o, EXIT_TEMPORARY, "the queue's answer broke off: %s", e.text);
	snprintf(text, COMMAND_MAX, "%.*s", SLICE_FMT(r.cell[0]));
	return code;
}

/* Keys that are numbers in JSON. */
static json_t *as_json(struct slice key, struct slice value)
{
	static const char *const numbers[] = {"time", "size", "attempts", "next", "hold_until", "waiting", "number"};
	long long v;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (slice_eq_str(key, numbers[i]) && slice_number(&v, value, LLONG_MIN + 1, LLONG_MAX) == 0)
			return json_integer(v);
	return json_slice(value);
}

static json_t *row_object(const struct row *r)
{
	json_t *j = json_object();
	char key[64];
	for (size_t i = 0; i + 1 < r->count; i += 2)
		if (!slice_eq_str(r->cell[i], "kind") && slice_copy(key, sizeof key, r->cell[i]) == 0)
			json_object_set_new(j, key, as_json(r->cell[i], r->cell[i + 1]));
	return j;
}

/* A message's rows become one object, with lists of its recipients and header lines. */
static void collect(void *arg, const struct row *r)
{
	json_t *list = arg, *last = json_array_get(list, json_array_size(list) - 1);
	struct slice kind = get(r, "kind");
	if (slice_eq_str(kind, "recipient") && last) {
		json_array_append_new(json_object_get(last, "recipients"), row_object(r));
	} else if (slice_eq_str(kind, "header") && last) {
		if (!json_object_get(last, "header"))
			json_object_set_new(last, "header", json_array());
		json_array_append_new(json_object_get(last, "header"), json_slice(get(r, "text")));
	} else {
		json_t *j = row_object(r);
		json_object_set_new(j, "recipients", json_array());
		json_array_append_new(list, j);
	}
}

static const char *next_words(char text[32], const struct row *r, long long now)
{
	long long next = get_number(r, "next");
	if (slice_eq_str(get(r, "state"), "held"))
		return "held";
	if (slice_eq_str(get(r, "state"), "delivering") || next == 0)
		return "being delivered";
	words_when(text, next > now ? next : now, now);
	return text;
}

/* One line for each message: its first recipient, and how many more. */
struct listing {
	struct table table;
	long long now;
	bool open;              /* a message's line lacks its recipients, next and reason */
	char next[32], rcpt[330];
	struct buf reason;
	long long waiting;
};

static void close_line(struct listing *l)
{
	if (!l->open)
		return;
	table_cell_format(&l->table, l->waiting > 1 ? "%.320s +%lld" : "%.320s", l->rcpt, l->waiting - 1);
	table_cell(&l->table, slice_str(l->next));
	table_cell(&l->table, buf_slice(&l->reason));
	l->open = false;
}

static void open_line(struct listing *l, const struct row *r)
{
	char text[32];
	table_cell(&l->table, get(r, "id"));
	words_span(text, l->now - get_number(r, "time"));
	table_cell(&l->table, slice_str(text));
	words_octets(text, get_number(r, "size"));
	table_cell(&l->table, slice_str(text));
	table_cell(&l->table, get(r, "sender").n ? get(r, "sender") : slice_str("<>"));
	snprintf(l->next, sizeof l->next, "%s", next_words(text, r, l->now));
	buf_reset(&l->reason);
	buf_add_slice(&l->reason, get(r, get(r, "hold").n ? "hold" : "reason"));
	l->waiting = get_number(r, "waiting");
	l->rcpt[0] = 0;
	l->open = true;
}

static void list_row(void *arg, const struct row *r)
{
	struct listing *l = arg;
	if (slice_eq_str(get(r, "kind"), "message")) {
		close_line(l);
		open_line(l, r);
	} else if (l->open && !l->rcpt[0]) {
		(void)!slice_copy(l->rcpt, sizeof l->rcpt, get(r, "address"));
	}
}

static int list(const struct options *o, const struct slice *args, size_t count)
{
	static const char *const titles[] = {"ID", "AGE", "SIZE", "SENDER", "RECIPIENTS", "NEXT ATTEMPT", "REASON"};
	struct listing l = {.table = TABLE_INIT, .now = time(NULL), .reason = BUF_INIT(COMMAND_MAX)};
	static char text[COMMAND_MAX];
	for (int i = 0; i < 7; i++)
		table_column(&l.table, titles[i], i == 1 || i == 2);
	int code = ask_queue(o, args, count, list_row, &l, text);
	close_line(&l);
	if (code == 0 && table_rows(&l.table) == 0)
		puts(count > 1 ? "no message matches" : "the queue is empty");
	else if (code == 0)
		table_print(&l.table, stdout);
	else if (text[0])
		cmd_fail(o, code, "%s", text);
	buf_free(&l.table.cells);
	buf_free(&l.reason);
	return code;
}

struct showing {
	struct table rcpt;
	struct buf header;
	long long now;
	bool shown;
};

static void show_message(const struct row *r, long long now)
{
	char when[32];
	for (size_t i = 0; i + 1 < r->count; i += 2) {
		if (slice_eq_str(r->cell[i], "kind") || r->cell[i + 1].n == 0)
			continue;
		printf("%-12.*s ", SLICE_FMT(r->cell[i]));
		print_clean(stdout, r->cell[i + 1]);
		long long v = get_number(&(struct row){{r->cell[i], r->cell[i + 1]}, 2}, "time");
		if (!v)
			v = get_number(&(struct row){{r->cell[i], r->cell[i + 1]}, 2}, "next");
		if (v) {
			words_when(when, v, now);
			printf(" (%s)", when);
		}
		putchar('\n');
	}
}

static void show_row(void *arg, const struct row *r)
{
	struct showing *s = arg;
	struct slice kind = get(r, "kind");
	if (slice_eq_str(kind, "message")) {
		show_message(r, s->now);
		s->shown = true;
	} else if (slice_eq_str(kind, "recipient")) {
		table_cell(&s->rcpt, get(r, "number"));
		table_cell(&s->rcpt, get(r, "address"));
		table_cell(&s->rcpt, get(r, "state"));
		table_cell(&s->rcpt, get(r, "destination"));
		table_cell(&s->rcpt, get(r, "reason"));
	} else {
		buf_add_str(&s->header, "  ");
		buf_add_slice(&s->header, get(r, "text"));
		buf_add_char(&s->header, '\n');
	}
}

static void show_rest(struct showing *s)
{
	struct slice line, rest = buf_slice(&s->header);
	putchar('\n');
	table_print(&s->rcpt, stdout);
	putchar('\n');
	while (rest.n && slice_cut(&line, &rest, '\n')) {
		print_clean(stdout, line);
		putchar('\n');
	}
}

static int show(const struct options *o, const struct slice *args, size_t count)
{
	static const char *const titles[] = {"NO", "RECIPIENT", "STATE", "DESTINATION", "REASON"};
	static char text[COMMAND_MAX];
	struct showing s = {.rcpt = TABLE_INIT, .header = BUF_INIT(1 << 21), .now = time(NULL)};
	for (int i = 0; i < 5; i++)
		table_column(&s.rcpt, titles[i], i == 0);
	int code = ask_queue(o, args, count, show_row, &s, text);
	if (code == 0 && s.shown)
		show_rest(&s);
	else if (text[0])
		cmd_fail(o, code, "%s", text);
	buf_free(&s.rcpt.cells);
	buf_free(&s.header);
	return code;
}

static int list_json(const struct options *o, const struct slice *args, size_t count, bool one)
{
	static char text[COMMAND_MAX];
	json_t *all = json_array();
	int code = ask_queue(o, args, count, collect, all, text);
	if (code != 0) {
		json_decref(all);
		return text[0] ? cmd_fail(o, code, "%s", text) : code;
	}
	json_t *out = one && json_array_size(all) ? json_incref(json_array_get(all, 0)) : json_incref(all);
	json_decref(all);
	return json_print(out);
}

static void note_id(void *arg, const struct row *r)
{
	if (slice_eq_str(get(r, "kind"), "message")) {
		buf_add_slice(arg, get(r, "id"));
		buf_add_char(arg, '\n');
	}
}

/* The verb for each id of IDS, one a line.  Where they were found BY_CONDITION, one that has moved on meanwhile is no failure. */
static int act_on_each(const struct options *o, const char *verb, struct slice ids, struct slice reason, bool by_condition)
{
	static char text[COMMAND_MAX];
	struct slice id;
	int worst = 0, done = 0;
	for (int n = 0; n < IDS_MAX && ids.n && slice_cut(&id, &ids, '\n'); n++) {
		struct slice args[3] = {slice_str(verb), id, reason};
		if (id.n == 0)
			continue;
		int code = ask_queue(o, args, reason.n ? 3 : 2, NULL, NULL, text);
		if (code == 0)
			done++;
		if (code == 0 || (code == EXIT_FAULT && by_condition))
			continue;
		if (text[0])
			cmd_fail(o, code, "%.*s: %s", SLICE_FMT(id), text);
		worst = code > worst ? code : worst;
	}
	if (o->json)
		return json_print(json_pack("{s:s, s:i}", "action", verb, "messages", done)) ? EXIT_TEMPORARY : worst;
	printf("%s: %d message%s\n", verb, done, done == 1 ? "" : "s");
	return worst;
}

static bool is_condition(const char *arg)
{
	static const char *const keys[] = {"id=", "sender=", "user=", "recipient=", "domain=", "hold="};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strncmp(arg, keys[i], strlen(keys[i])) == 0)
			return true;
	return false;
}

/* Ids by condition ("all": none), asked for before anything is done. */
static int ids_matching(struct buf *ids, const struct options *o, const struct slice *conditions, size_t count)
{
	static char text[COMMAND_MAX];
	struct slice args[CMD_ARGS_MAX + 1] = {slice_str("list")};
	for (size_t i = 0; i < count; i++)
		args[i + 1] = conditions[i];
	int code = ask_queue(o, args, count + 1, note_id, ids, text);
	return code ? code : 0;
}

/* Arguments: ids, or "all", or conditions; for hold, a last argument reason=TEXT. */
static int act(const struct options *o, const char *verb)
{
	struct slice conditions[CMD_ARGS_MAX], reason = {"", 0};
	struct buf ids = BUF_INIT((size_t)IDS_MAX * 16);
	size_t count = 0;
	bool by_condition = false;
	for (int i = 1; i < o->args; i++) {
		if (strcmp(verb, "hold") == 0 && strncmp(o->arg[i], "reason=", 7) == 0) {
			reason = slice_str(o->arg[i] + 7);
		} else if (is_condition(o->arg[i])) {
			conditions[count++] = slice_str(o->arg[i]);
			by_condition = true;
		} else if (strcmp(o->arg[i], "all") == 0) {
			by_condition = true;
		} else {
			buf_add_format(&ids, "%s\n", o->arg[i]);
		}
	}
	int code = 0;
	if (!by_condition && ids.n == 0)
		code = cmd_usage(o);
	else if (by_condition && ids.n)
		code = cmd_fail(o, EXIT_USAGE, "give ids, or conditions, not both");
	else if (by_condition)
		code = ids_matching(&ids, o, conditions, count);
	if (code == 0)
		code = act_on_each(o, verb, buf_slice(&ids), reason, by_condition);
	buf_free(&ids);
	return code;
}

static int query(const struct options *o, const char *verb)
{
	struct slice args[CMD_ARGS_MAX] = {slice_str(verb)};
	bool showing = strcmp(verb, "show") == 0;
	for (int i = 1; i < o->args; i++) {
		if (!showing && !is_condition(o->arg[i]))
			return cmd_fail(o, EXIT_USAGE, "%s is not a condition; they are id=, sender=, user=, recipient=, domain=, hold=", o->arg[i]);
		args[i] = slice_str(o->arg[i]);
	}
	if (showing && o->args != 2)
		return cmd_usage(o);
	size_t count = o->args > 1 ? (size_t)o->args : 1;
	if (o->json)
		return list_json(o, args, count, showing);
	return showing ? show(o, args, count) : list(o, args, count);
}

int cmd_queue(const struct options *o)
{
	static const char *const actions[] = {"retry", "hold", "release", "delete"};
	const char *verb = o->args ? o->arg[0] : "list";
	if (strcmp(verb, "list") == 0 || strcmp(verb, "show") == 0)
		return query(o, verb);
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (strcmp(verb, actions[i]) == 0)
			return act(o, actions[i]);
	return cmd_usage(o);
}
