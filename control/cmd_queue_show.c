/* postern queue list and show: what waits and why, for people and as JSON.  What the queue answers is shown as it is, control
 * characters aside. */
#include "control/cmd_queue.h"

#include <jansson.h>
#include <limits.h>
#include <string.h>
#include <time.h>

/* Keys that are numbers in JSON. */
static json_t *as_json(struct slice key, struct slice value)
{
	static const char *const numbers[] = {
		"time", "size", "attempts", "next", "hold_until", "waiting", "number", "messages", "held", "delivering", "fresh", "recipients", "oldest", "segments",
		"octets", "live_octets", "index_octets", "accepted", "refused", "delivered", "deferred", "bounced", "commits", "failures", "again"};
	long long v;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (slice_eq_str(key, numbers[i]) && slice_number(&v, value, LLONG_MIN + 1, LLONG_MAX) == 0)
			return json_integer(v);
	return json_slice(value);
}

json_t *queue_row_object(const struct row *r)
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
	struct slice kind = row_get(r, "kind");
	if (slice_eq_str(kind, "progress")) {
		queue_progress(r);
		return;
	}
	if (slice_eq_str(kind, "recipient") && last) {
		json_array_append_new(json_object_get(last, "recipients"), queue_row_object(r));
	} else if (slice_eq_str(kind, "header") && last) {
		if (!json_object_get(last, "header"))
			json_object_set_new(last, "header", json_array());
		json_array_append_new(json_object_get(last, "header"), json_slice(row_get(r, "text")));
	} else {
		json_t *j = queue_row_object(r);
		json_object_set_new(j, "recipients", json_array());
		json_array_append_new(list, j);
	}
}

/* "held", or what happens at the deadline: "deleted in 4 h". */
static const char *hold_words(char text[48], const struct row *r, long long now)
{
	struct slice then = row_get(r, "hold_then");
	char when[32];
	long long until = row_number(r, "hold_until");
	if (!until)
		return "held";
	words_when(when, until > now ? until : now, now);
	snprintf(text, 48, "%s %s", slice_eq_str(then, "bounce") ? "bounced" : slice_eq_str(then, "delete") ? "deleted" : "released", when);
	return text;
}

static const char *next_words(char text[48], const struct row *r, long long now)
{
	long long next = row_number(r, "next");
	if (slice_eq_str(row_get(r, "state"), "held"))
		return hold_words(text, r, now);
	if (slice_eq_str(row_get(r, "state"), "unreadable"))
		return "unreadable";
	if (slice_eq_str(row_get(r, "state"), "delivering"))
		return "being delivered";
	if (next == 0)
		return "paused";
	words_when(text, next > now ? next : now, now);
	return text;
}

/* One line for each message: its first recipient, and how many more. */
struct listing {
	struct table table;
	long long now;
	bool open;              /* a message's line lacks its recipients, next and reason */
	char next[48], rcpt[330];
	struct buf reason;
	long long waiting;
};

static void close_line(struct listing *l)
{
	char text[360];
	if (!l->open)
		return;
	snprintf(text, sizeof text, l->waiting > 1 ? "%.320s +%lld" : "%.320s", l->rcpt, l->waiting - 1);
	table_cell(&l->table, slice_str(text));
	table_cell(&l->table, slice_str(l->next));
	table_cell(&l->table, buf_slice(&l->reason));
	l->open = false;
}

static void open_line(struct listing *l, const struct row *r)
{
	char text[48];
	table_cell(&l->table, row_get(r, "id"));
	words_span(text, l->now - row_number(r, "time"));
	table_cell(&l->table, slice_str(text));
	words_octets(text, row_number(r, "size"));
	table_cell(&l->table, slice_str(text));
	table_cell(&l->table, row_get(r, "sender").n || !row_get(r, "class").n ? row_get(r, "sender") : slice_str("<>"));
	snprintf(l->next, sizeof l->next, "%s", next_words(text, r, l->now));
	buf_reset(&l->reason);
	buf_add_slice(&l->reason, row_get(r, row_get(r, "hold").n && !slice_eq_str(row_get(r, "state"), "unreadable") ? "hold" : "reason"));
	l->waiting = row_number(r, "waiting");
	l->rcpt[0] = 0;
	l->open = true;
}

