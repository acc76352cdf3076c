/* postern door: how many clients the doors hold; and which line of their rules counts for an address.  The first asks the running doors, the second reads the
 * control files as they are now.  Runs as the operator; lines of rules are the administrator's, and printed without control characters. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "control/cmd_queue.h"
#include "smtpd-outside/listen.h"
#include "smtpd-outside/tcprules_line.h"
#include "supervise/graph.h"

static const struct door_of {
	enum lane lane;
	const char *socket;
	enum control_id rules;
} doors[] = {
	{LANE_OUTSIDE, "door", C_tcp_smtp},
	{LANE_SUBMISSION, "door-submission", C_tcp_submission},
	{LANE_CLUSTER, "door-cluster", C_tcp_qmqp},
};
#define DOORS (sizeof doors / sizeof *doors)

/* ---- what they hold ---- */

struct held {
	const struct door_of *door;
	struct table table;
	json_t *json;
	bool full;
};

static void held_row(void *arg, const struct row *r)
{
	static const struct {
		const char *key, *shown;
	} numbers[] = {{"sessions", "sessions"}, {"concurrencyincoming", "most_sessions"}, {"waiting", "waiting"}, {"concurrencywaiting", "most_waiting"},
		{"addresses", "addresses"}, {"blocked", "blocked"}};
	struct held *h = arg;
	json_t *j = json_pack("{s:s}", "door", graph_lane_name(h->door->lane));
	table_cell(&h->table, slice_str(graph_lane_name(h->door->lane)));
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		json_object_set_new(j, numbers[i].shown, json_integer(row_number(r, numbers[i].key)));
		table_cell(&h->table, row_get(r, numbers[i].key));
	}
	json_array_append_new(h->json, j);
	h->full |= row_number(r, "sessions") >= row_number(r, "concurrencyincoming") || row_number(r, "waiting") >= row_number(r, "concurrencywaiting");
}

static int ask_doors(struct held *h, const struct options *o, const struct control *c)
{
	static char text[COMMAND_MAX];
	struct slice verb[1] = {slice_str("status")};
	int code = 0;
	for (size_t i = 0; i < DOORS && code == 0; i++) {
		h->door = &doors[i];
		if (listen_has_lane(c, doors[i].lane))
			code = suite_ask(o, doors[i].socket, verb, 1, held_row, h, text);
	}
	return code;
}

static int show_held(const struct options *o, const struct control *c)
{
	static const char *const titles[] = {"DOOR", "SESSIONS", "OF", "WAITING", "OF", "ADDRESSES", "BLOCKED"};
	struct held h = {.table = TABLE_INIT, .json = json_array()};
	for (int i = 0; i < 7; i++)
		table_column(&h.table, titles[i], i > 0);
	int code = ask_doors(&h, o, c);
	if (code == 0 && o->json)
		code = json_print(json_incref(h.json));
	else if (code == 0)
		table_print(&h.table, stdout);
	json_decref(h.json);
	buf_free(&h.table.cells);
	return code ? code : h.full;
}

/* ---- which line counts ---- */

struct counted {
	struct ip ip;
	struct slice host;    /* lower case */
	bool present;
	int line;             /* 0: none has it */
	struct slice text;    /* of that line */
	struct tcprule rule;
	bool by_name;         /* its name could change that, and was not given */
};

/* Rules of neighbouring lines that say the same are one, so its number is not the line's: the same file with each line's number instead of what it says. */
static int number_of(int *out, const struct control *c, enum control_id id, const struct counted *n, struct err *e)
{
	struct buf b = BUF_INIT((size_t)1 << 30);
	struct control_line line = {0};
	struct slice address, instruction;
	struct tcprules *t;
	long long number = 0;
	int at;
	while (control_next(c, id, &line))
		if (tcprules_split(&address, &instruction, line.text, e) == 0)
			buf_add_format(&b, "%.*s:allow,LINE=\"%d\"\n", SLICE_FMT(address), line.number);
	int rc = b.overflow ? err_set(e, E_SYS, "no memory") : tcprules_parse(&t, &at, buf_slice(&b), NULL, NULL, e);
	if (rc == 0) {
		const struct tcprule *rule = tcprules_find(t, &n->ip, n->host);
		if (rule->vars)
			(void)!slice_number(&number, rule->var[0].value, 1, INT32_MAX);
		tcprules_free(t);
	}
	buf_free(&b);
	*out = (int)number;
	return rc;
}

