/* postern quarantine: asking STATE/run/quarantine.sock (postern-quarantine(8)) and acting on messages by id or by condition.  What came from outside is
 * shown with control characters replaced. */
#include <jansson.h>
#include <string.h>
#include <time.h>

#include "control/cmd_queue.h"

#define IDS_MAX 1000000 /* acted on in one go */

static int ask(const struct options *o, const struct slice *args, size_t count, each_row *each, void *arg, char text[COMMAND_MAX])
{
	return suite_ask(o, "quarantine", args, count, each, arg, text);
}

static bool is_kind(const struct row *r, const char *kind)
{
	return slice_eq_str(row_get(r, "kind"), kind);
}

static json_t *score_json(const struct row *r)
{
	return row_get(r, "milli").n ? json_real((double)row_number(r, "milli") / 1000) : json_null();
}

static json_t *message_json(const struct row *r)
{
	static const char *const texts[] = {"id", "from", "to", "subject", "reason", "cause", "state", "release_id"};
	static const char *const numbers[] = {"time", "size", "stored", "recipients", "state_time"};
	json_t *j = json_object();
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		json_object_set_new(j, texts[i], json_slice(row_get(r, texts[i])));
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		json_object_set_new(j, numbers[i], json_integer(row_number(r, numbers[i])));
	json_object_set_new(j, "score", score_json(r));
	json_object_set_new(j, "malware", json_boolean(slice_eq_str(row_get(r, "malware"), "yes")));
	return j;
}

static void collect(void *arg, const struct row *r)
{
	json_t *list = arg, *last = json_array_get(list, json_array_size(list) - 1);
	if (is_kind(r, "message")) {
		json_array_append_new(list, message_json(r));
	} else if (last) {
		const char *key = is_kind(r, "header") ? "header" : "addresses";
		if (!json_object_get(last, key))
			json_object_set_new(last, key, json_array());
		json_array_append_new(json_object_get(last, key), json_slice(row_get(r, is_kind(r, "header") ? "text" : "address")));
	}
}

static void score_words(char text[32], const struct row *r)
{
	text[0] = 0;
	if (row_get(r, "milli").n)
		snprintf(text, 32, "%.1f", (double)row_number(r, "milli") / 1000);
}

struct listing {
	struct table table;
	long long now;
};

static void list_row(void *arg, const struct row *r)
{
	struct listing *l = arg;
	char text[32];
	table_cell(&l->table, row_get(r, "id"));
	words_span(text, l->now - row_number(r, "time"));
	table_cell(&l->table, slice_str(text));
	words_octets(text, row_number(r, "size"));
	table_cell(&l->table, slice_str(text));
	table_cell(&l->table, row_get(r, "state"));
	score_words(text, r);
	table_cell(&l->table, slice_str(text));
	table_cell(&l->table, row_get(r, "from").n ? row_get(r, "from") : slice_str("<>"));
	table_cell_format(&l->table, "%.*s", SLICE_FMT(slice_upto(row_get(r, "to"), 60)));
	table_cell(&l->table, row_get(r, "reason"));
	table_cell(&l->table, row_get(r, "subject"));
}

static int list(const struct options *o, const struct slice *args, size_t count)
{
	static const char *const titles[] = {"ID", "AGE", "SIZE", "STATE", "SCORE", "FROM", "TO", "REASON", "SUBJECT"};
	struct listing l = {.table = TABLE_INIT, .now = time(NULL)};
	static char text[COMMAND_MAX];
	for (int i = 0; i < 9; i++)
		table_column(&l.table, titles[i], i == 1 || i == 2 || i == 4);
	int code = ask(o, args, count, list_row, &l, text);
	if (code == 0 && table_rows(&l.table) == 0)
		puts(count > 1 ? "no message matches" : "the quarantine is empty");
	else if (code == 0)
		table_print(&l.table, stdout);
	else if (text[0])
		cmd_fail(o, code, "%s", text);
	buf_free(&l.table.cells);
	return code;
}

static void print_pair(const char *name, struct slice value)
{
	if (!value.n)
		return;
	printf("%-10s ", name);
	print_clean(stdout, value);
	putchar('\n');
}

static void show_row(void *arg, const struct row *r)
{
	static const char *const names[] = {"id", "state", "reason", "from", "subject", "release_id"};
	char text[32];
	bool *headed = arg;
	if (is_kind(r, "message")) {
		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			print_pair(names[i], row_get(r, names[i]));
		score_words(text, r);
		print_pair("score", slice_str(text));
		words_when(text, row_number(r, "time"), time(NULL));
		print_pair("came", slice_str(text));
		words_octets(text, row_number(r, "size"));
		print_pair("size", slice_str(text));
	} else if (is_kind(r, "recipient")) {
		print_pair("to", row_get(r, "address"));
	} else {
		if (!*headed)
			putchar('\n');
		*headed = true;
		printf("  ");
		print_clean(stdout, row_get(r, "text"));
		putchar('\n');
	}
}

static int show(const struct options *o, const struct slice *args, size_t count)
{
	static char text[COMMAND_MAX];
	bool headed = false;
	int code = ask(o, args, count, show_row, &headed, text);
	return code && text[0] ? cmd_fail(o, code, "%s", text) : code;
}

