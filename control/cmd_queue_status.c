/* postern queue top and status: who has most waiting, and how the queue is.  What the queue answers is shown as it is, control characters aside. */
#include "control/cmd_queue.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

struct answer {
	json_t *json;          /* NULL: for people */
	struct table table;
	struct buf problems;
	long long now;
	bool shown, senders;   /* keys of top are senders, of which the empty one is the null sender */
};

static void top_row(void *arg, const struct row *r)
{
	struct answer *a = arg;
	char text[32];
	if (slice_eq_str(row_get(r, "kind"), "progress")) {
		queue_progress(r);
		return;
	}
	if (a->json) {
		json_array_append_new(a->json, queue_row_object(r));
		return;
	}
	table_cell(&a->table, row_get(r, "messages"));
	table_cell(&a->table, row_get(r, "recipients"));
	words_octets(text, row_number(r, "octets"));
	table_cell(&a->table, slice_str(text));
	words_span(text, a->now - row_number(r, "oldest"));
	table_cell(&a->table, slice_str(text));
	table_cell(&a->table, row_get(r, "key").n || !a->senders ? row_get(r, "key") : slice_str("<>"));
	table_cell(&a->table, row_get(r, "reason"));
}

int queue_top(const struct options *o)
{
	static const char *const titles[] = {"MESSAGES", "RECIPIENTS", "SIZE", "OLDEST", "", "LAST REASON"};
	static char text[COMMAND_MAX];
	struct answer a = {.json = o->json ? json_array() : NULL, .table = TABLE_INIT, .now = time(NULL)};
	struct queue_request req;
	char name[40];
	snprintf(name, sizeof name, "%s", o->by ? o->by : "sender");
	a.senders = strcmp(name, "sender") == 0;
	for (char *c = name; *c; c++)
		*c = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
	for (int i = 0; i < 6; i++)
		table_column(&a.table, i == 4 ? name : titles[i], i < 4);
	int code = queue_arguments(&req, o);
	if (code == 0)
		code = queue_ask(o, req.arg, req.count, top_row, &a, text);
	queue_progress_end();
	buf_free(&req.ids);
	if (code != 0 && text[0])
		cmd_fail(o, code, "%s", text);
	if (code == 0 && o->json)
		return json_print(a.json);
	if (code == 0 && table_rows(&a.table) == 0)
		puts("nothing waits");
	else if (code == 0)
		table_print(&a.table, stdout);
	json_decref(a.json);
	buf_free(&a.table.cells);
	return code;
}

static void status_json(struct answer *a, const struct row *r)
{
	struct slice kind = row_get(r, "kind");
	if (slice_eq_str(kind, "problem"))
		json_array_append_new(json_object_get(a->json, "problems"), json_slice(row_get(r, "text")));
	else if (slice_eq_str(kind, "destination"))
		json_array_append_new(json_object_get(a->json, "destinations"), queue_row_object(r));
	else {
		json_t *row = queue_row_object(r);
		json_object_update(a->json, row);
		json_decref(row);
	}
}

static void numbers(const struct row *r, long long now)
{
	char text[32], size[32];
	long long messages = row_number(r, "messages");
	printf("%lld message%s in the queue", messages, messages == 1 ? "" : "s");
	if (messages) {
		words_span(text, now - row_number(r, "oldest"));
		printf(": %lld waiting, %lld being delivered, %lld held; %lld recipients; the oldest came %s ago", row_number(r, "waiting"),
			row_number(r, "delivering"), row_number(r, "held"), row_number(r, "recipients"), text);
	}
	if (row_number(r, "next")) {
		words_when(text, row_number(r, "next") > now ? row_number(r, "next") : now, now);
		printf("\nnext attempt %s", text);
	}
	printf("\nsince the start %lld accepted, %lld delivered, %lld deferred, %lld bounced, %lld refused\n", row_number(r, "accepted"),
		row_number(r, "delivered"), row_number(r, "deferred"), row_number(r, "bounced"), row_number(r, "refused"));
	words_octets(text, row_number(r, "live_octets"));
	words_octets(size, row_number(r, "octets"));
	printf("%s of mail in %lld log file%s of %s", text, row_number(r, "segments"), row_number(r, "segments") == 1 ? "" : "s", size);
	words_octets(text, row_number(r, "index_octets"));
	printf("; the index takes %s of memory\n", text);
}

static void destination(struct answer *a, const struct row *r)
{
	char when[32];
	long long again = row_number(r, "again");
	words_when(when, again > a->now ? again : a->now, a->now);
	table_cell(&a->table, row_get(r, "name"));
	table_cell(&a->table, row_get(r, "agent"));
	table_cell(&a->table, row_get(r, "failures"));
	table_cell(&a->table, slice_str(when));
	table_cell(&a->table, row_get(r, "reason"));
}

static void status_row(void *arg, const struct row *r)
{
	struct answer *a = arg;
	struct slice kind = row_get(r, "kind");
	a->shown = true;
	if (a->json) {
		status_json(a, r);
	} else if (slice_eq_str(kind, "status")) {
		numbers(r, a->now);
	} else if (slice_eq_str(kind, "problem")) {
		printf("%sattention:%s ", tty_red(stdout), tty_plain(stdout));
		print_clean(stdout, row_get(r, "text"));
		putchar('\n');
	} else {
		destination(a, r);
	}
}

int queue_status(const struct options *o)
{
	static const char *const titles[] = {"NOT REACHED", "BY", "FAILURES", "NEXT TRY", "REASON"};
	static char text[COMMAND_MAX];
	struct answer a = {.table = TABLE_INIT, .now = time(NULL)};
	if (o->json)
		a.json = json_pack("{s:[], s:[]}", "problems", "destinations");
	for (int i = 0; i < 5; i++)
		table_column(&a.table, titles[i], i == 2);
	struct slice verb[1] = {slice_str("status")};
	int code = o->args > 1 ? cmd_usage(o) : queue_ask(o, verb, 1, status_row, &a, text);
	if (code > 1)
		json_decref(a.json);
	else if (o->json && json_print(a.json) != 0)
		code = EXIT_TEMPORARY;
	else if (table_rows(&a.table))
		table_print(&a.table, stdout);
	buf_free(&a.table.cells);
	return code;
}