/* T is kept: the rule borrows from it. */
static int count(struct counted *n, struct tcprules **t, const struct control *c, enum control_id id, struct err *e)
{
	struct control_line line = {0};
	struct err why;
	int at;
	*t = NULL;
	n->present = control_present(c, id);
	n->line = 0;
	n->text = slice_make("", 0);
	n->rule = (struct tcprule){.deny = !n->present && id == C_tcp_qmqp};
	n->by_name = false;
	if (!n->present)
		return 0;
	if (tcprules_parse(t, &at, control_blob(c, id), NULL, NULL, &why) < 0)
		return control_fault(e, c, id, at, "%s", why.text);
	n->rule = *tcprules_find(*t, &n->ip, n->host);
	n->by_name = !n->host.n && tcprules_want_host(*t, &n->ip);
	int rc = number_of(&n->line, c, id, n, e);
	while (rc == 0 && control_next(c, id, &line))
		if (line.number == n->line)
			n->text = line.text;
	return rc;
}

static void print_counted(const struct counted *n, const char *file)
{
	printf("%s", file);
	if (n->line) {
		printf(":%d: ", n->line);
		print_clean(stdout, n->text);
	} else {
		printf(": %s: %s", n->present ? "no line for it" : "absent", n->rule.deny ? "nobody is allowed" : "allowed");
	}
	putchar('\n');
	if (n->by_name)
		puts("  the file has lines by host name: give the client's name too");
}

static json_t *json_counted(const struct counted *n, const char *file)
{
	char name[HANDOVER_NAME_MAX + 1];
	json_t *vars = json_object();
	for (size_t i = 0; i < n->rule.vars; i++)
		if (slice_copy(name, sizeof name, n->rule.var[i].name) == 0)
			json_object_set_new(vars, name, json_slice(n->rule.var[i].value));
	return json_pack("{s:s, s:o, s:o, s:b, s:o, s:b}", "file", file, "line", n->line ? json_integer(n->line) : json_null(), "text",
		n->line ? json_slice(n->text) : json_null(), "allow", !n->rule.deny, "variables", vars, "depends_on_name", n->by_name);
}

/* The name as DNS has it. */
static int take_host(char out[256], const char *word)
{
	struct slice s = slice_str(word);
	if (slice_ends(s, "."))
		s.n--;
	if (slice_copy(out, 256, s) < 0 || addr_check_domain(s, false) < 0)
		return E_SYNTAX;
	for (; *out; out++)
		if (*out >= 'A' && *out <= 'Z')
			*out = (char)(*out | 0x20);
	return 0;
}

static int show_counted(const struct options *o, const struct control *c)
{
	char host[256] = "";
	struct counted n = {0};
	struct err e;
	json_t *all = json_array();
	int rc = 0;
	if (ip_parse(&n.ip, slice_str(o->arg[0])) < 0 || (o->args > 1 && take_host(host, o->arg[1]) < 0)) {
		json_decref(all);
		return cmd_fail(o, EXIT_USAGE, "give an IP address, and behind it the client's host name where lines go by names");
	}
	n.host = slice_str(host);
	for (size_t i = 0; i < DOORS && rc == 0; i++) {
		const char *file = control_files[doors[i].rules].name;
		struct tcprules *t = NULL;
		if (!listen_has_lane(c, doors[i].lane))
			continue;
		rc = count(&n, &t, c, doors[i].rules, &e);
		if (rc == 0 && o->json)
			json_array_append_new(all, json_counted(&n, file));
		else if (rc == 0)
			print_counted(&n, file);
		tcprules_free(t);
	}
	if (rc == 0 && o->json)
		return json_print(all);
	json_decref(all);
	return rc == 0 ? 0 : cmd_fail(o, rc == E_SYNTAX ? EXIT_FAULT : EXIT_TEMPORARY, "%s", e.text);
}

int cmd_door(const struct options *o)
{
	struct control c;
	struct err e;
	int rc = control_read(&c, o->control, BIT(P_DOOR), &e);
	if (rc < 0)
		return cmd_fail(o, rc == E_SYNTAX ? EXIT_FAULT : EXIT_TEMPORARY, "%s", e.text);
	int code = o->args ? show_counted(o, &c) : show_held(o, &c);
	control_free(&c);
	return code;
}
