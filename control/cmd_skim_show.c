/* postern skim list and show: what the detection of stolen accounts says, in words for the helpdesk or as JSON.  Names, places and reasons come from outside
 * and are shown with control characters replaced. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/cmd_skim.h"

#define COLLECT_MAX 2000

void time_text(char text[32], long long sec)
{
	struct tm tm;
	time_t t = (time_t)sec;
	gmtime_r(&t, &tm);
	strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static bool is_kind(const struct row *r, const char *kind)
{
	return slice_eq_str(row_get(r, "kind"), kind);
}

static json_t *when_json(long long sec)
{
	char text[32];
	time_text(text, sec);
	return sec ? json_string(text) : json_null();
}

static json_t *words_json(struct slice list)
{
	json_t *j = json_array();
	struct slice one;
	while (list.n && slice_cut(&one, &list, ','))
		json_array_append_new(j, json_slice(one));
	return j;
}

static json_t *user_json(const struct row *r)
{
	json_t *j = json_object();
	json_object_set_new(j, "user", json_slice(row_get(r, "user")));
	json_object_set_new(j, "state", json_slice(row_get(r, "state")));
	json_object_set_new(j, "since", when_json(row_number(r, "since")));
	json_object_set_new(j, "score", json_integer(row_number(r, "score")));
	json_object_set_new(j, "rules", words_json(row_get(r, "rules")));
	json_object_set_new(j, "why", json_slice(row_get(r, "why")));
	json_object_set_new(j, "code", json_slice(row_get(r, "code")));
	return j;
}

static void list_json(void *arg, const struct row *r)
{
	json_array_append_new(arg, user_json(r));
}

struct listing {
	struct table table;
	long long now;
};

static void list_row(void *arg, const struct row *r)
{
	struct listing *l = arg;
	char text[32];
	table_cell(&l->table, row_get(r, "user"));
	table_cell(&l->table, row_get(r, "state"));
	words_span(text, l->now - row_number(r, "since"));
	table_cell(&l->table, slice_str(text));
	table_cell(&l->table, row_get(r, "score"));
	table_cell(&l->table, row_get(r, "code"));
	table_cell(&l->table, row_get(r, "why"));
}

int skim_list(const struct options *o)
{
	static const char *const titles[] = {"USER", "STATE", "FOR", "SCORE", "CODE", "WHY"};
	static char text[COMMAND_MAX];
	struct listing l = {.table = TABLE_INIT, .now = time(NULL)};
	json_t *all = json_array();
	struct slice verb = slice_str("list");
	for (int i = 0; i < 6; i++)
		table_column(&l.table, titles[i], i == 2 || i == 3);
	int code = skim_ask(o, &verb, 1, o->json ? list_json : list_row, o->json ? (void *)all : (void *)&l, text);
	if (code && text[0])
		cmd_fail(o, code, "%s", text);
	else if (code == 0 && o->json)
		code = json_print(json_incref(all)) ? EXIT_TEMPORARY : 0;
	else if (code == 0 && table_rows(&l.table) == 0)
		puts("no account is suspected");
	else if (code == 0)
		table_print(&l.table, stdout);
	buf_free(&l.table.cells);
	json_decref(all);
	return code;
}

static json_t *texts_and_numbers(const struct row *r, const char *const *texts, const char *const *numbers)
{
	json_t *j = json_object();
	for (; *texts; texts++)
		json_object_set_new(j, *texts, json_slice(row_get(r, *texts)));
	for (; *numbers; numbers++)
		json_object_set_new(j, *numbers, json_integer(row_number(r, *numbers)));
	json_object_set_new(j, "time", when_json(row_number(r, "time")));
	return j;
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(,) NULL})

static void note_user(struct known *k, const struct row *r)
{
	json_t *travel = row_get(r, "travel").n ? json_object() : json_null();
	k->user = user_json(r);
	k->responds = slice_eq_str(row_get(r, "respond"), "yes");
	json_object_set_new(travel, "countries", words_json(row_get(r, "travel")));
	json_object_set_new(travel, "until", when_json(row_number(r, "travel_until")));
	json_object_set_new(k->user, "travel", travel);
	json_object_set_new(k->user, "first", when_json(row_number(r, "first")));
	json_object_set_new(k->user, "last", when_json(row_number(r, "last")));
	json_object_set_new(k->user, "logins_seen", json_integer(row_number(r, "logins")));
	json_object_set_new(k->user, "class", json_slice(row_get(r, "class")));
	json_object_set_new(k->user, "failures", json_integer(row_number(r, "failures")));
	json_object_set_new(k->user, "failing_since", when_json(row_number(r, "failures") ? row_number(r, "failing") : 0));
	json_object_set_new(k->user, "recovering_until", when_json(row_number(r, "recovering_until")));
	json_object_set_new(k->user, "operator_said", json_slice(row_get(r, "operator")));
}

/* "again": when one more may be sent; null: now. */
static json_t *limit_json(const struct row *r)
{
	json_t *j = json_object();
	long long again = row_number(r, "again");
	json_object_set_new(j, "counter", json_slice(row_get(r, "counter")));
	json_object_set_new(j, "used", json_integer(row_number(r, "used")));
	json_object_set_new(j, "most", json_integer(row_number(r, "most")));
	json_object_set_new(j, "again", when_json(again > 0 ? time(NULL) + again : 0));
	return j;
}