static int as_json(const struct options *o, bool one, const struct slice *args, size_t count)
{
	static char text[COMMAND_MAX];
	json_t *all = json_array();
	int code = ask(o, args, count, collect, all, text);
	if (code && text[0])
		cmd_fail(o, code, "%s", text);
	if (code == 0 && json_print(one ? json_incref(json_array_get(all, 0)) : json_incref(all)))
		code = EXIT_TEMPORARY;
	json_decref(all);
	return code;
}

/* list, or show ID. */
static int query(const struct options *o, const char *verb)
{
	struct slice args[CMD_ARGS_MAX + 1] = {slice_str(verb)};
	bool one = strcmp(verb, "show") == 0;
	size_t count = 1;
	for (int i = 1; i < o->args; i++)
		args[count++] = slice_str(o->arg[i]);
	if (one && count != 2)
		return cmd_usage(o);
	if (o->json)
		return as_json(o, one, args, count);
	return one ? show(o, args, count) : list(o, args, count);
}

/* Those that can still be acted on. */
static void note_id(void *arg, const struct row *r)
{
	if (slice_eq_str(row_get(r, "state"), "kept") || slice_eq_str(row_get(r, "state"), "doubt")) {
		buf_add_slice(arg, row_get(r, "id"));
		buf_add_char(arg, '\n');
	}
}

static int tell(const struct options *o, const char *verb, int done, int worst)
{
	if (o->json)
		return json_print(json_pack("{s:s, s:i, s:b}", "action", verb, "messages", done, "dry_run", o->dry_run)) ? EXIT_TEMPORARY : worst;
	printf("%s%s: %d message%s\n", o->dry_run ? "would " : "", verb, done, done == 1 ? "" : "s");
	return worst;
}

static int act_on_each(const struct options *o, const char *verb, struct slice ids)
{
	static char text[COMMAND_MAX];
	struct slice id;
	int worst = 0, done = 0;
	for (int n = 0; n < IDS_MAX && ids.n && slice_cut(&id, &ids, '\n'); n++) {
		struct slice args[3] = {slice_str(verb), id, slice_str("force")};
		if (id.n == 0)
			continue;
		int code = o->dry_run ? 0 : ask(o, args, o->force ? 3 : 2, NULL, NULL, text);
		if (code == 0)
			done++;
		else if (text[0])
			cmd_fail(o, code, "%.*s: %s", SLICE_FMT(id), text);
		worst = code > worst ? code : worst;
	}
	return tell(o, verb, done, worst);
}

/* What is to be acted on: ids as given (with --dry-run those that are there), or what the conditions find. */
static int find_ids(struct buf *ids, const struct options *o, const struct slice *given, size_t count, bool by_condition)
{
	static char text[COMMAND_MAX];
	int code = 0;
	if (by_condition) {
		struct slice args[CMD_ARGS_MAX + 1] = {slice_str("list")};
		memcpy(args + 1, given, count * sizeof *given);
		code = ask(o, args, count + 1, note_id, ids, text);
	}
	for (size_t i = 0; !by_condition && code == 0 && i < count; i++) {
		char condition[64];
		snprintf(condition, sizeof condition, "id=%.40s", given[i].p);
		struct slice args[2] = {slice_str("list"), slice_str(condition)};
		if (o->dry_run)
			code = ask(o, args, 2, note_id, ids, text);
		else
			buf_add_format(ids, "%s\n", given[i].p);
	}
	return code && text[0] ? cmd_fail(o, code, "%s", text) : code;
}

/* Arguments: ids, or "all", or conditions. */
static int act(const struct options *o, const char *verb)
{
	struct slice given[CMD_ARGS_MAX];
	struct buf ids = BUF_INIT((size_t)IDS_MAX * 16);
	size_t count = 0, conditions = 0;
	bool all = false;
	for (int i = 1; i < o->args; i++) {
		if (strcmp(o->arg[i], "all") == 0) {
			all = true;
			continue;
		}
		conditions += strchr(o->arg[i], '=') != NULL;
		given[count++] = slice_str(o->arg[i]);
	}
	if (!all && !count)
		return cmd_usage(o);
	if ((all && count) || (conditions && conditions < count))
		return cmd_fail(o, EXIT_USAGE, "give ids, or conditions, or all, not several of these");
	int code = find_ids(&ids, o, given, count, all || conditions);
	if (code == 0)
		code = act_on_each(o, verb, buf_slice(&ids));
	buf_free(&ids);
	return code;
}

int cmd_quarantine(const struct options *o)
{
	const char *verb = o->args ? o->arg[0] : "list";
	bool release = strcmp(verb, "release") == 0, delete = strcmp(verb, "delete") == 0;
	if ((o->force && !release) || (o->dry_run && !release && !delete))
		return cmd_fail(o, EXIT_USAGE, "--force goes with release, --dry-run with release and delete");
	if (release || delete)
		return act(o, verb);
	return strcmp(verb, "list") == 0 || strcmp(verb, "show") == 0 ? query(o, verb) : cmd_usage(o);
}