static void list_row(void *arg, const struct row *r)
{
	struct listing *l = arg;
	if (slice_eq_str(row_get(r, "kind"), "progress")) {
		queue_progress(r);
		return;
	}
	if (slice_eq_str(row_get(r, "kind"), "message")) {
		close_line(l);
		open_line(l, r);
	} else if (l->open && !l->rcpt[0] && !slice_eq_str(row_get(r, "state"), "done")) {
		(void)!slice_copy(l->rcpt, sizeof l->rcpt, row_get(r, "address"));
	}
}

static int list(const struct options *o, const struct slice *args, size_t count)
{
	static const char *const titles[] = {"ID", "AGE", "SIZE", "SENDER", "RECIPIENTS", "NEXT ATTEMPT", "REASON"};
	struct listing l = {.table = TABLE_INIT, .now = time(NULL), .reason = BUF_INIT(COMMAND_MAX)};
	static char text[COMMAND_MAX];
	for (int i = 0; i < 7; i++)
		table_column(&l.table, titles[i], i == 1 || i == 2);
	int code = queue_ask(o, args, count, list_row, &l, text);
	queue_progress_end();
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

/* Moments are seconds since 1970, 0 where there is none. */
static bool is_moment(struct slice key)
{
	return slice_eq_str(key, "time") || slice_eq_str(key, "next") || slice_eq_str(key, "hold_until");
}

static void show_message(const struct row *r, long long now)
{
	char when[32];
	for (size_t i = 0; i + 1 < r->count; i += 2) {
		struct slice key = r->cell[i], value = r->cell[i + 1];
		if (slice_eq_str(key, "kind") || value.n == 0 || (is_moment(key) && slice_eq_str(value, "0")))
			continue;
		printf("%-12.*s ", SLICE_FMT(key));
		print_clean(stdout, value);
		if (is_moment(key)) {
			long long moment = now;
			(void)!slice_number(&moment, value, 0, LLONG_MAX);
			words_when(when, moment, now);
			printf(" (%s)", when);
		}
		putchar('\n');
	}
}

static void show_row(void *arg, const struct row *r)
{
	struct showing *s = arg;
	struct slice kind = row_get(r, "kind");
	if (slice_eq_str(kind, "message")) {
		show_message(r, s->now);
		s->shown = true;
	} else if (slice_eq_str(kind, "recipient")) {
		table_cell(&s->rcpt, row_get(r, "number"));
		table_cell(&s->rcpt, row_get(r, "address"));
		table_cell(&s->rcpt, row_get(r, "state"));
		table_cell(&s->rcpt, row_get(r, "destination"));
		table_cell(&s->rcpt, row_get(r, "reason"));
	} else {
		buf_add_str(&s->header, "  ");
		buf_add_slice(&s->header, row_get(r, "text"));
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
	int code = queue_ask(o, args, count, show_row, &s, text);
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
	int code = queue_ask(o, args, count, collect, all, text);
	queue_progress_end();
	if (code != 0) {
		json_decref(all);
		return text[0] ? cmd_fail(o, code, "%s", text) : code;
	}
	json_t *out = one && json_array_size(all) ? json_incref(json_array_get(all, 0)) : json_incref(all);
	json_decref(all);
	return json_print(out);
}

int queue_query(const struct options *o, const char *verb)
{
	struct queue_request req;
	bool showing = strcmp(verb, "show") == 0;
	if (showing && o->args != 2)
		return cmd_usage(o);
	if (showing) {
		struct slice args[2] = {slice_str("show"), slice_str(o->arg[1])};
		return o->json ? list_json(o, args, 2, true) : show(o, args, 2);
	}
	int code = queue_arguments(&req, o);
	if (code == 0)
		code = o->json ? list_json(o, req.arg, req.count, false) : list(o, req.arg, req.count);
	buf_free(&req.ids);
	return code;
}