static void note(void *arg, const struct row *r)
{
	struct known *k = arg;
	if (is_kind(r, "user"))
		note_user(k, r);
	else if (is_kind(r, "rule"))
		json_array_append_new(k->evidence, texts_and_numbers(r, WORDS("rule", "text"), WORDS("points")));
	else if (is_kind(r, "login"))
		json_array_append_new(k->logins, texts_and_numbers(r, WORDS("ip", "country", "city", "network"), WORDS("asn")));
	else if (is_kind(r, "limit"))
		json_array_append_new(k->limits, limit_json(r));
	else if (is_kind(r, "sent"))
		json_array_append_new(k->sent, texts_and_numbers(r, WORDS(NULL), WORDS("recipients", "external", "unknown", "new", "bad")));
}

static void note_held(void *arg, const struct row *r)
{
	struct known *k = arg;
	if (is_kind(r, "message") && json_array_size(k->held) < COLLECT_MAX)
		json_array_append_new(k->held, texts_and_numbers(r, WORDS("id", "sender"), WORDS("size", "hold_until")));
}

/* What was done about it, as postern-respond tells it (skim/respond.h). */
static void note_action(void *arg, const struct row *r)
{
	struct known *k = arg;
	if (is_kind(r, "step"))
		json_array_append_new(k->actions, texts_and_numbers(r, WORDS("name", "args", "state", "note"), WORDS("number", "tries")));
}

static int later_first(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	return strcmp(json_text(y, "time"), json_text(x, "time"));
}

static void sort(json_t **list)
{
	json_t *at[COLLECT_MAX], *sorted = json_array();
	size_t n = json_array_size(*list) < COLLECT_MAX ? json_array_size(*list) : COLLECT_MAX;
	for (size_t i = 0; i < n; i++)
		at[i] = json_array_get(*list, i);
	qsort(at, n, sizeof *at, later_first);
	for (size_t i = 0; i < n; i++)
		json_array_append(sorted, at[i]);
	json_decref(*list);
	*list = sorted;
}

static int print_json(const struct known *k)
{
	char text[800];
	skim_advice(text, k);
	json_object_set(k->user, "evidence", k->evidence);
	json_object_set(k->user, "recent_logins", k->logins);
	json_object_set(k->user, "sent", k->sent);
	json_object_set(k->user, "limits", k->limits);
	json_object_set(k->user, "held", k->held);
	json_object_set(k->user, "actions", k->actions);
	json_object_set_new(k->user, "next", json_string(text));
	return json_print(json_incref(k->user)) ? EXIT_TEMPORARY : 0;
}

static void ask_others(const struct options *o, struct known *k)
{
	static char text[COMMAND_MAX];
	char owner[400];
	const char *user = json_text(k->user, "user");
	snprintf(owner, sizeof owner, "owner=%s", user);
	struct slice held[] = {slice_str("list"), slice_str("hold=skim"), slice_str(owner)}, done[] = {slice_str("show"), slice_str(user)};
	if (suite_has(o, "queue"))
		queue_ask(o, held, 3, note_held, k, text);
	if (k->responds)
		(void)suite_ask(o, "respond", done, 2, note_action, k, text);
}

int skim_show(const struct options *o, const char *key)
{
	static char text[COMMAND_MAX];
	struct known k = {NULL, json_array(), json_array(), json_array(), json_array(), json_array(), json_array(), false};
	struct slice args[] = {slice_str("show"), slice_str(key)};
	int code = skim_ask(o, args, 2, note, &k, text);
	if (code && text[0])
		cmd_fail(o, code, "%s", text);
	if (code == 0 && k.user) {
		ask_others(o, &k);
		sort(&k.evidence), sort(&k.logins), sort(&k.sent);
		if (o->json)
			code = print_json(&k);
		else
			skim_print(&k);
	}
	json_t *all[] = {k.user, k.evidence, k.logins, k.sent, k.limits, k.held, k.actions};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		json_decref(all[i]);
	return code;
}
